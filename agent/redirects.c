#include "agent/redirects.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/redirects_impl.h"
#include "proto/base/auto.h"
#include "proto/base/mem.h"
#include "proto/io/sock.h"

enum { COUNTS_MS = 1000, TOLD_MS = 60000 };

static struct pg_redirect *find_port(struct pg_redirects *all, enum pg_direction direction,
				     uint16_t port)
{
	for (size_t i = 0; i < all->count; i++)
		if (all->table[i].direction == direction && all->table[i].port == port)
			return &all->table[i];
	return &all->orphans;
}

/* One whose redirect has gone may be taken as sent to a mesh's proxy, which lets others pass. */
static uint32_t mark_of(const struct pg_redirects *all, const struct pg_redirect *rd,
			const struct pg_arrival *a)
{
	bool wire = (rd->wire || rd == &all->orphans) && all->intake;
	return wire ? pg_rules_mark_wire(pg_intake_rules(all->intake), a->peer, a->local) : PG_MARK;
}

/* To its redirect's owner. While something is short the app serves those that a rule took just
 * before: what is parked is not the laptop's. */
static void hand_over(struct pg_redirects *all, const struct pg_redirect *rd, struct pg_arrival *a)
{
	a->mark = mark_of(all, rd, a);
	a->to_app = a->is_probe || all->shortage != 0;
	if (a->to_app && !a->is_probe && rd->terms.no_fallback)
		pg_sock_close_reset(a->fd);
	else
		rd->owner->arrived(rd->ctx, rd, a);
}

static void on_arrived(void *ctx, int fd, const struct sockaddr_storage *peer,
		       const struct sockaddr_storage *local, enum pg_direction direction)
{
	struct pg_redirects *all = ctx;
	uint8_t bytes[16];
	uint16_t port = 0;
	pg_pressure_file(all->pressure, fd);
	pg_addr_bytes(local, bytes, &port);
	const struct pg_redirect *rd = find_port(all, direction, port);
	struct pg_look look = { fd, *peer, *local, rd->serial, rd->terms.grpc };
	struct pg_arrival arrival = { .fd = fd, .peer = peer, .local = local };
	if (!pg_nodes_have(&rd->terms.nodes, peer) || pg_looks_add(all->looks, &look) < 0)
		hand_over(all, rd, &arrival);
}

/* A connection from the node has said what it is; its redirect may have gone meanwhile. */
static void on_looked(void *ctx, const struct pg_look *look, struct pg_byteq *first, bool is_probe)
{
	struct pg_redirects *all = ctx;
	const struct pg_redirect *rd = &all->orphans;
	struct pg_arrival arrival = { .fd = look->fd,
				      .peer = &look->peer,
				      .local = &look->local,
				      .first = first,
				      .is_probe = is_probe };
	for (size_t i = 0; i < all->count; i++)
		if (all->table[i].serial == look->serial)
			rd = &all->table[i];
	hand_over(all, rd, &arrival);
	pg_byteq_fini(first);
}

