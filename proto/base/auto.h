#pragma once
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Locals that release themselves when their scope ends, and the helpers that hand a value over
 * before that. The only file with GNU extensions. */

static inline void pg_auto_close_(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void pg_auto_free_(void *p)
{
	void *object;
	memcpy(&object, p, sizeof(object));
	free(object);
}

/* "unused": a local may be there for nothing but its end. */
#define pg_auto_close __attribute__((cleanup(pg_auto_close_), unused))
#define pg_auto_free  __attribute__((cleanup(pg_auto_free_), unused))

/* Moves a descriptor out: returns it and leaves -1, so that its scope no longer closes it. */
static inline int pg_take_fd(int *fd)
{
	int out = *fd;
	*fd = -1;
	return out;
}

/* Moves a heap pointer out, as pg_take_fd() does. `p` is the address of any object pointer. */
static inline void *pg_take_ptr(void *p)
{
	void *out, *none = NULL;
	memcpy(&out, p, sizeof(out));
	memcpy(p, &none, sizeof(none));
	return out;
}

#define PG_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))
#define PG_UNUSED             __attribute__((unused))
#define PG_LEN(array)         (sizeof(array) / sizeof((array)[0]))
