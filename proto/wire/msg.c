#include "proto/wire/msg.h"
