/* The bare client: lanes straight to a port of a pod, with nothing above them. What a redirect over
 * the same transport can give at best. Speaks to the tests' peer program; prints one JSON object.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "e2e/peers/util.h"
#include "injector/kube_auth.h"
#include "injector/portfwd.h"
#include "proto/base/auto.h"
#include "proto/base/mem.h"
#include "proto/base/num.h"
#include "proto/base/opt.h"
#include "proto/wire/frame.h"

enum mode { DOWN, UP, LATENCY, CONNECT };

struct values {
	const char *ns;
	int transport, mode;
	uint64_t bytes, conns, count, size;
};

static const char *const transports[] = { "auto", "spdy", "tunnel", "websocket", NULL };
static const char *const modes[] = { "down", "up", "latency", "connect", NULL };

#define AT(member) offsetof(struct values, member)

static const struct pg_opt opts[] = {
	{ .name = "namespace",
	  .letter = 'n',
	  .kind = PG_OPT_TEXT,
	  .argument = "NAME",
	  .help = "The pod's namespace, instead of the context's.",
	  .at = AT(ns) },
	{ .name = "transport",
	  .kind = PG_OPT_CHOICE,
	  .choices = transports,
	  .standard = "auto",
	  .help = "How bytes travel.",
	  .at = AT(transport) },
	{ .name = "mode",
	  .kind = PG_OPT_CHOICE,
	  .choices = modes,
	  .standard = "down",
	  .help = "down, up: --bytes on each of --conns lanes, to bulk. latency: --count requests "
		  "of --size bytes, to echo. connect: --count lanes one after another.",
	  .at = AT(mode) },
	{ .name = "bytes",
	  .kind = PG_OPT_SIZE,
	  .argument = "SIZE",
	  .standard = "512Mi",
	  .help = "Bytes on each lane.",
	  .at = AT(bytes) },
	{ .name = "conns",
	  .kind = PG_OPT_U64,
	  .argument = "N",
	  .standard = "1",
	  .lo = 1,
	  .hi = 64,
	  .help = "Lanes at once.",
	  .at = AT(conns) },
	{ .name = "count",
	  .kind = PG_OPT_U64,
	  .argument = "N",
	  .standard = "1000",
	  .lo = 1,
	  .hi = 1000000,
	  .help = "Requests, or lanes.",
	  .at = AT(count) },
	{ .name = "size",
	  .kind = PG_OPT_U64,
	  .argument = "BYTES",
	  .standard = "100",
	  .lo = 1,
	  .hi = PG_FRAME_SLOT,
	  .help = "Bytes of a request and its answer.",
	  .at = AT(size) },
	{ .name = NULL },
};

enum { SEED = 1, WAIT_MS = 600000 };

struct bench {
	struct values v;
	struct pg_loop *loop;
	struct pg_http *http;
	const struct pg_http_peer *peer;
	const char *ns, *pod;
	uint16_t port;
	enum pg_transport used;
	uint64_t *samples_us;
	size_t sample_count;
	size_t running; /* lanes not done */
	bool done;
};

struct job {
	struct bench *bench;
	struct pg_lane *lane; /* NULL once it has ended */
	char line[64];        /* what we say first, then what the server says last */
	size_t line_len;
	bool is_line_sent, is_over, is_good;
	uint64_t to_send, sent, got, asked_us;
};

static void finish(struct job *j, bool is_good)
{
	if (j->is_over)
		return;
	j->is_over = true;
	j->is_good = is_good;
	j->bench->done = --j->bench->running == 0;
}

/* The verdict of the bulk server on what it got: "ok COUNT SUM". */
static void take_line(struct job *j, const uint8_t *p, size_t n)
{
	size_t keep = pg_min(n, sizeof(j->line) - 1 - j->line_len);
	memcpy(j->line + j->line_len, p, keep);
	j->line_len += keep;
	if (memchr(p, '\n', n))
		finish(j, strncmp(j->line, "ok ", 3) == 0);
}

static void ask(struct job *j)
{
	j->to_send += j->bench->v.size;
	j->asked_us = pg_now_us();
	pg_lane_kick(j->lane);
}

