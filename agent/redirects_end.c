/* Redirects that end. Each leaves the table first; only then the listeners' queues are emptied of
 * what its rule took, which may end others: with a connection that is accepted a shortage can begin
 * or be over, and a port that is taken again then may be found to be another agent's. So no pointer
 * into the table outlives the call of one of these functions. */
#include "agent/redirects_impl.h"

static void take_out(struct pg_redirects *all, struct pg_redirect *rd,
		     struct redirects_leaving *out)
{
	*out = (struct redirects_leaving){ .rd = *rd };
	*rd = all->table[--all->count];
}

/* What the rule took before it went is still the owner's, who is then told of the counts. */
static void empty_intake_of(struct pg_redirects *all, struct redirects_leaving *gone)
{
	gone->next = all->leaving;
	all->leaving = gone;
	pg_intake_empty(all->intake);
	all->leaving = gone->next;
	redirects_tell_last(all, &gone->rd);
}

void redirects_lose(struct pg_redirects *all, struct pg_redirect *rd, const struct pg_claim *by,
		    bool is_told)
{
	struct redirects_leaving gone;
	take_out(all, rd, &gone);
	redirects_say_taken(all, &gone.rd, by->holder);
	empty_intake_of(all, &gone);
	if (is_told)
		gone.rd.owner->taken(gone.rd.ctx, &gone.rd, by);
}

static void on_taken(void *ctx, enum pg_direction direction, uint16_t port,
		     const struct pg_claim *by)
{
	struct pg_redirects *all = ctx;
	struct pg_redirect *rd = redirects_find(all, direction, port);
	if (rd)
		redirects_lose(all, rd, by, true);
}

void redirects_on_wanted(void *ctx)
{
	struct pg_redirects *all = ctx;
	pg_rules_give_up(pg_intake_rules(all->intake), on_taken, all);
}

/* One that the rules have lost, or NULL. */
static struct pg_redirect *find_lost(struct pg_redirects *all)
{
	struct pg_rules *rules = pg_intake_rules(all->intake);
	for (size_t i = 0; i < all->count; i++)
		if (!pg_rules_has(rules, all->table[i].direction, all->table[i].port, NULL))
			return &all->table[i];
	return NULL;
}

void redirects_lose_taken(struct pg_redirects *all)
{
	struct pg_redirect *rd;
	while ((rd = find_lost(all))) {
		struct pg_claim by;
		pg_rules_has(pg_intake_rules(all->intake), rd->direction, rd->port, &by);
		redirects_lose(all, rd, &by, true);
	}
}

void redirects_remove(struct pg_redirects *all, struct pg_redirect *rd, enum redirects_why why)
{
	struct pg_err err = { 0 };
	struct redirects_leaving gone;
	int rc = pg_rules_remove(pg_intake_rules(all->intake), rd->direction, rd->port, &err);
	if (rc < 0)
		pg_log(all->log, PG_ERROR, "redirect of %sport %u: %s",
		       pg_direction_word(rd->direction), rd->port, err.what);
	take_out(all, rd, &gone);
	if (why == REDIRECTS_LAPTOP_AWAY)
		redirects_away_add(all, &gone.rd);
	else if (rc == 0)
		redirects_say(all, &gone.rd, PG_STATUS_STOPPED, "");
	empty_intake_of(all, &gone);
}

/* One of `ctx`, or NULL. */
static struct pg_redirect *find_of(struct pg_redirects *all, const void *ctx)
{
	for (size_t i = 0; i < all->count; i++)
		if (all->table[i].ctx == ctx)
			return &all->table[i];
	return NULL;
}

int pg_redirects_stop(struct pg_redirects *all, uint32_t id, void *ctx, struct pg_err *err)
{
	for (size_t i = 0; i < all->count; i++) {
		if (all->table[i].id == id && all->table[i].ctx == ctx) {
			redirects_remove(all, &all->table[i], REDIRECTS_FOR_GOOD);
			return 0;
		}
	}
	return pg_fail(err, -ENOENT, "no redirect %u in this session.", id);
}

void pg_redirects_stop_all(struct pg_redirects *all, const void *ctx)
{
	struct pg_redirect *rd;
	while ((rd = find_of(all, ctx)))
		redirects_remove(all, rd, REDIRECTS_FOR_GOOD);
	redirects_drop_ended(all, ctx);
}

void pg_redirects_leave(struct pg_redirects *all, const void *ctx)
{
	struct pg_redirect *rd;
	while ((rd = find_of(all, ctx)))
		redirects_remove(all, rd, REDIRECTS_LAPTOP_AWAY);
	redirects_drop_ended(all, ctx);
}

void pg_redirects_end(struct pg_redirects *all)
{
	all->is_ending = true;
	while (all->count > 0)
		redirects_remove(all, &all->table[all->count - 1], REDIRECTS_FOR_GOOD);
	redirects_away_clear(all);
}
