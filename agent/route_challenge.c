#include "agent/route.h"

void pg_route_challenge(struct pg_routes *r, const struct pg_request *rq,
			const struct pg_statement *st, struct pg_answer *a)
{
	uint8_t random[PG_CHALLENGE_RANDOM], nonce[PG_NONCE_BYTES];
	char nonce_text[PG_B64_KEY], key_text[PG_B64_KEY];
	(void)rq;
	(void)st;
	pg_random(random, sizeof(random));
	pg_challenges_make(&r->challenges, random, pg_route_now_ms(r), nonce);
	pg_b64_encode(nonce, sizeof(nonce), nonce_text);
	pg_b64_encode(r->id.keys.pub, PG_KEY_BYTES, key_text);

	struct pg_json j = pg_json(&a->body);
	pg_json_open(&j, '{');
	pg_json_member_str(&j, "nonce", nonce_text);
	pg_json_member_str(&j, "agent_key", key_text);
	pg_json_member_str(&j, "pod_uid", r->id.pod_uid);
	pg_json_member_str(&j, "container", r->id.container);
	pg_json_member_str(&j, "version", r->id.version);
	pg_json_member_u64(&j, "protocol", PG_PROTOCOL);
	pg_json_member_str(&j, "profile", r->id.profile);
	pg_json_close(&j, '}');
	pg_route_finish(a, &j);
}