static void received(void *ctx, const uint8_t *p, size_t n)
{
	struct job *j = ctx;
	struct bench *b = j->bench;
	j->got += n;
	if (b->v.mode == UP) {
		take_line(j, p, n);
	} else if (b->v.mode == DOWN) {
		if (j->got >= b->v.bytes)
			finish(j, j->got == b->v.bytes);
	} else if (j->got == b->v.size * (b->sample_count + 1)) {
		b->samples_us[b->sample_count++] = pg_now_us() - j->asked_us;
		if (b->sample_count == b->v.count)
			finish(j, true);
		else
			ask(j);
	}
}

static int pull(void *ctx, struct iovec *slots, int count)
{
	struct job *j = ctx;
	int used = 0;
	if (!j->is_line_sent && j->line_len > 0) {
		memcpy(slots[0].iov_base, j->line, j->line_len);
		slots[0].iov_len = j->line_len;
		j->is_line_sent = true;
		j->line_len = 0;
		memset(j->line, 0, sizeof(j->line));
		used++;
	}
	for (; used < count && j->sent < j->to_send; used++) {
		size_t n = (size_t)pg_min_u64(j->to_send - j->sent, PG_FRAME_SLOT);
		pattern_fill(slots[used].iov_base, n, SEED, j->sent);
		slots[used].iov_len = n;
		j->sent += n;
	}
	return used;
}

static void ended(void *ctx, const struct pg_err *why)
{
	struct job *j = ctx;
	if (why)
		fprintf(stderr, "bench-lane: %s\n", why->what);
	pg_lane_close(j->lane);
	j->lane = NULL;
	finish(j, false);
}

static int dial_lane(struct bench *b, struct job *j, struct pg_err *err)
{
	static const struct pg_lane_events events = { received, pull, ended };
	struct pg_portfwd_refusal why;
	j->bench = b;
	int rc = pg_portfwd_dial(b->http, b->peer, b->ns, b->pod, b->port,
				 (enum pg_transport)b->v.transport, events, j, &j->lane, &why, err);
	b->used = why.transport;
	return rc;
}

/* --count lanes, one after another; each is up when both its streams are. */
static int run_connects(struct bench *b, struct pg_err *err)
{
	for (uint64_t i = 0; i < b->v.count; i++) {
		struct job j = { .lane = NULL };
		uint64_t start_us = pg_now_us();
		int rc = dial_lane(b, &j, err);
		if (rc < 0)
			return rc;
		b->samples_us[b->sample_count++] = pg_now_us() - start_us;
		pg_lane_close(j.lane);
	}
	return 0;
}

/* Lanes at once. They are dialled first and start together. */
static int run_lanes(struct bench *b, struct job *jobs, size_t n, double *seconds_out,
		     struct pg_err *err)
{
	for (size_t i = 0; i < n; i++) {
		int rc = dial_lane(b, &jobs[i], err);
		if (rc < 0)
			return rc;
	}
	b->running = n;
	uint64_t start_us = pg_now_us();
	for (size_t i = 0; i < n; i++) {
		struct job *j = &jobs[i];
		bool is_bulk = b->v.mode == UP || b->v.mode == DOWN;
		if (is_bulk)
			j->line_len =
				(size_t)snprintf(j->line, sizeof(j->line), "%s %" PRIu64 " %d\n",
						 modes[b->v.mode], b->v.bytes, SEED);
		j->to_send = b->v.mode == UP ? b->v.bytes : 0;
		if (is_bulk)
			pg_lane_kick(j->lane);
		else
			ask(j);
	}
	int rc = pg_loop_wait(b->loop, &b->done, pg_loop_now_ms(b->loop) + WAIT_MS);
	*seconds_out = (double)(pg_now_us() - start_us) / 1e6;
	return rc < 0 ? pg_fail(err, rc, "wait for the lanes") : 0;
}

