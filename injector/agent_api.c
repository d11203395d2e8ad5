#include "injector/agent_api.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "injector/agent_answer.h"
#include "proto/base/mem.h"
#include "proto/wire/hello.h"

enum { ANSWER_MS = 10000 };

struct pg_agent_conn {
	struct pg_loop *loop;
	struct pg_lane *lane;
	const struct pg_pod *pod;
	const struct pg_graft *graft;
	struct pg_challenge challenge;
	struct pg_buf out, in;
	struct pg_err why; /* of the lane's end */
	bool stirred;      /* bytes or the end have come */
	bool ended;
};

static void on_received(void *ctx, const uint8_t *p, size_t n)
{
	struct pg_agent_conn *c = ctx;
	if (pg_buf_add(&c->in, p, n) < 0) {
		pg_fail(&c->why, -EMSGSIZE, "the agent says too much.");
		c->ended = true;
	}
	c->stirred = true;
}

static int on_pull(void *ctx, struct iovec *slots, int count)
{
	struct pg_agent_conn *c = ctx;
	if (c->out.len == 0 || count == 0)
		return 0;
	size_t n = c->out.len < slots[0].iov_len ? c->out.len : slots[0].iov_len;
	memcpy(slots[0].iov_base, c->out.data, n);
	slots[0].iov_len = n;
	pg_buf_drop(&c->out, n);
	return 1;
}

static void on_ended(void *ctx, const struct pg_err *why)
{
	struct pg_agent_conn *c = ctx;
	if (why)
		c->why = *why;
	else
		pg_fail(&c->why, -ECONNRESET, "the agent closed the connection.");
	c->ended = c->stirred = true;
}

/* What came is no `what` that an agent of ours could give. */
static int not_of_an_agent(const struct pg_agent_conn *c, int code, const char *what,
			   struct pg_err *err)
{
	pg_fail(err, code, "what listens on port %u of pod '%s' gives no %s of an agent.",
		c->graft->port, c->pod->name, what);
	return pg_hint(err, PG_TARGET,
		       "choose podgraft's agent with --image; see what this one says: kubectl logs "
		       "-n %s %s -c %s",
		       c->pod->ns, c->pod->name, c->graft->container);
}

/* Sends a request and waits for its complete answer: head at c->in.data, body after it. */
static int exchange(struct pg_agent_conn *c, const char *method, const char *path,
		    const char *headers, struct pg_agent_answer *answer, struct pg_err *err)
{
	c->in.len = 0;
	int rc = pg_buf_addf(&c->out, "%s %s HTTP/1.1\r\nHost: podgraft-agent\r\n%s\r\n", method,
			     path, headers);
	if (rc < 0)
		return pg_fail(err, rc, "ask the agent");
	pg_lane_kick(c->lane);
	uint64_t deadline = pg_loop_now_ms(c->loop) + ANSWER_MS;
	while ((rc = pg_agent_answer_parse(c->in.data, c->in.len, answer)) == 0) {
		if (c->ended) {
			*err = c->why;
			return err->code;
		}
		c->stirred = false;
		rc = pg_loop_wait(c->loop, &c->stirred, deadline);
		if (rc < 0)
			break;
	}
	if (rc == -ETIMEDOUT) {
		pg_fail(err, rc, "the agent did not answer within %d s.", ANSWER_MS / 1000);
		return pg_hint(err, PG_TARGET, "see what it says: kubectl logs -n %s %s -c %s",
			       c->pod->ns, c->pod->name, c->graft->container);
	}
	if (rc == -ECANCELED)
		return pg_fail(err, rc, "interrupted.");
	return rc < 0 ? not_of_an_agent(c, rc, "answer", err) : 0;
}

/* What the agent has too much of at this moment, it may not have in the next. */
static bool is_passing(int status)
{
	return status == 429 || status == 503;
}

/* An error from an answer that is not the wanted one. */
static int refused(struct pg_agent_conn *c, const struct pg_agent_answer *answer,
		   struct pg_err *err)
{
	char error[256], hint[256];
	pg_refusal_parse((const char *)c->in.data + answer->head_len, answer->body_len, error,
			 hint);
	pg_fail(err, is_passing(answer->status) ? -EAGAIN : -EACCES, "the agent refuses (%d): %s.",
		answer->status, error[0] ? error : "no reason given");
	return pg_hint(err, PG_TARGET, "%s", hint);
}

