#include "proto/mux/table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "proto/base/mem.h"
#include "proto/mux/stream.h"

enum { LEAST_BITS = 5 };

void pg_table_init(struct pg_table *t, uint64_t secret)
{
	/* Two rounds of a mixing step (xor-shift and multiplication by 2^64 over the golden ratio),
	 * so that every bit of the secret reaches the factor's upper half. */
	const uint64_t golden = UINT64_C(0x9e3779b97f4a7c15);
	for (int i = 0; i < 2; i++)
		secret = (secret ^ secret >> 29) * golden;
	*t = (struct pg_table){ .factor = secret | 1 };
}

void pg_table_fini(struct pg_table *t)
{
	free(t->slots);
	t->slots = NULL;
	t->n = 0;
}

static size_t home(const struct pg_table *t, uint32_t id)
{
	return (size_t)((id * t->factor) >> (64 - t->bits));
}

static size_t mask(const struct pg_table *t)
{
	return ((size_t)1 << t->bits) - 1;
}

static void place(struct pg_table *t, struct pg_stream *s)
{
	size_t i = home(t, s->id);
	while (t->slots[i])
		i = (i + 1) & mask(t);
	t->slots[i] = s;
	t->n++;
}

static int resize(struct pg_table *t, unsigned bits)
{
	struct pg_stream **slots = pg_calloc((size_t)1 << bits, sizeof(struct pg_stream *));
	if (!slots)
		return -ENOMEM;
	struct pg_table old = *t;
	t->slots = slots;
	t->bits = bits;
	t->n = 0;
	for (size_t i = 0; old.slots && i <= mask(&old); i++)
		if (old.slots[i])
			place(t, old.slots[i]);
	free(old.slots);
	return 0;
}

int pg_table_put(struct pg_table *t, struct pg_stream *s)
{
	int rc = 0;
	if (!t->slots)
		rc = resize(t, LEAST_BITS);
	else if (t->n > mask(t) / 2)
		rc = resize(t, t->bits + 1);
	if (rc < 0)
		return rc;
	place(t, s);
	return 0;
}

struct pg_stream *pg_table_get(const struct pg_table *t, uint32_t id)
{
	if (t->n == 0)
		return NULL;
	size_t i = home(t, id);
	while (t->slots[i] && t->slots[i]->id != id)
		i = (i + 1) & mask(t);
	return t->slots[i];
}

void pg_table_drop(struct pg_table *t, const struct pg_stream *s)
{
	size_t hole = home(t, s->id);
	while (t->slots[hole] != s) {
		assert(t->slots[hole]);
		hole = (hole + 1) & mask(t);
	}
	/* Whoever stands behind the hole and would be looked for before it moves into it. */
	for (size_t i = (hole + 1) & mask(t); t->slots[i]; i = (i + 1) & mask(t)) {
		size_t from = home(t, t->slots[i]->id);
		if (((i - from) & mask(t)) < ((i - hole) & mask(t)))
			continue;
		t->slots[hole] = t->slots[i];
		hole = i;
	}
	t->slots[hole] = NULL;
	if (--t->n == 0 && t->bits > LEAST_BITS)
		pg_table_fini(t);
}
