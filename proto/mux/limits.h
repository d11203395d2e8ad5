#pragma once

/* Every ceiling of the link, each with its reason. docs/protocol.md repeats those a peer must know.
 */
enum {
	/* What each stream may send before it hears anything: small, for it is outside any pool. */
	PG_CREDIT_OWN = 16 << 10,
	/* What may be on its way before ACCEPTED: the agent keeps it, to replay it to the app. */
	PG_UNACCEPTED_MAX = 64 << 10,
	/* Growth of all streams of one lane together, from design section 4. */
	PG_POOL_LAPTOP = 16 << 20,
	PG_POOL_AGENT = 8 << 20,
	/* One stream borrows at most a quarter of the pool. */
	PG_POOL_SHARE = 4,
	/* One CREDIT frame grants at most this: a peer cannot make the sum overflow. */
	PG_CREDIT_MAX = 16 << 20,
	/* Control messages waiting to be sent: a handful of redirects, answered at once. */
	PG_CONTROL_QUEUE = 256 << 10,
	/* Heartbeat: a ping each second under load, three when idle; 10 s of silence is the end. */
	PG_PING_BUSY_MS = 1000,
	PG_PING_IDLE_MS = 3000,
	PG_SILENCE_MS = 10000,
	/* The credit of a stream is sized for this round trip at least: a busy machine schedules no
	 * finer, and what waits then is the machine, not the path. */
	PG_RTT_FLOOR_US = 10000,
};
