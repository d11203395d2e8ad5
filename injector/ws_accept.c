#include <stdint.h>
#include <string.h>

#include "injector/ws.h"
#include "proto/base/num.h"
#include "proto/wire/auth.h"

/* The handshake's answer is a SHA-1, which none of our libraries has. It protects nothing: it only
 * shows that the server knows what a WebSocket is (RFC 6455 1.3). */

enum { BLOCK = 64, DIGEST = 20 };

static uint32_t rotate(uint32_t x, int n)
{
	return x << n | x >> (32 - n);
}

/* One block of RFC 3174 6.1. */
static void mix_block(uint32_t h[5], const uint8_t block[BLOCK])
{
	uint32_t w[80];
	for (size_t t = 0; t < 16; t++)
		w[t] = pg_get_be32(block + 4 * t);
	for (size_t t = 16; t < 80; t++)
		w[t] = rotate(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
	uint32_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
	for (size_t t = 0; t < 80; t++) {
		uint32_t f = t < 20   ? ((b & c) | (~b & d)) + 0x5a827999
			     : t < 40 ? (b ^ c ^ d) + 0x6ed9eba1
			     : t < 60 ? ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc
				      : (b ^ c ^ d) + 0xca62c1d6;
		uint32_t next = rotate(a, 5) + f + e + w[t];
		e = d;
		d = c;
		c = rotate(b, 30);
		b = a;
		a = next;
	}
	h[0] += a;
	h[1] += b;
	h[2] += c;
	h[3] += d;
	h[4] += e;
}

/* SHA-1 of the 60 bytes at `text`, the only length that is asked for: two blocks with padding. */
static void sha1_of_60(const char *text, uint8_t out[DIGEST])
{
	uint8_t blocks[2 * BLOCK] = { 0 };
	uint32_t h[5] = { 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0 };
	memcpy(blocks, text, 60);
	blocks[60] = 0x80;
	pg_put_be64(blocks + sizeof(blocks) - 8, 60 * 8);
	mix_block(h, blocks);
	mix_block(h, blocks + BLOCK);
	for (size_t i = 0; i < 5; i++)
		pg_put_be32(out + 4 * i, h[i]);
}

void pg_ws_key(const uint8_t random[PG_WS_KEY_BYTES], char out[PG_WS_KEY_TEXT])
{
	pg_b64_encode(random, PG_WS_KEY_BYTES, out);
}

void pg_ws_accept(const char *key, char out[PG_WS_ACCEPT_TEXT])
{
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	char text[PG_WS_KEY_TEXT + sizeof(guid)] = "";
	uint8_t digest[DIGEST];
	memcpy(text, key, strnlen(key, PG_WS_KEY_TEXT - 1));
	memcpy(text + PG_WS_KEY_TEXT - 1, guid, sizeof(guid));
	sha1_of_60(text, digest);
	pg_b64_encode(digest, DIGEST, out);
}
