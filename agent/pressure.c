#include "agent/pressure.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <uv.h>

#include "proto/base/mem.h"
#include "proto/mux/limits.h"

enum {
	LOOK_MS = 250, /* while something is short */
	LANES_ALWAYS = 2,
	FILES_KEPT = 8,                /* for the control API: a laptop must be able to come back */
	FILES_ROOM = 2 + FILES_KEPT,   /* free: for one connection more, to the app */
	FILES_PLENTY = FILES_ROOM + 4, /* free: a shortage may be over */
};

struct pg_pressure {
	uv_timer_t timer;
	struct pg_usage usage;
	uint64_t held_bytes; /* by connections */
	int lanes;
	int code;
	void (*changed)(void *ctx, int code);
	void *ctx;
};

static bool exceeds(uint64_t used, uint64_t max, int percent)
{
	return used * 100 > max * (uint64_t)percent;
}

int pg_usage_shortage(const struct pg_usage *u, int was)
{
	int percent = was ? PG_PLENTY_PERCENT : PG_SHORT_PERCENT;
	bool bytes = exceeds(u->bytes, u->bytes_max, percent);
	bool files = exceeds(u->files, u->files_max, percent) ||
		     u->files + (was ? FILES_PLENTY : FILES_ROOM) > u->files_max;
	if (!bytes && !files)
		return 0;
	return was ? was : bytes ? ENOMEM : EMFILE;
}

/* Descriptors of this process; -1 without /proc. */
static int64_t count_files(void)
{
	struct stat st;
	if (stat("/proc/self/fd", &st) == 0 && st.st_size > 0) /* since Linux 6.2 */
		return st.st_size;
	DIR *dir = opendir("/proc/self/fd");
	if (!dir)
		return -1;
	int64_t n = -3; /* "." and "..", and `dir` itself */
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static uint64_t files_max(void)
{
	struct rlimit limit;
	return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 0;
}

static void on_look(uv_timer_t *timer);

static void judge(struct pg_pressure *p)
{
	int code = pg_usage_shortage(&p->usage, p->code);
	if (code == p->code)
		return;
	p->code = code;
	if (code != 0)
		uv_timer_start(&p->timer, on_look, LOOK_MS, LOOK_MS);
	else
		uv_timer_stop(&p->timer);
	p->changed(p->ctx, code);
}

static void look(struct pg_pressure *p)
{
	int64_t files = count_files();
	if (files >= 0)
		p->usage.files = (uint64_t)files;
	p->usage.files_max = files_max();
	judge(p);
}

static void on_look(uv_timer_t *timer)
{
	look(timer->data);
}

struct pg_pressure *pg_pressure_new(struct pg_loop *loop, uint64_t bytes_max,
				    void (*changed)(void *ctx, int code), void *ctx)
{
	struct pg_pressure *p = pg_calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	*p = (struct pg_pressure){ .changed = changed, .ctx = ctx };
	p->usage = (struct pg_usage){ .files_max = files_max(), .bytes_max = bytes_max };
	uv_timer_init(pg_loop_uv(loop), &p->timer);
	p->timer.data = p;
	return p;
}

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void pg_pressure_close(struct pg_pressure *p)
{
	if (p)
		uv_close((uv_handle_t *)&p->timer, on_closed);
}

/* What was counted last and two for each connection since, as if none had ended: one more may have
 * been opened to the app. */
void pg_pressure_file(struct pg_pressure *p, int fd)
{
	uint64_t below = (uint64_t)fd + 1;
	p->usage.files = p->usage.files + 2 > below ? p->usage.files + 2 : below;
	p->usage.files_max = files_max();
	if (p->code == 0 && pg_usage_shortage(&p->usage, 0))
		look(p);
	else
		judge(p);
}

static uint64_t bytes_of_lanes(int lanes)
{
	return lanes > 1 ? (uint64_t)(lanes - 1) * PG_LANE_BYTES : 0;
}

static void add_up(struct pg_pressure *p)
{
	p->usage.bytes = p->held_bytes + bytes_of_lanes(p->lanes);
	judge(p);
}

void pg_pressure_bytes(struct pg_pressure *p, uint64_t bytes)
{
	p->held_bytes = bytes;
	add_up(p);
}

void pg_pressure_lane(struct pg_pressure *p, int change)
{
	p->lanes += change;
	add_up(p);
}

bool pg_pressure_takes_lane(const struct pg_pressure *p, bool is_first)
{
	uint64_t share = p->usage.bytes_max / (is_first ? 2 : 4);
	return p->lanes < LANES_ALWAYS || bytes_of_lanes(p->lanes + 1) <= share;
}

int pg_pressure_code(const struct pg_pressure *p)
{
	return p->code;
}

static bool has_room(const struct pg_usage *u)
{
	return u->bytes < u->bytes_max && u->files + FILES_ROOM <= u->files_max;
}

bool pg_pressure_has_room(struct pg_pressure *p)
{
	if (!has_room(&p->usage)) /* by what the last connection told: some may have ended */
		look(p);
	return has_room(&p->usage);
}
