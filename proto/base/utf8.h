#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of the UTF-8 sequence at `p`, of which `n` bytes are there: 1 to 4, or 0 when they are none
 * (RFC 3629 section 4: no overlong form, no surrogate, nothing past U+10FFFF). */
size_t pg_utf8_length(const uint8_t *p, size_t n);

/* True when the sequence of `length` bytes at `p` is a C0, DEL or C1 control. */
bool pg_utf8_is_control(const uint8_t *p, size_t length);

/* True for text that is safe to keep and to show: valid UTF-8 without C0, DEL and C1 controls. */
bool pg_utf8_is_plain(const char *text);
