#pragma once
#include <stddef.h>
#include <stdint.h>

/* Streams by id: open addressing, at most half full, so a look-up is a probe or two. It allocates
 * when it grows, never on look-up or removal. Ids are the peer's choice, so they are spread by a
 * secret factor: nobody can choose ids that collide. */
struct pg_stream;

struct pg_table {
	struct pg_stream **slots; /* owned; NULL while nothing was ever put */
	size_t n;                 /* streams in it */
	unsigned bits;            /* 2^bits slots */
	uint64_t factor;          /* odd */
};

/* `secret`: whatever the peer does not know. Allocates nothing. */
void pg_table_init(struct pg_table *t, uint64_t secret);
void pg_table_fini(struct pg_table *t);

/* Adds `s`, whose id is in no other stream: 0, or -ENOMEM. */
int pg_table_put(struct pg_table *t, struct pg_stream *s);

/* The stream with that id, or NULL. */
struct pg_stream *pg_table_get(const struct pg_table *t, uint32_t id);

/* Removes `s`, which is in it. Gives memory back when it was the last of many. */
void pg_table_drop(struct pg_table *t, const struct pg_stream *s);
