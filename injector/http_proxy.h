#pragma once
#include <stdbool.h>

/* Which proxy the environment asks for, by the rules of Kubernetes' other clients (Go's httpproxy),
 * which differ from libcurl's: loopback is never proxied, ALL_PROXY does not count, NO_PROXY may
 * name ports, ".example.com" means what lies below, "example.com" that and itself. Pure.
 *
 * `host` has no brackets, `port` is decimal. `env` answers like getenv(). Returns the proxy as the
 * environment has it, borrowed, or "" for none. */
const char *pg_http_env_proxy(bool tls, const char *host, const char *port,
			      char *(*env)(const char *name));
