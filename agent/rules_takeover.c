/* Ports that change hands: those that we want of other agents, and those that they want of us. */
#include "agent/rules_impl.h"

#include <errno.h>
#include <string.h>

#include "agent/nft_watch.h"

void rules_claim_name(const struct rules_entry *e, char out[PG_CLAIM_NAME])
{
	if (e->asked)
		pg_claim_ask_name(e->direction, e->port, out);
	else
		pg_claim_name(e->direction, e->port, out);
}

/* ---- what we want ---- */

bool rules_has_asked(const struct pg_rules *r, enum pg_direction direction, uint16_t port)
{
	for (size_t i = 0; i < r->asked_count; i++)
		if (r->asked[i].direction == direction && r->asked[i].port == port)
			return true;
	return false;
}

void rules_forget_asking(struct pg_rules *r, enum pg_direction direction, uint16_t port)
{
	for (size_t i = r->asked_count; i-- > 0;)
		if (r->asked[i].direction == direction && r->asked[i].port == port)
			r->asked[i] = r->asked[--r->asked_count];
}

void pg_rules_take_no_more(struct pg_rules *r, enum pg_direction direction, uint16_t port)
{
	if (!rules_has_asked(r, direction, port))
		return;
	pg_claim_unask(&r->claims, direction, port);
	rules_forget_asking(r, direction, port);
}

static int ask(struct pg_rules *r, const struct rules_entry *e, struct pg_claim *claim_out,
	       struct pg_err *err)
{
	if (r->asked_count == RULES_ASKED_MAX)
		return pg_fail(err, -ENOSPC, "%d ports are being taken over already.",
			       RULES_ASKED_MAX);
	int code = pg_claim_ask(&r->claims, e->direction, e->port, e->holder, claim_out, err);
	if (code < 0)
		return code;
	r->asked[r->asked_count].direction = e->direction;
	r->asked[r->asked_count++].port = e->port;
	return -EAGAIN;
}

/* The holder had its chance to give the port up when it was asked. */
int rules_take_over(struct pg_rules *r, struct rules_entry *e, struct pg_claim *claim_out,
		    struct pg_err *err)
{
	if (!rules_has_asked(r, e->direction, e->port))
		return ask(r, e, claim_out, err);
	if (pg_claim_is_live(&r->claims, e->direction, e->port))
		return -EAGAIN;
	pg_nft_begin(r->nft);
	rules_put_new(r, e);
	int code = pg_nft_commit(r->nft, NULL, err);
	if (code == 0) {
		e->asked = true;
		rules_forget_asking(r, e->direction, e->port);
	}
	return code;
}

/* ---- what others want ---- */

int pg_rules_watch(const struct pg_rules *r)
{
	return r->watch;
}

/* What of ours there are questions for. */
struct wanted {
	struct pg_rules *r;
	struct {
		enum pg_direction direction;
		uint16_t port;
	} items[PG_RULES_MAX];
	size_t count;
};

static void on_asked(void *ctx, enum pg_direction direction, uint16_t port)
{
	struct wanted *w = ctx;
	const struct rules_entry *e = rules_find(w->r, direction, port);
	if (!e || e->asked || w->count == PG_RULES_MAX)
		return;
	w->items[w->count].direction = direction;
	w->items[w->count++].port = port;
}

/* Where the one that hung has given its claim up, or died, ours is a claim like any other. */
static void settle(struct pg_rules *r)
{
	for (size_t i = 0; i < r->count; i++) {
		struct rules_entry *e = &r->entries[i];
		if (e->asked && pg_claim_settle(&r->claims, e->direction, e->port) == 0)
			e->asked = false;
	}
}

void pg_rules_give_up(struct pg_rules *r,
		      void (*taken)(void *ctx, enum pg_direction direction, uint16_t port,
				    const struct pg_claim *by),
		      void *ctx)
{
	struct wanted w = { .r = r };
	if (!pg_nft_watch_read(r->watch))
		return;
	settle(r);
	pg_claim_each_asked(&r->claims, on_asked, &w);
	for (size_t i = 0; i < w.count; i++) {
		enum pg_direction direction = w.items[i].direction;
		uint16_t port = w.items[i].port;
		struct pg_claim by;
		if (pg_claim_is_asked(&r->claims, direction, port, &by) &&
		    pg_rules_remove(r, direction, port, NULL) == 0)
			taken(ctx, direction, port, &by);
	}
}

bool pg_rules_has(struct pg_rules *r, enum pg_direction direction, uint16_t port,
		  struct pg_claim *claim_out)
{
	if (claim_out)
		pg_claim_read(&r->claims, direction, port, claim_out);
	return rules_find(r, direction, port) != NULL;
}
