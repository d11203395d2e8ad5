/* Redirects that are parked: their rule rests, their claim stands, and the app has its clients. */
#include "agent/redirects_impl.h"

#include <errno.h>

int redirects_settle(struct pg_redirects *all, struct pg_redirect *rd, struct pg_err *err)
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

enum redirects_settled redirects_settle_or_log(struct pg_redirects *all, struct pg_redirect *rd)
{
	struct pg_err err = { 0 };
	struct pg_claim by;
	int rc = redirects_settle(all, rd, &err);
	if (rc == 0)
		return REDIRECTS_SETTLED;
	pg_log(all->log, PG_ERROR, "redirect of %sport %u: cannot %s: %s",
	       pg_direction_word(rd->direction), rd->port, rd->parked ? "take it again" : "park it",
	       err.what);
	if (rc != -EBUSY)
		return REDIRECTS_AS_BEFORE;
	pg_rules_has(pg_intake_rules(all->intake), rd->direction, rd->port, &by);
	redirects_lose(all, rd, &by, true);
	return REDIRECTS_LOST;
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
	enum redirects_settled settled = redirects_settle_or_log(all, rd);
	if (settled == REDIRECTS_SETTLED)
		rd->owner->changed(rd->ctx, rd);
	else if (settled == REDIRECTS_AS_BEFORE)
		rd->unserved = false;
}

/* From the end, as the last one fills the place of one that is lost: none is missed. */
void pg_redirects_shortage(struct pg_redirects *all, int code)
{
	all->shortage = code;
	for (size_t i = all->count; i-- > 0;) {
		if (i >= all->count) /* with one that was lost, others were */
			continue;
		struct pg_redirect *rd = &all->table[i];
		bool was = rd->parked;
		if (redirects_settle_or_log(all, rd) == REDIRECTS_SETTLED && rd->parked != was)
			rd->owner->changed(rd->ctx, rd);
	}
}

void pg_redirects_tell_again(struct pg_redirects *all, const void *ctx)
{
	for (size_t i = 0; i < all->count; i++) {
		struct pg_redirect *rd = &all->table[i];
		if (rd->ctx != ctx)
			continue;
		rd->owner->changed(rd->ctx, rd);
		rd->has_news = true;
		redirects_tell_counts(rd);
	}
}

int pg_redirects_short_of(const struct pg_redirects *all)
{
	return all->shortage;
}
