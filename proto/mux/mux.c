#include "proto/mux/mux.h"
