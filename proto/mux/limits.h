#pragma once

/* Every ceiling of the link, each with its reason. docs/protocol.md repeats those a peer must know.
 *
 * What a peer can make a session hold: the pool, PG_CREDIT_OWN and some 300 bytes for each stream,
 * and for each lane the three queues and 33 KiB for the frame that is arriving. With 1,000 streams
 * that is 26 MiB in the agent and 34 MiB on the laptop, nearly all of it only while consumers
 * stall. */
enum {
	/* What each stream may send before it hears anything: small, for it is outside any pool. */
	PG_CREDIT_OWN = 16 << 10,
	/* What may be on its way before ACCEPTED: the agent keeps it, to replay it to the app. */
	PG_UNACCEPTED_MAX = 64 << 10,
	/* Lanes of one session: as many goroutines at each station of the way as carry its bytes.
	 */
	PG_LANES_MAX = 8,
	/* Growth of all streams of a laptop's session, or of an agent, together, from design
	 * section 4. */
	PG_POOL_LAPTOP = 16 << 20,
	PG_POOL_AGENT = 8 << 20,
	/* One stream borrows at most a quarter of the pool. */
	PG_POOL_SHARE = 4,
	/* One CREDIT frame grants at most this: a peer cannot make the sum overflow. */
	PG_CREDIT_MAX = 16 << 20,
	/* What waits to be sent on a lane that does not move: OPENs (some 60 bytes each, so more
	 * than streams are allowed), control messages (a handful of redirects, answered at once)
	 * beyond those, and refusals of OPENs (9 bytes each) beyond both. */
	PG_OPEN_QUEUE = 1 << 20,
	PG_CONTROL_QUEUE = 256 << 10,
	PG_REFUSED_QUEUE = 64 << 10,
	/* Hence what a lane holds at most, with the frame that arrives, and what is not its
	 * streams'.
	 */
	PG_LANE_BYTES = PG_OPEN_QUEUE + PG_CONTROL_QUEUE + PG_REFUSED_QUEUE + (64 << 10),
	/* PINGs not yet answered: a peer sends one and waits for its PONG. */
	PG_PONG_QUEUE = 16,
	/* Heartbeat: a ping each second under load, three when idle; 10 s of silence is the end. */
	PG_PING_BUSY_MS = 1000,
	PG_PING_IDLE_MS = 3000,
	PG_SILENCE_MS = 10000,
	/* The credit of a stream is sized for this round trip at least: a busy machine schedules no
	 * finer, and what waits then is the machine, not the path. */
	PG_RTT_FLOOR_US = 10000,
	/* What is under way at most, by what is consumed in a round trip: enough to fill the path
	 * and the time that credit takes back. Where bytes come in bursts (PG_CREDIT_OWN and more
	 * at once), half a round trip and more apart, the path is not full, or it loses some: what
	 * follows a lost one waits for it, a round trip or more, and has to be under way meanwhile.
	 */
	PG_TRIPS = 2,
	PG_TRIPS_ROUGH = 4,
	/* What a lane has carried counts for one to two of these: a stream that outgrows its own
	 * credit may have half of it at once. A TCP sender that credit holds back for some round
	 * trips takes that for the path's rate, and is slow for long (BBR after a pause). */
	PG_PACE_MEMORY_MS = 120000,
	/* The least round trip is that of the last 15 to 30 s ... */
	PG_RTT_MEMORY_MS = 15000,
	/* ... and may rise by those measured while no more than this moved. */
	PG_QUIET_BYTES = 2 * PG_CREDIT_OWN,
	/* What a stream consumed counts for one to two of these, so a stalled one shrinks. */
	PG_STALL_MS = 1000,
	/* Credit that was not needed for so long goes back to the peer. */
	PG_SPARE_MS = 2000,
};
