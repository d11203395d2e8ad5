#include "agent/redirects.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uv.h>

#include "agent/intake.h"
#include "agent/looks.h"
#include "proto/base/auto.h"
#include "proto/base/mem.h"
#include "proto/io/sock.h"
#include "proto/io/status_line.h"

enum {
	REDIRECTS_MAX = 256,
	COUNTS_MS = 1000,
	SAY_AGAIN = 100, /* after so many lines what stands is said again: a log's end tells all */
};

struct pg_redirects {
	struct pg_loop *loop;
	const struct pg_log *log;
	const char *tag;
	bool disowned;
	struct pg_pressure *pressure;
	struct pg_redirect orphans; /* for what a rule took just before it went */
	struct pg_redirect table[REDIRECTS_MAX];
	size_t count;
	struct pg_looks *looks;
	struct pg_intake *intake; /* NULL while there is no redirect */
	int shortage;             /* EMFILE or ENOMEM: parked, all but those of no_fallback; or 0 */
	uint32_t serials;         /* given so far */
	unsigned lines;           /* of the log, since what stands was said */
	uv_timer_t renew, counts;
	int open_handles;
};

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
	all->renew.data = all->counts.data = all;
	all->open_handles = 2;
	return all;
}

void pg_redirects_disown(struct pg_redirects *all)
{
	all->disowned = true;
}

static bool has_room(void *ctx)
{
	struct pg_redirects *all = ctx;
	return pg_pressure_has_room(all->pressure);
}

/* A line for `podgraft status`; `who` is not always the redirect's own laptop. */
static void write_line(struct pg_redirects *all, const struct pg_redirect *rd,
		       enum pg_status_event event, const char *note, const char *who)
{
	struct pg_status_line line = { .at = (uint64_t)time(NULL),
				       .outgoing = rd->direction == PG_OUTGOING,
				       .port = rd->port,
				       .event = event,
				       .since = rd->since };
	char text[PG_STATUS_LINE];
	snprintf(line.note, sizeof(line.note), "%s", note);
	snprintf(line.who, sizeof(line.who), "%s", who[0] ? who : "somebody");
	pg_status_line_format(&line, text);
	pg_log(all->log, PG_INFO, "%s", text);
}

static const char *why_parked(const struct pg_redirects *all, const struct pg_redirect *rd)
{
	return rd->unserved              ? "the laptop does not answer"
	       : all->shortage == ENOMEM ? "connections hold too much memory"
					 : "descriptors run short";
}

static void say_standing(struct pg_redirects *all)
{
	all->lines = 0;
	for (size_t i = 0; i < all->count; i++) {
		const struct pg_redirect *rd = &all->table[i];
		write_line(all, rd, rd->parked ? PG_STATUS_PARKED : PG_STATUS_STARTED,
			   rd->parked ? why_parked(all, rd)
				      : pg_redirects_mechanism(all, rd->direction),
			   rd->holder);
	}
}

static void say(struct pg_redirects *all, const struct pg_redirect *rd, enum pg_status_event event,
		const char *note)
{
	if (all->lines++ == SAY_AGAIN)
		say_standing(all);
	write_line(all, rd, event, note, rd->holder);
}

static void tell_counts(struct pg_redirect *rd)
{
	if (rd->has_news)
		rd->owner->counted(rd->ctx, rd);
	rd->has_news = false;
}

/* Another has the port now: what the rule took before goes to the laptop, then the redirect ends.
 */
static void on_taken(void *ctx, enum pg_direction direction, uint16_t port,
		     const struct pg_claim *by)
{
	struct pg_redirects *all = ctx;
	struct pg_redirect *rd = find_port(all, direction, port);
	if (rd == &all->orphans)
		return;
	write_line(all, rd, PG_STATUS_TAKEN_OVER, "", by->holder);
	pg_intake_empty(all->intake);
	tell_counts(rd);
	rd->owner->taken(rd->ctx, rd, by);
	*rd = all->table[--all->count];
}

static void on_wanted(void *ctx)
{
	struct pg_redirects *all = ctx;
	pg_rules_give_up(pg_intake_rules(all->intake), on_taken, all);
}

static void on_renew(uv_timer_t *timer)
{
	struct pg_redirects *all = timer->data;
	struct pg_rules *rules = all->count > 0 ? pg_intake_rules(all->intake) : NULL;
	struct pg_err err = { 0 };
	if (!rules || pg_rules_renew(rules, &err) == 0)
		return;
	pg_log(all->log, PG_ERROR, "cannot renew the lease of the rules: %s", err.what);
	for (size_t i = all->count; i-- > 0;) {
		const struct pg_redirect *rd = &all->table[i];
		struct pg_claim by;
		if (!pg_rules_has(rules, rd->direction, rd->port, &by))
			on_taken(all, rd->direction, rd->port, &by);
	}
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
		say(all, rd, PG_STATUS_PARKED, why_parked(all, rd));
	else
		say(all, rd, PG_STATUS_RESUMED, "");
	return 0;
}

