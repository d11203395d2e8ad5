#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "injector/pod_probes.h"
#include "proto/base/buf.h"
#include "proto/base/err.h"
#include "proto/io/lane.h"
#include "proto/io/loop.h"
#include "proto/io/network.h"
#include "proto/wire/auth.h"

/* Where pods live: what a command may ask of Kubernetes or Podman without knowing which one it
 * has. All calls are straight-line (they wait in pg_loop_wait(); an interrupt gives -ECANCELED)
 * and fill *err with message, class and hint. */
struct pg_platform;
struct pg_output;
struct pg_plan;

enum { PG_POD_PORTS = 64, PG_SERVICE_ADDRESSES = 4 };

enum pg_profile { PG_PROFILE_REDIRECT, PG_PROFILE_FORWARD, PG_PROFILE_INSPECT, PG_PROFILE_COUNT };

struct pg_container_port {
	char container[PG_NAME_MAX + 1];
	char name[16]; /* "" when unnamed */
	uint16_t port;
	bool is_tcp;
};

/* A pod that a command works on. */
struct pg_pod {
	char cluster[512]; /* the API server's URL: part of the state file's key */
	char ns[PG_NAME_MAX + 1];
	char name[254];
	char uid[PG_NAME_MAX + 1];
	char node[254];
	char container[PG_NAME_MAX + 1]; /* named by the user, the default one, or the first */
	bool container_is_default;       /* first of several: say "Defaulted container" */
	char container_list[512];        /* "app, sidecar, setup (init)": for that line */
	bool host_network;
	size_t others; /* further pods that matched */
	struct pg_container_port ports[PG_POD_PORTS];
	size_t port_count;
	/* With svc/NAME: the Service's ports, mapped to this pod's. */
	struct {
		uint16_t service_port;
		uint16_t target_port; /* 0: a name that no port of the pod has */
		char name[64];
	} service_ports[PG_POD_PORTS];
	size_t service_port_count;
	struct pg_pod_probes probes;
};

/* Where pods dial a Service: before their node turns that to one of the Service's pods. */
struct pg_service {
	struct pg_network addresses[PG_SERVICE_ADDRESSES];
	size_t count;
	uint16_t ports[PG_POD_PORTS]; /* of TCP */
	size_t port_count;
	bool has_all_ports; /* false: it has more than those */
};

struct pg_target_spec {
	const char *target;    /* "web-0", "pod/web-0", "deploy/web", ...; NULL with a selector */
	const char *only;      /* of the pods that it names, the one of this name; or NULL */
	const char *selector;  /* of -l, or NULL */
	const char *container; /* of -c, or NULL */
	uint64_t wait_ms;      /* for a pod to appear; kubectl's default is 60 s */
};

struct pg_graft_spec {
	enum pg_profile profile;
	const char *image;          /* never NULL */
	const char *pull_policy;    /* "Always", "IfNotPresent", "Never", or NULL */
	uint64_t idle_ms;           /* life of an agent without a session */
	uint64_t memory_bytes;      /* its ceiling */
	const struct pg_keys *keys; /* of this user */
};

/* An agent that listens. */
struct pg_graft {
	char container[PG_NAME_MAX + 1]; /* the ephemeral container's name */
	uint16_t port;                   /* of its control API, on the pod's 127.0.0.1 */
	uint8_t agent_key[PG_KEY_BYTES];
	bool reused;
};

/* What has become of one of many pods. */
struct pg_pod_change {
	char name[254];
	char uid[PG_NAME_MAX + 1];
	bool is_gone;   /* it was deleted, or has ended for good */
	bool is_usable; /* it runs, and nobody deletes it */
	bool has_more;  /* the next change is there already: both are of one list */
};

struct pg_pod_follow;

/* An agent in a pod, whoever grafted it, as the pod's containers tell. Clean to print. */
enum pg_agent_life { PG_AGENT_STARTING, PG_AGENT_RUNS, PG_AGENT_ENDED };
struct pg_agent_seen {
	char ns[PG_NAME_MAX + 1];
	char pod[254];
	char uid[PG_NAME_MAX + 1]; /* of the pod */
	char container[PG_NAME_MAX + 1];
	char profile[16];
	uint8_t laptop_key[PG_KEY_BYTES]; /* of the user whom it lets in */
	enum pg_agent_life life;
	int64_t since_s; /* Unix time of its start; 0: not told */
	int exit_code;   /* of one that has ended */
};

/* Whose agents: those in the pods that are named, by target or selector, or in all pods. */
struct pg_agents_wish {
	struct pg_target_spec pods;
	bool all_namespaces; /* not with a target */
};

