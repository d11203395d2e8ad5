#include "agent/redirects.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "agent/redirects_impl.h"
#include "proto/base/auto.h"
#include "proto/base/mem.h"

enum { TOLD_MS = 60000 };

bool redirects_is_at(const struct pg_redirect *rd, enum pg_direction direction, uint16_t port)
{
	return rd->direction == direction && rd->port == port;
}

struct pg_redirect *redirects_find(struct pg_redirects *all, enum pg_direction direction,
				   uint16_t port)
{
	for (size_t i = 0; i < all->count; i++)
		if (redirects_is_at(&all->table[i], direction, port))
			return &all->table[i];
	return NULL;
}

struct pg_redirects *pg_redirects_new(struct pg_loop *loop, const struct pg_log *log,
				      const char *tag, struct pg_pressure *pressure,
				      const struct pg_redirect_owner *orphans, void *ctx)
{
	struct pg_redirects *all = pg_calloc(1, sizeof(*all));
	if (!all)
		return NULL;
	all->looks = pg_looks_new(loop, redirects_on_looked, all);
	if (!all->looks) {
		free(all);
		return NULL;
	}
	all->loop = loop;
	all->log = log;
	all->tag = tag;
	all->pressure = pressure;
	all->orphans = (struct pg_redirect){ .owner = orphans, .ctx = ctx };
	uv_timer_init(pg_loop_uv(loop), &all->renew);
	uv_timer_init(pg_loop_uv(loop), &all->counts);
	uv_timer_init(pg_loop_uv(loop), &all->last_counts);
	uv_timer_init(pg_loop_uv(loop), &all->forget);
	all->renew.data = all->counts.data = all->last_counts.data = all->forget.data = all;
	all->open_handles = 4;
	all->away_ms = PG_AWAY_MS;
	return all;
}

void pg_redirects_disown(struct pg_redirects *all)
{
	all->disowned = true;
}

void pg_redirects_expect_back(struct pg_redirects *all, uint64_t ms)
{
	all->away_ms = ms;
}

/* Who comes by it while something is short is reset, unless it is to be looked at, for it may be a
 * probe. */
static bool resets(const struct pg_redirect *rd)
{
	return rd->terms.no_fallback && rd->terms.nodes.count == 0;
}

/* Whether all that come while something is short are reset, which takes no room. */
static bool resets_all(const struct pg_redirects *all)
{
	for (size_t i = 0; i < all->count; i++)
		if (!resets(&all->table[i]))
			return false;
	for (const struct redirects_leaving *l = all->leaving; l; l = l->next)
		if (!resets(&l->rd))
			return false;
	return all->count > 0;
}

static bool has_room(void *ctx)
{
	struct pg_redirects *all = ctx;
	return pg_pressure_has_room(all->pressure) || (all->shortage != 0 && resets_all(all));
}

/* Also without redirects, while connections live: the listeners are shielded by a lease. */
static void on_renew(uv_timer_t *timer)
{
	struct pg_redirects *all = timer->data;
	struct pg_err err = { 0 };
	int rc = pg_rules_renew(pg_intake_rules(all->intake), &err);
	if (rc > 0 && pg_quota_pass(&all->restored, 1, TOLD_MS, pg_loop_now_ms(all->loop)) > 0)
		pg_log(all->log, PG_WARN, "somebody removed our rules: they are made again");
	if (rc >= 0)
		return;
	if (pg_quota_pass(&all->failed, 1, TOLD_MS, pg_loop_now_ms(all->loop)) > 0)
		pg_log(all->log, PG_ERROR, "cannot renew the lease of the rules: %s", err.what);
	redirects_lose_taken(all);
}

static const struct pg_intake_events intake_events = { .arrived = redirects_on_arrived,
						       .wanted = redirects_on_wanted,
						       .has_room = has_room };

static void close_intake(struct pg_redirects *all)
{
	uv_timer_stop(&all->renew);
	pg_intake_close(pg_take_ptr(&all->intake));
}

static int open_intake(struct pg_redirects *all, struct pg_err *err)
{
	struct pg_rules_config config = { .owner_tag = all->tag, .no_owner_flag = all->disowned };
	int rc = pg_intake_open(all->loop, all->log, &config, &intake_events, all, &all->intake,
				err);
	if (rc == 0)
		uv_timer_start(&all->renew, on_renew, PG_LEASE_RENEW_MS, PG_LEASE_RENEW_MS);
	return rc;
}

/* The same user's other podgraft has the port: it is told, as one of another agent would be. */
static void take_from_session(struct pg_redirects *all, struct pg_redirect *rd, const char *holder)
{
	struct pg_claim by = { .since = (uint64_t)time(NULL) };
	struct pg_err err = { 0 };
	snprintf(by.holder, sizeof(by.holder), "%s", holder);
	if (pg_rules_remove(pg_intake_rules(all->intake), rd->direction, rd->port, &err) < 0)
		pg_log(all->log, PG_ERROR, "%s", err.what);
	redirects_lose(all, rd, &by, true);
}