/* The challenge must come from the agent that we grafted: its key was read from its log. */
static int check_challenge(struct pg_agent_conn *c, struct pg_err *err)
{
	const struct pg_challenge *ch = &c->challenge;
	if (memcmp(ch->agent_key, c->graft->agent_key, PG_KEY_BYTES) != 0 ||
	    strcmp(ch->pod_uid, c->pod->uid) != 0 ||
	    strcmp(ch->container, c->graft->container) != 0) {
		pg_fail(err, -EACCES, "what listens on port %u of pod '%s' is not the agent '%s'.",
			c->graft->port, c->pod->name, c->graft->container);
		return pg_hint(err, PG_TARGET,
			       "something else has taken its port: look at the pod's processes "
			       "before you trust it");
	}
	return pg_hello_check(ch->protocol, ch->version, err);
}

static int fetch_challenge(struct pg_agent_conn *c, struct pg_err *err)
{
	struct pg_agent_answer answer;
	int rc = exchange(c, "GET", "/v1/challenge", "", &answer, err);
	if (rc < 0)
		return rc;
	if (answer.status != 200)
		return refused(c, &answer, err);
	rc = pg_challenge_parse((const char *)c->in.data + answer.head_len, answer.body_len,
				&c->challenge);
	return rc < 0 ? not_of_an_agent(c, rc, "challenge", err) : check_challenge(c, err);
}

int pg_agent_connect(struct pg_loop *loop, struct pg_platform *platform, const struct pg_pod *pod,
		     const struct pg_graft *graft, struct pg_agent_conn **out, struct pg_err *err)
{
	struct pg_agent_conn *c = pg_calloc(1, sizeof(*c));
	if (!c)
		return pg_fail(err, -ENOMEM, "connect to the agent");
	*c = (struct pg_agent_conn){ .loop = loop,
				     .pod = pod,
				     .graft = graft,
				     .out = PG_BUF_INIT(64 << 10),
				     .in = PG_BUF_INIT(PG_ANSWER_HEAD_MAX + PG_ANSWER_BODY_MAX) };
	struct pg_lane_events events = { on_received, on_pull, on_ended };
	int rc = platform->ops->dial(platform, pod, graft->port, events, c, &c->lane, err);
	if (rc == 0)
		rc = fetch_challenge(c, err);
	if (rc < 0) {
		pg_agent_disconnect(c);
		return rc;
	}
	*out = c;
	return 0;
}

void pg_agent_disconnect(struct pg_agent_conn *c)
{
	if (!c)
		return;
	if (c->lane)
		pg_lane_close(c->lane);
	pg_buf_fini(&c->in);
	pg_buf_fini(&c->out);
	free(c);
}

/* Whether the recorded agent is dead or hangs. What answers but is not the agent is worth a word
 * instead: the person should know that something took its port. */
static bool is_dead(const struct pg_err *err)
{
	return err->whose == PG_TARGET && err->code != -EACCES && err->code != -EPROTO &&
	       err->code != -EAGAIN;
}

int pg_agent_reach(struct pg_loop *loop, struct pg_platform *platform, const struct pg_pod *pod,
		   const struct pg_graft_spec *spec, struct pg_graft *graft,
		   struct pg_agent_conn **out, struct pg_err *err)
{
	for (int attempt = 0;; attempt++) {
		int rc = platform->ops->graft(platform, pod, spec, graft, err);
		if (rc < 0)
			return rc;
		rc = pg_agent_connect(loop, platform, pod, graft, out, err);
		if (rc == 0 || !graft->reused || attempt > 0 || !is_dead(err))
			return rc;
		platform->ops->forget(platform, pod, graft);
	}
}

