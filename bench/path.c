/* A long, narrow, lossy path for bench/run: two TUN links, one here and one in a network namespace
 * of this program's own, and every packet between them delayed, held to a rate and sometimes
 * dropped, each direction by itself. What tc's netem does, on kernels that have none. Links and
 * namespace last as long as this program, and as what was started in the namespace.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <time.h>

#include "proto/base/auto.h"
#include "proto/base/mem.h"
#include "proto/base/num.h"
#include "proto/base/opt.h"

/* QUEUE_PACKETS is netem's own limit: what waits for its turn at the rate; more is dropped.
 * RING_PACKETS holds these and all that are under way, for any delay and rate allowed below. */
enum { PACKET_MAX = 1600, QUEUE_PACKETS = 1000, RING_PACKETS = 16384, BURST = 64 };

struct values {
	const char *link;
	uint64_t delay_ms, rate_mbit, loss_permille, seed;
};

#define AT(member) offsetof(struct values, member)

static const struct pg_opt opts[] = {
	{ .name = "link",
	  .kind = PG_OPT_TEXT,
	  .argument = "NAME",
	  .standard = "pgbench0",
	  .help = "What the link is called, on both sides.",
	  .at = AT(link) },
	{ .name = "delay",
	  .kind = PG_OPT_DURATION,
	  .argument = "DURATION",
	  .standard = "25ms",
	  .hi = 500,
	  .help = "Of every packet, in each direction.",
	  .at = AT(delay_ms) },
	{ .name = "rate",
	  .kind = PG_OPT_U64,
	  .argument = "MBIT",
	  .standard = "100",
	  .lo = 1,
	  .hi = 200,
	  .help = "Million bits a second, in each direction.",
	  .at = AT(rate_mbit) },
	{ .name = "loss",
	  .kind = PG_OPT_U64,
	  .argument = "PERMILLE",
	  .standard = "10",
	  .hi = 1000,
	  .help = "How many of a thousand packets are lost, in each direction.",
	  .at = AT(loss_permille) },
	{ .name = "seed",
	  .kind = PG_OPT_U64,
	  .argument = "N",
	  .standard = "1",
	  .lo = 1,
	  .help = "Which packets are lost.",
	  .at = AT(seed) },
	{ .name = NULL },
};

struct packet {
	int64_t due_us;  /* when it arrives */
	int64_t sent_us; /* when its last bit has left, which makes room in the queue */
	size_t len;
	uint8_t bytes[PACKET_MAX];
};

/* From one link to the other. Positions only grow; what is at `sent` and after still queues. */
struct direction {
	int from, to;
	uint64_t head, sent, tail;
	int64_t free_us; /* when the line is free for the next packet */
	uint64_t random;
	uint64_t passed, lost, overflowed;
	struct packet *ring;
};

static volatile sig_atomic_t is_over;

static void stop(int number)
{
	(void)number;
	is_over = 1;
}

static int64_t clock_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* xorshift64*: the same seed loses the same packets. */
static uint64_t next_random(struct direction *d)
{
	d->random ^= d->random >> 12;
	d->random ^= d->random << 25;
	d->random ^= d->random >> 27;
	return d->random * 0x2545f4914f6cdd1dull >> 32;
}

static struct packet *slot(struct direction *d, uint64_t at)
{
	return &d->ring[at % RING_PACKETS];
}

/* Takes one packet off the link: false when there is none. */
static bool take(struct direction *d, const struct values *v, int64_t now_us)
{
	struct packet *p = slot(d, d->tail);
	ssize_t n = read(d->from, p->bytes, sizeof(p->bytes));
	if (n <= 0)
		return false;
	while (d->sent < d->tail && slot(d, d->sent)->sent_us <= now_us)
		d->sent++;
	if (next_random(d) % 1000 < v->loss_permille) {
		d->lost++;
	} else if (d->tail - d->sent >= QUEUE_PACKETS || d->tail - d->head == RING_PACKETS - 1) {
		d->overflowed++;
	} else {
		p->len = (size_t)n;
		d->free_us = (d->free_us > now_us ? d->free_us : now_us) +
			     (int64_t)((uint64_t)n * 8 / v->rate_mbit);
		p->sent_us = d->free_us;
		p->due_us = p->sent_us + (int64_t)v->delay_ms * 1000;
		d->tail++;
	}
	return true;
}