/* Whoever of this agent's own has the port gives way, if that may be. */
static void make_way(struct pg_redirects *all, const struct pg_rule *rule, const void *ctx)
{
	struct pg_redirect *there = redirects_find(all, rule->direction, rule->port);
	if (!there)
		return;
	if (there->owner->yield(there->ctx))
		redirects_remove(all, there, REDIRECTS_FOR_GOOD);
	else if (rule->take_over && there->ctx != ctx)
		take_from_session(all, there, rule->holder);
}

/* Takes the port and adds `wanted`. */
static int add(struct pg_redirects *all, const struct pg_redirect *wanted,
	       const struct pg_rule *rule, struct pg_claim *claim_out, struct pg_err *err)
{
	if (all->count == REDIRECTS_MAX)
		return pg_fail(err, -ENOSPC, "this agent has %d redirects already.", REDIRECTS_MAX);
	int rc = all->intake ? 0 : open_intake(all, err);
	if (rc == 0)
		rc = pg_rules_add(pg_intake_rules(all->intake), rule, claim_out, err);
	if (rc < 0)
		return rc;
	struct pg_redirect *rd = &all->table[all->count++];
	*rd = *wanted;
	rd->since = (uint64_t)time(NULL);
	rd->serial = ++all->serials;
	rd->arming = ++all->armings;
	if (rd->terms.nodes.count > 0)
		pg_nodes_add_gateways(&rd->terms.nodes);
	snprintf(rd->holder, sizeof(rd->holder), "%s", rule->holder);
	redirects_say(all, rd, PG_STATUS_STARTED, pg_redirects_mechanism(all, rule->direction));
	rc = pg_intake_watch(all->intake, err);
	if (rc < 0) /* nobody would take its connections */
		redirects_remove(all, rd, REDIRECTS_FOR_GOOD);
	else
		redirects_settle_or_log(all, rd);
	return rc;
}

/* Its laptop serves again. While it was parked, without a lease as the agent hung, another agent
 * may have taken its port. */
static int start_again(struct pg_redirects *all, struct pg_redirect *rd, struct pg_claim *claim_out,
		       struct pg_err *err)
{
	int rc = redirects_settle(all, rd, err);
	if (rc == -EBUSY) {
		pg_rules_has(pg_intake_rules(all->intake), rd->direction, rd->port, claim_out);
		redirects_lose(all, rd, claim_out, false);
	}
	return rc;
}

int pg_redirects_start(struct pg_redirects *all, uint32_t id, const struct pg_rule *rule,
		       const struct pg_redirect_terms *terms, const struct pg_redirect_owner *owner,
		       void *ctx, struct pg_claim *claim_out, struct pg_err *err)
{
	const struct pg_redirect wanted = { .id = id,
					    .direction = rule->direction,
					    .port = rule->port,
					    .wire = rule->wire,
					    .terms = *terms,
					    .owner = owner,
					    .ctx = ctx };
	struct pg_redirect *there = redirects_find(all, rule->direction, rule->port);
	struct pg_away_redirect away;
	if (there && there->id == id && there->ctx == ctx) {
		there->unserved = false;
		there->arming = ++all->armings;
		return start_again(all, there, claim_out, err);
	}
	if (all->is_ending) {
		pg_fail(err, -ESHUTDOWN, "the agent ends at this moment.");
		return pg_hint(err, PG_TARGET, "try again: another agent takes its place");
	}
	bool is_back = pg_away_take(&all->away, rule->direction, rule->port, &away);
	make_way(all, rule, ctx);
	int rc = add(all, &wanted, rule, claim_out, err);
	if (rc < 0 && is_back)
		redirects_say_forgotten(all, &away, "");
	return rc;
}

void pg_redirects_take_no_more(struct pg_redirects *all, enum pg_direction direction, uint16_t port)
{
	if (all->intake)
		pg_rules_take_no_more(pg_intake_rules(all->intake), direction, port);
}

const struct pg_away *pg_redirects_away(const struct pg_redirects *all)
{
	return &all->away;
}

size_t pg_redirects_looking(const struct pg_redirects *all)
{
	return pg_looks_count(all->looks);
}

size_t pg_redirects_count(const struct pg_redirects *all)
{
	return all->count;
}

const char *pg_redirects_mechanism(const struct pg_redirects *all, enum pg_direction direction)
{
	return all->intake ? pg_rules_mechanism(pg_intake_rules(all->intake), direction) : "";
}

void pg_redirects_rest(struct pg_redirects *all)
{
	if (all->intake && all->count == 0)
		close_intake(all);
}

static void on_closed(uv_handle_t *handle)
{
	struct pg_redirects *all = handle->data;
	if (--all->open_handles == 0)
		free(all);
}

void pg_redirects_close(struct pg_redirects *all)
{
	pg_looks_close(all->looks);
	pg_redirects_end(all);
	pg_redirects_rest(all);
	redirects_drop_ended(all, NULL);
	uv_close((uv_handle_t *)&all->renew, on_closed);
	uv_close((uv_handle_t *)&all->counts, on_closed);
	uv_close((uv_handle_t *)&all->last_counts, on_closed);
	uv_close((uv_handle_t *)&all->forget, on_closed);
}
