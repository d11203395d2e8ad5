#include "proto/wire/auth.h"
