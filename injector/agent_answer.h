#pragma once
#include <stddef.h>
#include <stdint.h>

#include "injector/platform.h"

/* Reads what an agent answers, pure: bounded, and nothing believed that was not checked. */

/* The head and body of one HTTP/1.1 answer at the start of `n` bytes at `p`. */
struct pg_agent_answer {
	int status;
	size_t head_len;        /* with the empty line */
	size_t body_len;        /* of Content-Length; 0 for 101 */
	char proof[PG_B64_SIG]; /* of Podgraft-Proof, "" when absent */
};

enum { PG_ANSWER_HEAD_MAX = 8 << 10, PG_ANSWER_BODY_MAX = 1 << 20 };

/* 1: complete; 0: more bytes are needed; -EPROTO, -EMSGSIZE. *out is filled on 1 only. */
int pg_agent_answer_parse(const uint8_t *p, size_t n, struct pg_agent_answer *out);

/* The challenge in a JSON body. -EPROTO: a member is missing or not of its form. */
struct pg_challenge {
	uint8_t nonce[PG_NONCE_BYTES], agent_key[PG_KEY_BYTES];
	char pod_uid[PG_NAME_MAX + 1], container[PG_NAME_MAX + 1];
	char version[PG_VERSION_MAX + 1];
	unsigned protocol;
};
int pg_challenge_parse(const char *json, size_t n, struct pg_challenge *out);

/* The "error" and "hint" members of a refusal, sanitised; "" where absent. */
void pg_refusal_parse(const char *json, size_t n, char error[256], char hint[256]);