struct pg_redirects *pg_redirects_new(struct pg_loop *loop, const struct pg_log *log,
				      const char *tag, struct pg_pressure *pressure,
				      const struct pg_redirect_owner *orphans, void *ctx)
{
	struct pg_redirects *all = pg_calloc(1, sizeof(*all));
	if (!all)
		return NULL;
	all->looks = pg_looks_new(loop, on_looked, all);
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
	uv_timer_init(pg_loop_uv(loop), &all->forget);
	all->renew.data = all->counts.data = all->forget.data = all;
	all->open_handles = 3;
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

static bool has_room(void *ctx)
{
	struct pg_redirects *all = ctx;
	return pg_pressure_has_room(all->pressure);
}

static void tell_counts(struct pg_redirect *rd)
{
	if (rd->has_news)
		rd->owner->counted(rd->ctx, rd);
	rd->has_news = false;
}

/* Another has the port now: what the rule took before goes to the laptop, then the redirect ends.
 */
static void lose(struct pg_redirects *all, struct pg_redirect *rd, const struct pg_claim *by,
		 bool is_told)
{
	redirects_say_taken(all, rd, by->holder);
	pg_intake_empty(all->intake);
	tell_counts(rd);
	if (is_told)
		rd->owner->taken(rd->ctx, rd, by);
	*rd = all->table[--all->count];
}

static void on_taken(void *ctx, enum pg_direction direction, uint16_t port,
		     const struct pg_claim *by)
{
	struct pg_redirects *all = ctx;
	struct pg_redirect *rd = find_port(all, direction, port);
	if (rd != &all->orphans)
		lose(all, rd, by, true);
}

static void on_wanted(void *ctx)
{
	struct pg_redirects *all = ctx;
	pg_rules_give_up(pg_intake_rules(all->intake), on_taken, all);
}

/* Those that the rules have lost. */
static void lose_taken(struct pg_redirects *all)
{
	for (size_t i = all->count; i-- > 0;) {
		struct pg_redirect *rd = &all->table[i];
		struct pg_claim by;
		if (!pg_rules_has(pg_intake_rules(all->intake), rd->direction, rd->port, &by))
			lose(all, rd, &by, true);
	}
}

/* Also without redirects, while connections live: the listeners are shielded by a lease. */
static void on_renew(uv_timer_t *timer)
{
	struct pg_redirects *all = timer->data;
	struct pg_err err = { 0 };
	int rc = pg_rules_renew(pg_intake_rules(all->intake), &err);
	if (rc > 0 && pg_rate_pass(&all->restored, 1, TOLD_MS, pg_loop_now_ms(all->loop)) > 0)
		pg_log(all->log, PG_WARN, "somebody removed our rules: they are made again");
	if (rc >= 0)
		return;
	if (pg_rate_pass(&all->failed, 1, TOLD_MS, pg_loop_now_ms(all->loop)) > 0)
		pg_log(all->log, PG_ERROR, "cannot renew the lease of the rules: %s", err.what);
	lose_taken(all);
}

static const struct pg_intake_events intake_events = { .arrived = on_arrived,
						       .wanted = on_wanted,
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

/* Parks `rd`, or takes its port again, as its laptop and what is short would have it. */
static int settle(struct pg_redirects *all, struct pg_redirect *rd, struct pg_err *err)
{
	bool park = rd->unserved || (all->shortage != 0 && !rd->terms.no_fallback);
	if (rd->parked == park)
		return 0;
	int rc = pg_rules_park(pg_intake_rules(all->intake), rd->direction, rd->port, park, err);
	if (rc < 0)
		return rc;
	rd->parked = park;
	if (park)
		redirects_say_parked(all, rd);
	else
		redirects_say(all, rd, PG_STATUS_RESUMED, "");
	return 0;
}

/* 0, or -1 with things as they were, or -EBUSY: another agent has its port, and it is no more. */
static int settle_or_log(struct pg_redirects *all, struct pg_redirect *rd)
{
	struct pg_err err = { 0 };
	int rc = settle(all, rd, &err);
	if (rc == 0)
		return 0;
	pg_log(all->log, PG_ERROR, "redirect of %sport %u: cannot %s: %s",
	       pg_direction_word(rd->direction), rd->port, rd->parked ? "take it again" : "park it",
	       err.what);
	if (rc != -EBUSY)
		return -1;
	struct pg_claim by;
	pg_rules_has(pg_intake_rules(all->intake), rd->direction, rd->port, &by);
	lose(all, rd, &by, true);
	return rc;
}

static struct pg_redirect *find_arming(struct pg_redirects *all, uint32_t arming)
{
	for (size_t i = 0; i < all->count; i++)
		if (all->table[i].arming == arming)
			return &all->table[i];
	return NULL;
}

void pg_redirects_park(struct pg_redirects *all, uint32_t arming)
{
	struct pg_redirect *rd = find_arming(all, arming);
	if (!rd || rd->unserved || rd->terms.no_fallback)
		return;
	rd->unserved = true;
	if (settle_or_log(all, rd) < 0)
		rd->unserved = false;
	else
		rd->owner->changed(rd->ctx, rd);
}

void pg_redirects_shortage(struct pg_redirects *all, int code)
{
	all->shortage = code;
	for (size_t i = all->count; i-- > 0;) {
		struct pg_redirect *rd = &all->table[i];
		bool was = rd->parked;
		if (settle_or_log(all, rd) == 0 && rd->parked != was)
			rd->owner->changed(rd->ctx, rd);
	}
}

void pg_redirects_tell_again(struct pg_redirects *all, const void *ctx)
{
	for (size_t i = 0; i < all->count; i++)
		if (all->table[i].ctx == ctx)
			all->table[i].owner->changed(all->table[i].ctx, &all->table[i]);
}

int pg_redirects_short_of(const struct pg_redirects *all)
{
	return all->shortage;
}

static void on_counts(uv_timer_t *timer)
{
	struct pg_redirects *all = timer->data;
	for (size_t i = 0; i < all->count; i++)
		tell_counts(&all->table[i]);
}

void pg_redirects_served(struct pg_redirects *all, uint32_t serial, enum pg_served how)
{
	for (size_t i = 0; i < all->count; i++) {
		if (all->table[i].serial != serial)
			continue;
		all->table[i].served[how]++;
		all->table[i].has_news = true;
		if (!uv_is_active((uv_handle_t *)&all->counts))
			uv_timer_start(&all->counts, on_counts, COUNTS_MS, 0);
	}
}

enum why_removed { FOR_GOOD, LAPTOP_AWAY };

static void remove_at(struct pg_redirects *all, size_t i, enum why_removed why)
{
	struct pg_err err = { 0 };
	struct pg_redirect *rd = &all->table[i];
	int rc = pg_rules_remove(pg_intake_rules(all->intake), rd->direction, rd->port, &err);
	if (rc < 0)
		pg_log(all->log, PG_ERROR, "redirect of %sport %u: %s",
		       pg_direction_word(rd->direction), rd->port, err.what);
	if (why == LAPTOP_AWAY)
		redirects_away_add(all, rd);
	else if (rc == 0)
		redirects_say(all, rd, PG_STATUS_STOPPED, "");
	tell_counts(rd);
	pg_intake_empty(all->intake);
	*rd = all->table[--all->count];
}

/* The same user's other podgraft has the port: it is told, as one of another agent would be. */
static void take_from_session(struct pg_redirects *all, struct pg_redirect *rd, const char *holder)
{
	struct pg_claim by = { .since = (uint64_t)time(NULL) };
	struct pg_err err = { 0 };
	snprintf(by.holder, sizeof(by.holder), "%s", holder);
	if (pg_rules_remove(pg_intake_rules(all->intake), rd->direction, rd->port, &err) < 0)
		pg_log(all->log, PG_ERROR, "%s", err.what);
	on_taken(all, rd->direction, rd->port, &by);
}

/* Whoever of this agent's own has the port gives way, if that may be. */
static void make_way(struct pg_redirects *all, const struct pg_rule *rule, const void *ctx)
{
	struct pg_redirect *there = find_port(all, rule->direction, rule->port);
	if (there == &all->orphans)
		return;
	if (there->owner->yield(there->ctx))
		remove_at(all, (size_t)(there - all->table), FOR_GOOD);
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
		remove_at(all, all->count - 1, FOR_GOOD);
	else
		settle_or_log(all, rd);
	return rc;
}

/* Its laptop serves again. While it was parked, without a lease as the agent hung, another agent
 * may have taken its port. */
static int start_again(struct pg_redirects *all, struct pg_redirect *rd, struct pg_claim *claim_out,
		       struct pg_err *err)
{
	int rc = settle(all, rd, err);
	if (rc == -EBUSY) {
		pg_rules_has(pg_intake_rules(all->intake), rd->direction, rd->port, claim_out);
		lose(all, rd, claim_out, false);
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
	struct pg_redirect *there = find_port(all, rule->direction, rule->port);
	struct pg_away_redirect away;
	if (there->id == id && there->ctx == ctx && there->port == rule->port) {
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

int pg_redirects_stop(struct pg_redirects *all, uint32_t id, void *ctx, struct pg_err *err)
{
	for (size_t i = 0; i < all->count; i++) {
		if (all->table[i].id == id && all->table[i].ctx == ctx) {
			remove_at(all, i, FOR_GOOD);
			return 0;
		}
	}
	return pg_fail(err, -ENOENT, "no redirect %u in this session.", id);
}

void pg_redirects_stop_all(struct pg_redirects *all, const void *ctx)
{
	for (size_t i = all->count; i-- > 0;)
		if (all->table[i].ctx == ctx)
			remove_at(all, i, FOR_GOOD);
}

void pg_redirects_leave(struct pg_redirects *all, const void *ctx)
{
	for (size_t i = all->count; i-- > 0;)
		if (all->table[i].ctx == ctx)
			remove_at(all, i, LAPTOP_AWAY);
}

const struct pg_away *pg_redirects_away(const struct pg_redirects *all)
{
	return &all->away;
}

void pg_redirects_end(struct pg_redirects *all)
{
	all->is_ending = true;
	for (size_t i = all->count; i-- > 0;)
		remove_at(all, i, FOR_GOOD);
	redirects_away_clear(all);
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
	uv_close((uv_handle_t *)&all->renew, on_closed);
	uv_close((uv_handle_t *)&all->counts, on_closed);
	uv_close((uv_handle_t *)&all->forget, on_closed);
}