/* 0, or -1 with things as they were. */
static int settle_or_log(struct pg_redirects *all, struct pg_redirect *rd)
{
	struct pg_err err = { 0 };
	if (settle(all, rd, &err) == 0)
		return 0;
	pg_log(all->log, PG_ERROR, "redirect of %sport %u: cannot %s: %s",
	       pg_direction_word(rd->direction), rd->port, rd->parked ? "take it again" : "park it",
	       err.what);
	return -1;
}

void pg_redirects_park(struct pg_redirects *all, enum pg_direction direction, uint16_t port)
{
	struct pg_redirect *rd = find_port(all, direction, port);
	if (rd == &all->orphans || rd->unserved || rd->terms.no_fallback)
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
	for (size_t i = 0; i < all->count; i++) {
		struct pg_redirect *rd = &all->table[i];
		bool was = rd->parked;
		settle_or_log(all, rd);
		if (rd->parked != was)
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

static void remove_at(struct pg_redirects *all, size_t i)
{
	struct pg_err err = { 0 };
	enum pg_direction direction = all->table[i].direction;
	uint16_t port = all->table[i].port;
	int rc = pg_rules_remove(pg_intake_rules(all->intake), direction, port, &err);
	if (rc < 0)
		pg_log(all->log, PG_ERROR, "redirect of %sport %u: %s",
		       pg_direction_word(direction), port, err.what);
	else
		say(all, &all->table[i], PG_STATUS_STOPPED, "");
	tell_counts(&all->table[i]);
	pg_intake_empty(all->intake);
	all->table[i] = all->table[--all->count];
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

int pg_redirects_start(struct pg_redirects *all, uint32_t id, const struct pg_rule *rule,
		       const struct pg_redirect_terms *terms, const struct pg_redirect_owner *owner,
		       void *ctx, struct pg_claim *claim_out, struct pg_err *err)
{
	struct pg_redirect *there = find_port(all, rule->direction, rule->port);
	if (there->id == id && there->ctx == ctx && there->port == rule->port) {
		there->unserved = false;
		return settle(all, there, err);
	}
	if (there != &all->orphans && there->owner->yield(there->ctx))
		remove_at(all, (size_t)(there - all->table));
	else if (there != &all->orphans && rule->take_over && there->ctx != ctx)
		take_from_session(all, there, rule->holder);
	if (all->count == REDIRECTS_MAX)
		return pg_fail(err, -ENOSPC, "this agent has %d redirects already.", REDIRECTS_MAX);
	int rc = all->intake ? 0 : open_intake(all, err);
	if (rc < 0)
		return rc;
	rc = pg_rules_add(pg_intake_rules(all->intake), rule, claim_out, err);
	if (rc < 0)
		return rc;
	struct pg_redirect *rd = &all->table[all->count++];
	*rd = (struct pg_redirect){ .id = id,
				    .direction = rule->direction,
				    .port = rule->port,
				    .terms = *terms,
				    .wire = rule->wire,
				    .since = (uint64_t)time(NULL),
				    .serial = ++all->serials,
				    .owner = owner,
				    .ctx = ctx };
	if (rd->terms.nodes.count > 0)
		pg_nodes_add_gateways(&rd->terms.nodes);
	snprintf(rd->holder, sizeof(rd->holder), "%s", rule->holder);
	say(all, rd, PG_STATUS_STARTED, pg_redirects_mechanism(all, rule->direction));
	rc = pg_intake_watch(all->intake, err);
	if (rc < 0) /* nobody would take its connections */
		remove_at(all, all->count - 1);
	else
		settle_or_log(all, rd);
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
			remove_at(all, i);
			return 0;
		}
	}
	return pg_fail(err, -ENOENT, "no redirect %u in this session.", id);
}

void pg_redirects_stop_all(struct pg_redirects *all, const void *ctx)
{
	for (size_t i = all->count; i-- > 0;)
		if (!ctx || all->table[i].ctx == ctx)
			remove_at(all, i);
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
	pg_redirects_stop_all(all, NULL);
	pg_redirects_rest(all);
	uv_close((uv_handle_t *)&all->renew, on_closed);
	uv_close((uv_handle_t *)&all->counts, on_closed);
}