/* Hands over what is due. A link whose queue is full drops a packet, as networks do. */
static void deliver(struct direction *d, int64_t now_us)
{
	for (; d->head < d->tail && slot(d, d->head)->due_us <= now_us; d->head++) {
		const struct packet *p = slot(d, d->head);
		if (write(d->to, p->bytes, p->len) == (ssize_t)p->len)
			d->passed++;
		else
			d->overflowed++;
	}
	if (d->sent < d->head)
		d->sent = d->head;
}

static int64_t next_due(struct direction *d, int64_t other_us)
{
	int64_t due_us = d->head < d->tail ? slot(d, d->head)->due_us : INT64_MAX;
	return due_us < other_us ? due_us : other_us;
}

static void carry(struct direction *both, const struct values *v)
{
	while (!is_over) {
		struct pollfd polled[2] = { { both[0].from, POLLIN, 0 },
					    { both[1].from, POLLIN, 0 } };
		int64_t now_us = clock_us();
		int64_t due_us = next_due(&both[0], next_due(&both[1], now_us + 1000000));
		int64_t wait_us = due_us > now_us ? due_us - now_us : 0;
		struct timespec wait = { wait_us / 1000000, wait_us % 1000000 * 1000 };
		if (ppoll(polled, 2, &wait, NULL) < 0 && errno != EINTR)
			return;
		now_us = clock_us();
		for (int i = 0; i < 2; i++) {
			for (int n = 0; n < BURST && take(&both[i], v, now_us); n++)
				;
			deliver(&both[i], clock_us());
		}
	}
}

/* A TUN link in the namespace that we are in. On 0 the caller owns *fd_out. */
static int open_link(const char *name, int *fd_out, struct pg_err *err)
{
	struct ifreq want = { .ifr_flags = IFF_TUN | IFF_NO_PI };
	pg_auto_close int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return pg_fail(err, -errno, "open /dev/net/tun");
	if (strlen(name) >= sizeof(want.ifr_name))
		return pg_fail(err, -EINVAL, "link '%s': the name is too long", name);
	memcpy(want.ifr_name, name, strlen(name));
	if (ioctl(fd, TUNSETIFF, &want) < 0)
		return pg_fail(err, -errno, "make link %s", name);
	*fd_out = pg_take_fd(&fd);
	return 0;
}

static void print_counts(const char *name, const struct direction *d, const char *end)
{
	printf("\"%s\":{\"passed\":%" PRIu64 ",\"lost\":%" PRIu64 ",\"overflowed\":%" PRIu64 "}%s",
	       name, d->passed, d->lost, d->overflowed, end);
}

static int run(const struct values *v, struct pg_err *err)
{
	struct sigaction on_stop = { .sa_handler = stop };
	pg_auto_close int outside = -1;
	pg_auto_close int inside = -1;
	pg_auto_free struct packet *rings = pg_calloc((size_t)2 * RING_PACKETS, sizeof(*rings));
	if (!rings)
		return pg_fail(err, -ENOMEM, "hold packets");
	int rc = open_link(v->link, &outside, err);
	if (rc == 0 && unshare(CLONE_NEWNET) < 0)
		rc = pg_fail(err, -errno, "make a network namespace");
	if (rc == 0)
		rc = open_link(v->link, &inside, err);
	if (rc < 0)
		return rc;
	struct direction both[2] = {
		{ .from = inside, .to = outside, .random = v->seed, .ring = rings },
		{ .from = outside, .to = inside, .random = ~v->seed, .ring = rings + RING_PACKETS },
	};
	sigaction(SIGTERM, &on_stop, NULL);
	sigaction(SIGINT, &on_stop, NULL);
	setpriority(PRIO_PROCESS, 0, -10); /* a path does not wait for a processor */
	puts("{\"event\":\"ready\"}");
	fflush(stdout);
	carry(both, v);
	printf("{\"event\":\"end\",");
	print_counts("out", &both[0], ",");
	print_counts("in", &both[1], "}\n");
	return 0;
}

int main(int argc, char **argv)
{
	struct pg_err err = { .code = 0 };
	struct values v = { .link = NULL };
	const struct pg_opt_set set = { .title = "Options", .opts = opts, .values = &v };
	struct pg_operands operands = { .count = 0 };
	int rc = pg_opts_init(&set, 1, &err);
	if (rc == 0)
		rc = pg_opts_parse(&set, 1, argc - 1, argv + 1, false, &operands, &err);
	if (rc == 0)
		rc = run(&v, &err);
	if (rc < 0)
		fprintf(stderr, "bench-path: %s\n", err.what);
	return pg_err_exit(&err);
}
