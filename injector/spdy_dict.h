#pragma once
#include <stdint.h>

/* The preset dictionary of SPDY's header compression (SPDY protocol draft 3.1, 2.6.10.1). Both ends
 * must have every byte of it alike: its Adler-32 is part of each stream. */
enum { PG_SPDY_DICT_BYTES = 1423 };
extern const uint8_t pg_spdy_dict[PG_SPDY_DICT_BYTES];
