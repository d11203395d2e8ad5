#pragma once
#include "proto/wire/msg.h"

/* "ann@laptop": what others read who want a port that we have. Clean to print. */
void pg_owner_name(char out[PG_OWNER_MAX + 1]);
