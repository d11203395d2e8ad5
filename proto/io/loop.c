#include "proto/io/loop.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <uv.h>

#include "proto/base/mem.h"

enum { SIGNALS = 3, SLOW_MS = 1000, FILES_MOST = 65536, SOON_A_TURN = 64 };

struct pg_loop {
	uv_loop_t uv;
	uv_timer_t deadline; /* only wakes the loop: pg_loop_wait() looks at the clock */
	uv_timer_t slow;
	uv_prepare_t before_poll;
	uv_idle_t awake; /* while more is to be done soon than one turn takes */
	struct pg_sched soon, jobs;
	const bool *served; /* what pg_loop_serve() waits for; NULL: it is not running */
	const bool *done;   /* what pg_loop_wait() waits for; NULL: it is not running */
	uv_signal_t signals[SIGNALS];
	void (*on_signal)(void *ctx, int signo);
	void *signal_ctx;
	void (*on_slow)(void *ctx, uint64_t waited_ms);
	void *slow_ctx;
	uint64_t wait_start_ms;
	uint64_t slow_ms; /* when on_slow is due, of the loop's clock */
	bool is_one_wait; /* several waits are one: the two above stand */
	bool interrupted;
	rlim_t files; /* the soft limit that we were started with; 0: not raised */
};

static void on_uv_signal(uv_signal_t *handle, int signo)
{
	struct pg_loop *l = handle->data;
	if (l->on_signal)
		l->on_signal(l->signal_ctx, signo);
}

static void on_deadline(uv_timer_t *timer)
{
	(void)timer;
}

static void on_awake(uv_idle_t *idle)
{
	uv_idle_stop(idle);
}

static void run_soon(struct pg_loop *l)
{
	for (int i = 0; i < SOON_A_TURN && l->soon.n > 0; i++) {
		struct pg_turn *first = pg_sched_first(&l->soon);
		struct pg_task *task = (void *)first;
		pg_sched_leave(&l->soon, first);
		task->run(task->ctx);
	}
	if (l->soon.n > 0)
		uv_idle_start(&l->awake, on_awake);
}

/* Timers run before the poll: one that ends the wait must not be followed by a sleep. */
static void on_before_poll(uv_prepare_t *prepare)
{
	struct pg_loop *l = prepare->data;
	run_soon(l);
	bool has_job = l->served && !l->done && l->jobs.n > 0;
	if (has_job || (l->done && *l->done) || (l->served && *l->served))
		uv_stop(&l->uv);
}

void pg_loop_soon(struct pg_loop *l, struct pg_task *task)
{
	pg_sched_join(&l->soon, &task->turn);
}

void pg_loop_not_soon(struct pg_loop *l, struct pg_task *task)
{
	pg_sched_leave(&l->soon, &task->turn);
}

void pg_loop_job(struct pg_loop *l, struct pg_task *task)
{
	pg_sched_join(&l->jobs, &task->turn);
}

void pg_loop_no_job(struct pg_loop *l, struct pg_task *task)
{
	pg_sched_leave(&l->jobs, &task->turn);
}

static void on_slow_timer(uv_timer_t *timer)
{
	struct pg_loop *l = timer->data;
	l->slow_ms = uv_now(&l->uv) + SLOW_MS;
	if (l->on_slow)
		l->on_slow(l->slow_ctx, uv_now(&l->uv) - l->wait_start_ms);
}

struct pg_loop *pg_loop_new(struct pg_err *err)
{
	struct pg_loop *l = pg_calloc(1, sizeof(*l));
	if (!l) {
		pg_fail(err, -ENOMEM, "make the event loop");
		return NULL;
	}
	int rc = uv_loop_init(&l->uv);
	if (rc < 0) {
		free(l);
		pg_fail(err, rc, "make the event loop");
		return NULL;
	}
	signal(SIGPIPE, SIG_IGN);
	uv_timer_init(&l->uv, &l->deadline);
	uv_timer_init(&l->uv, &l->slow);
	l->slow.data = l;
	uv_prepare_init(&l->uv, &l->before_poll);
	uv_prepare_start(&l->before_poll, on_before_poll);
	uv_unref((uv_handle_t *)&l->before_poll);
	l->before_poll.data = l;
	uv_idle_init(&l->uv, &l->awake);
	pg_sched_init(&l->soon);
	pg_sched_init(&l->jobs);
	for (int i = 0; i < SIGNALS; i++) {
		uv_signal_init(&l->uv, &l->signals[i]);
		l->signals[i].data = l;
	}
	return l;
}