struct pg_platform_ops {
	int (*resolve)(struct pg_platform *p, const struct pg_target_spec *spec, struct pg_pod *out,
		       struct pg_err *err);
	/* Follows all pods of a target: those that there are, then what changes. -EINVAL (PG_USER)
	 * for a target that is one pod by its name. */
	int (*follow)(struct pg_platform *p, const struct pg_target_spec *spec,
		      struct pg_pod_follow **out, struct pg_err *err);
	/* Waits for the next change: 0, -ETIMEDOUT at `deadline_ms` of pg_loop_now_ms(), or why
	 * they cannot be followed any further. */
	int (*next)(struct pg_platform *p, struct pg_pod_follow *f, uint64_t deadline_ms,
		    struct pg_pod_change *out, struct pg_err *err);
	void (*unfollow)(struct pg_platform *p, struct pg_pod_follow *f); /* NULL is allowed */
	/* Adds the line that tells another podgraft of ours the credential after number `after`
	 * (credential.h), or why there is none. May ask the person. */
	int (*credential)(struct pg_platform *p, unsigned after, struct pg_buf *line,
			  struct pg_err *err);
	/* Gathers what a plan for the target says, and changes nothing. A target that we may not
	 * read is no failure. */
	int (*plan)(struct pg_platform *p, const struct pg_target_spec *target,
		    const struct pg_graft_spec *graft, struct pg_plan *out, struct pg_err *err);
	/* Where pods dial the Service `name`. */
	int (*service)(struct pg_platform *p, const char *ns, const char *name,
		       struct pg_service *out, struct pg_err *err);
	/* Reuses a running agent of our own record, else grafts one and waits until it listens. */
	int (*graft)(struct pg_platform *p, const struct pg_pod *pod,
		     const struct pg_graft_spec *spec, struct pg_graft *out, struct pg_err *err);
	/* Calls `found` for every agent in those pods, ended ones included. */
	int (*agents)(struct pg_platform *p, const struct pg_agents_wish *wish,
		      void (*found)(void *ctx, const struct pg_agent_seen *agent), void *ctx,
		      struct pg_err *err);
	/* Hands the last lines of an agent's log, as it wrote them, to `line`. */
	int (*agent_log)(struct pg_platform *p, const struct pg_agent_seen *agent,
			 void (*line)(void *ctx, const char *text), void *ctx, struct pg_err *err);
	/* How to reach an agent that runs, from our record or else from its log: fills *out, and of
	 * *pod_out cluster, namespace, name and uid. For ending it, not for use: only our own
	 * record says that it is an agent of ours (docs/security.md). */
	int (*adopt)(struct pg_platform *p, const struct pg_agent_seen *agent,
		     struct pg_pod *pod_out, struct pg_graft *out, struct pg_err *err);
	/* Leaves a note on the pod, where its users look for such: of a one-word `reason`. -EACCES:
	 * we may not. 3 s at most. */
	int (*note)(struct pg_platform *p, const struct pg_pod *pod, const char *reason,
		    const char *message, struct pg_err *err);
	/* Forgets a recorded agent that turned out to be dead, so that graft() makes a new one. */
	void (*forget)(struct pg_platform *p, const struct pg_pod *pod,
		       const struct pg_graft *graft);
	/* A stream of bytes to 127.0.0.1:port in the pod. -ECONNREFUSED: nobody listens there. The
	 * lane is the caller's; events go to `ctx` from the loop's next turn on. */
	int (*dial)(struct pg_platform *p, const struct pg_pod *pod, uint16_t port,
		    struct pg_lane_events events, void *ctx, struct pg_lane **out,
		    struct pg_err *err);
	/* "spdy", "tunnel", "websocket": what dial() used last; "" before. */
	const char *(*transport)(const struct pg_platform *p);
	/* What the running call waits for, for a status line ("image pull of ..."); "" if nothing.
	 * Meant for pg_loop_on_slow(). */
	const char *(*waiting_for)(const struct pg_platform *p);
	void (*close)(struct pg_platform *p);
};

struct pg_platform { /* first member of each implementation */
	const struct pg_platform_ops *ops;
};

const char *pg_profile_name(enum pg_profile profile);

/* 0, or -EINVAL for a name that is no profile. */
int pg_profile_parse(const char *name, enum pg_profile *out);

/* Refuses an agent that changes rules in a pod without a network of its own: -EOPNOTSUPP. */
int pg_pod_check_network(const struct pg_pod *pod, enum pg_profile profile, struct pg_err *err);

/* True when an agent of profile `has` can do all that a job of profile `needs` does. */
bool pg_profile_covers(enum pg_profile has, enum pg_profile needs);