/* Our half of the proof over the connection's challenge. */
static void prove(const struct pg_agent_conn *c, const struct pg_keys *keys,
		  enum pg_purpose purpose, const uint8_t *session, struct pg_statement *st,
		  char out[PG_AUTHZ_MAX])
{
	uint8_t sig[PG_SIG_BYTES];
	*st = (struct pg_statement){ .purpose = purpose };
	memcpy(st->pod_uid, c->challenge.pod_uid, sizeof(st->pod_uid));
	memcpy(st->container, c->challenge.container, sizeof(st->container));
	memcpy(st->laptop_key, keys->pub, PG_KEY_BYTES);
	memcpy(st->agent_key, c->graft->agent_key, PG_KEY_BYTES);
	memcpy(st->agent_nonce, c->challenge.nonce, PG_NONCE_BYTES);
	pg_random(st->laptop_nonce, PG_NONCE_BYTES);
	snprintf(st->laptop_version, sizeof(st->laptop_version), "%s", PG_VERSION);
	memcpy(st->agent_version, c->challenge.version, sizeof(st->agent_version));
	if (session)
		memcpy(st->session, session, PG_SESSION_BYTES);
	pg_statement_sign(st, PG_ROLE_LAPTOP, keys, sig);
	pg_authz_format(st, sig, out);
}

void pg_agent_token(struct pg_agent_conn *c, const struct pg_keys *keys, char out[PG_AUTHZ_MAX])
{
	struct pg_statement st;
	prove(c, keys, PG_PURPOSE_READ, NULL, &st, out);
}

int pg_agent_get(struct pg_agent_conn *c, const struct pg_keys *keys, const char *path,
		 struct pg_buf *body, struct pg_err *err)
{
	char value[PG_AUTHZ_MAX], headers[PG_AUTHZ_MAX + 32];
	struct pg_agent_answer answer;
	struct pg_statement st;
	prove(c, keys, PG_PURPOSE_READ, NULL, &st, value);
	snprintf(headers, sizeof(headers), "Authorization: %s\r\n", value);
	int rc = exchange(c, "GET", path, headers, &answer, err);
	if (rc < 0)
		return rc;
	if (answer.status != 200)
		return refused(c, &answer, err);
	rc = pg_buf_add(body, c->in.data + answer.head_len, answer.body_len);
	return rc < 0 ? pg_fail(err, rc, "keep the agent's answer") : 0;
}

/* The agent's half: it must be signed by the key that its log showed. */
static int check_proof(const struct pg_statement *st, const struct pg_agent_answer *answer,
		       struct pg_err *err)
{
	uint8_t sig[PG_SIG_BYTES];
	if (pg_b64_decode(answer->proof, sig, sizeof(sig)) == 0 &&
	    pg_statement_verify(st, PG_ROLE_AGENT, sig) == 0)
		return 0;
	pg_fail(err, -EACCES, "the agent could not prove that it is the one we grafted.");
	return pg_hint(err, PG_TARGET,
		       "something else may have taken its port: look at the pod's "
		       "processes before you trust it");
}

int pg_agent_link(struct pg_agent_conn *c, const struct pg_keys *keys,
		  const uint8_t session[PG_SESSION_BYTES], const struct pg_link_config *config,
		  struct pg_link **out, struct pg_err *err)
{
	char value[PG_AUTHZ_MAX], headers[PG_AUTHZ_MAX + 96];
	struct pg_agent_answer answer;
	struct pg_statement st;
	prove(c, keys, PG_PURPOSE_LINK, session, &st, value);
	snprintf(headers, sizeof(headers),
		 "Connection: Upgrade\r\nUpgrade: podgraft/1\r\nContent-Length: "
		 "0\r\nAuthorization: %s\r\n",
		 value);
	int rc = exchange(c, "POST", "/v1/link", headers, &answer, err);
	if (rc == 0 && answer.status != 101)
		rc = refused(c, &answer, err);
	if (rc == 0)
		rc = check_proof(&st, &answer, err);
	if (rc == 0 && c->ended) { /* with its answer: the new owner would not be told */
		*err = c->why;
		rc = err->code;
	}
	if (rc == 0) {
		struct pg_lane *lane = pg_take_ptr(&c->lane);
		rc = pg_link_new(c->loop, lane, config, c->in.data + answer.head_len,
				 c->in.len - answer.head_len, out);
		if (rc < 0)
			pg_fail(err, rc, "make the link");
	}
	pg_agent_disconnect(c);
	return rc;
}