void pg_loop_free(struct pg_loop *l)
{
	if (!l)
		return;
	uv_close((uv_handle_t *)&l->deadline, NULL);
	uv_close((uv_handle_t *)&l->slow, NULL);
	uv_close((uv_handle_t *)&l->before_poll, NULL);
	uv_close((uv_handle_t *)&l->awake, NULL);
	for (int i = 0; i < SIGNALS; i++)
		uv_close((uv_handle_t *)&l->signals[i], NULL);
	if (uv_run(&l->uv, UV_RUN_DEFAULT) != 0) /* the stop of an interrupt was still pending */
		uv_run(&l->uv, UV_RUN_DEFAULT);
	int rc = uv_loop_close(&l->uv);
	assert(rc == 0);
	(void)rc;
	free(l);
}

void pg_loop_many_files(struct pg_loop *l, bool on)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	if (l->files == 0)
		l->files = limit.rlim_cur;
	rlim_t most = limit.rlim_max < FILES_MOST ? limit.rlim_max : FILES_MOST;
	limit.rlim_cur = on && most > l->files ? most : l->files;
	setrlimit(RLIMIT_NOFILE, &limit);
}

struct uv_loop_s *pg_loop_uv(struct pg_loop *l)
{
	return &l->uv;
}

uint64_t pg_loop_now_ms(const struct pg_loop *l)
{
	return uv_now(&l->uv);
}

uint64_t pg_now_us(void)
{
	return uv_hrtime() / 1000;
}

void pg_loop_on_signal(struct pg_loop *l, void (*on_signal)(void *ctx, int signo), void *ctx)
{
	static const int numbers[SIGNALS] = { SIGINT, SIGTERM, SIGHUP };
	l->on_signal = on_signal;
	l->signal_ctx = ctx;
	for (int i = 0; i < SIGNALS; i++) {
		if (on_signal)
			uv_signal_start(&l->signals[i], on_uv_signal, numbers[i]);
		else
			uv_signal_stop(&l->signals[i]);
	}
}

void pg_loop_on_slow(struct pg_loop *l, void (*on_slow)(void *ctx, uint64_t waited_ms), void *ctx)
{
	l->on_slow = on_slow;
	l->slow_ctx = ctx;
}

static void start_counting(struct pg_loop *l)
{
	l->wait_start_ms = uv_now(&l->uv);
	l->slow_ms = l->wait_start_ms + SLOW_MS;
}

void pg_loop_one_wait(struct pg_loop *l, bool on)
{
	uv_update_time(&l->uv);
	start_counting(l);
	l->is_one_wait = on;
}

void pg_loop_interrupt(struct pg_loop *l, bool on)
{
	l->interrupted = on;
	uv_stop(&l->uv);
}

int pg_loop_wait(struct pg_loop *l, const bool *done, uint64_t deadline_ms)
{
	int rc = 0;
	uv_update_time(&l->uv);
	if (!l->is_one_wait)
		start_counting(l);
	uint64_t now = uv_now(&l->uv);
	if (deadline_ms != UINT64_MAX)
		uv_timer_start(&l->deadline, on_deadline, deadline_ms > now ? deadline_ms - now : 0,
			       0);
	if (!l->served) /* nobody waits for a job */
		uv_timer_start(&l->slow, on_slow_timer, l->slow_ms > now ? l->slow_ms - now : 0,
			       SLOW_MS);
	l->done = done;
	while (!*done && rc == 0) {
		if (l->interrupted || (l->served && *l->served))
			rc = -ECANCELED;
		else if (uv_now(&l->uv) >= deadline_ms)
			rc = -ETIMEDOUT;
		else
			uv_run(&l->uv, UV_RUN_ONCE);
	}
	l->done = NULL;
	uv_timer_stop(&l->deadline);
	uv_timer_stop(&l->slow);
	return rc;
}

int pg_loop_serve(struct pg_loop *l, const bool *done)
{
	l->served = done;
	while (!*done && !l->interrupted) {
		struct pg_turn *first = pg_sched_first(&l->jobs);
		if (!first) {
			uv_run(&l->uv, UV_RUN_ONCE);
			continue;
		}
		struct pg_task *job = (void *)first;
		pg_sched_leave(&l->jobs, first);
		job->run(job->ctx);
	}
	l->served = NULL;
	return *done ? 0 : -ECANCELED;
}