static double cpu_seconds(void)
{
	struct rusage use;
	getrusage(RUSAGE_SELF, &use);
	return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
	       (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

static void print_samples(struct bench *b, bool is_good)
{
	uint64_t *us = b->samples_us;
	size_t last = b->sample_count > 0 ? b->sample_count - 1 : 0;
	qsort(us, b->sample_count, sizeof(*us), compare);
	printf("{\"ok\":%s,\"transport\":\"%s\",\"count\":%zu,\"us\":{\"p50\":%" PRIu64
	       ",\"p90\":%" PRIu64 ",\"p99\":%" PRIu64 ",\"max\":%" PRIu64
	       "},\"cpu_seconds\":%.3f}\n",
	       is_good ? "true" : "false", pg_transport_name(b->used), b->sample_count,
	       us[last * 50 / 100], us[last * 90 / 100], us[last * 99 / 100], us[last],
	       cpu_seconds());
}

static void print_bulk(const struct bench *b, size_t lanes, double seconds, bool is_good)
{
	uint64_t bytes = b->v.bytes * lanes;
	printf("{\"ok\":%s,\"transport\":\"%s\",\"conns\":%zu,\"bytes\":%" PRIu64
	       ",\"seconds\":%.6f,\"mb_per_s\":%.1f,\"cpu_seconds\":%.3f}\n",
	       is_good ? "true" : "false", pg_transport_name(b->used), lanes, bytes, seconds,
	       (double)bytes / 1e6 / seconds, cpu_seconds());
}

static int run(struct bench *b, struct pg_err *err)
{
	bool is_bulk = b->v.mode == UP || b->v.mode == DOWN, is_good = true;
	size_t lanes = is_bulk ? (size_t)b->v.conns : 1;
	double seconds = 0;
	pg_auto_free struct job *jobs = pg_calloc(lanes, sizeof(*jobs));
	pg_auto_free uint64_t *samples = pg_calloc((size_t)b->v.count + 1, sizeof(*samples));
	if (!jobs || !samples)
		return pg_fail(err, -ENOMEM, "run");
	b->samples_us = samples;
	int rc = b->v.mode == CONNECT ? run_connects(b, err)
				      : run_lanes(b, jobs, lanes, &seconds, err);
	for (size_t i = 0; i < lanes; i++) {
		is_good = is_good && (jobs[i].is_good || b->v.mode == CONNECT);
		if (jobs[i].lane)
			pg_lane_close(jobs[i].lane);
	}
	if (rc < 0)
		return rc;
	if (is_bulk)
		print_bulk(b, lanes, seconds, is_good);
	else
		print_samples(b, is_good);
	return is_good ? 0 : pg_fail(err, -EIO, "a lane fell short of its bytes.");
}

/* Everything from the kubeconfig on. */
static int run_on_cluster(struct bench *b, struct pg_err *err)
{
	const struct pg_kube_flags flags = { .namespace_ = b->v.ns };
	struct pg_kubeconfig config;
	int rc = pg_kubeconfig_load(&flags, &config, err);
	if (rc < 0)
		return rc;
	struct pg_kube_auth *auth = pg_kube_auth_new(b->loop, &config, err);
	b->http = auth ? pg_http_new(b->loop, err) : NULL;
	b->ns = config.namespace_;
	rc = b->http ? pg_kube_auth_peer(auth, &b->peer, err) : err->code;
	if (rc == 0)
		rc = run(b, err);
	pg_http_free(b->http);
	pg_kube_auth_free(auth);
	pg_kubeconfig_fini(&config);
	return rc;
}

static int read_arguments(struct bench *b, int argc, char **argv, struct pg_err *err)
{
	const struct pg_opt_set set = { .title = "Options", .opts = opts, .values = &b->v };
	struct pg_operands operands = { .count = 0 };
	uint64_t port;
	int rc = pg_opts_init(&set, 1, err);
	if (rc == 0)
		rc = pg_opts_parse(&set, 1, argc, argv, false, &operands, err);
	if (rc < 0)
		return rc;
	if (operands.count != 2 || pg_parse_u64(operands.items[1], 1, UINT16_MAX, &port) < 0)
		return pg_fail(err, -EINVAL, "usage: bench-lane [OPTION]... POD PORT");
	b->pod = operands.items[0];
	b->port = (uint16_t)port;
	return 0;
}

int main(int argc, char **argv)
{
	struct pg_err err = { .code = 0 };
	struct bench b = { .http = NULL };
	int rc = read_arguments(&b, argc - 1, argv + 1, &err);
	b.loop = rc == 0 ? pg_loop_new(&err) : NULL;
	if (b.loop)
		run_on_cluster(&b, &err);
	pg_loop_free(b.loop);
	if (err.code < 0)
		fprintf(stderr, "bench-lane: %s\n%s%s\n", err.what, err.hint[0] ? "hint: " : "",
			err.hint);
	return pg_err_exit(&err);
}
