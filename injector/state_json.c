#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "injector/kube_json.h"
#include "injector/state.h"

enum { VERSION = 1 };

/* The string `key` of `o` into `out`, exactly as it is. */
static bool take(const json_t *o, const char *key, char *out, size_t room)
{
	const char *s = pg_json_str(o, key);
	return pg_json_copy(o, key, out, room) && strcmp(s, out) == 0;
}

static int parse_agent(const json_t *o, struct pg_state_agent *a)
{
	int64_t port = pg_json_int(o, "port", 0);
	if (!take(o, "cluster", a->cluster, sizeof(a->cluster)) ||
	    !take(o, "uid", a->uid, sizeof(a->uid)) ||
	    !take(o, "container", a->container, sizeof(a->container)) ||
	    !take(o, "image", a->image, sizeof(a->image)) || port < 0 || port > 65535 ||
	    pg_profile_parse(pg_json_str(o, "profile"), &a->profile) < 0 ||
	    pg_b64_decode(pg_json_str(o, "agent_key"), a->agent_key, sizeof(a->agent_key)) < 0)
		return -EINVAL;
	pg_json_copy(o, "namespace", a->ns, sizeof(a->ns));
	pg_json_copy(o, "pod", a->pod, sizeof(a->pod));
	a->port = (uint16_t)port;
	a->created_s = pg_json_int(o, "created", 0);
	a->missed_s = pg_json_int(o, "missed", 0);
	return 0;
}

static int parse_refusal(const json_t *o, struct pg_state_refusal *r)
{
	r->until_s = pg_json_int(o, "until", 0);
	return take(o, "cluster", r->cluster, sizeof(r->cluster)) &&
			       take(o, "transport", r->transport, sizeof(r->transport))
		       ? 0
		       : -EINVAL;
}

static int parse_root(const json_t *root, struct pg_state *out)
{
	const json_t *agents = pg_json_at(root, "agents"), *refused = pg_json_at(root, "refused");
	if (pg_json_int(root, "version", 0) != VERSION || !json_is_array(agents) ||
	    !json_is_array(refused) || json_array_size(agents) > PG_STATE_AGENTS ||
	    json_array_size(refused) > PG_STATE_REFUSALS)
		return -EINVAL;
	int rc = 0;
	for (size_t i = 0; i < json_array_size(agents) && rc == 0; i++)
		rc = parse_agent(json_array_get(agents, i), &out->agents[out->agent_count++]);
	for (size_t i = 0; i < json_array_size(refused) && rc == 0; i++)
		rc = parse_refusal(json_array_get(refused, i),
				   &out->refusals[out->refusal_count++]);
	return rc;
}

int pg_state_parse(const char *text, size_t n, struct pg_state *out)
{
	memset(out, 0, sizeof(*out));
	json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);
	int rc = parse_root(root, out);
	json_decref(root);
	if (rc < 0)
		memset(out, 0, sizeof(*out));
	return rc;
}

static json_t *agent_json(const struct pg_state_agent *a)
{
	char key[PG_B64_KEY];
	pg_b64_encode(a->agent_key, sizeof(a->agent_key), key);
	return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:i,s:s,s:I,s:o*}", "cluster", a->cluster,
			 "namespace", a->ns, "pod", a->pod, "uid", a->uid, "container",
			 a->container, "image", a->image, "profile", pg_profile_name(a->profile),
			 "port", (int)a->port, "agent_key", key, "created",
			 (json_int_t)a->created_s, "missed",
			 a->missed_s ? json_integer((json_int_t)a->missed_s) : NULL);
}

int pg_state_format(const struct pg_state *st, struct pg_buf *out)
{
	json_t *agents = json_array(), *refused = json_array();
	int bad = 0;
	for (size_t i = 0; i < st->agent_count; i++)
		bad |= json_array_append_new(agents, agent_json(&st->agents[i]));
	for (size_t i = 0; i < st->refusal_count; i++) {
		const struct pg_state_refusal *r = &st->refusals[i];
		bad |= json_array_append_new(
			refused, json_pack("{s:s,s:s,s:I}", "cluster", r->cluster, "transport",
					   r->transport, "until", (json_int_t)r->until_s));
	}
	json_t *root = json_pack("{s:i,s:o,s:o}", "version", VERSION, "agents", agents, "refused",
				 refused);
	char *text = root && !bad ? json_dumps(root, JSON_INDENT(1)) : NULL;
	int rc = text ? pg_buf_addf(out, "%s\n", text) : -ENOMEM;
	free(text);
	json_decref(root);
	return rc;
}
