#include "injector/to_spec.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "proto/base/num.h"

static const char *const service_words[] = { "svc/", "service/", "services/" };
static const char *const service_suffixes[] = { ".svc", ".svc.cluster.local" };

static int refuse(const char *text, const char *what, struct pg_err *err)
{
	pg_fail(err, -EINVAL, "--to '%.100s': %s", text, what);
	return pg_hint(err, PG_USER,
		       "write an address, a network, a Service or a host: 10.0.0.7, "
		       "10.0.0.0/8, svc/db, svc/db.shop or db.example.com");
}

/* One label of a DNS name, RFC 1123: also what a Service or namespace is called. */
static bool is_label(const char *s, size_t n)
{
	if (n == 0 || n > 63 || s[0] == '-' || s[n - 1] == '-')
		return false;
	for (size_t i = 0; i < n; i++) {
		bool letter = (s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z');
		if (!letter && !(s[i] >= '0' && s[i] <= '9') && s[i] != '-')
			return false;
	}
	return true;
}

/* The number of labels in a host name of `n` bytes; 0: it is none. */
static int labels(const char *s, size_t n)
{
	int count = 0;
	for (size_t at = 0; at <= n; count++) {
		const char *dot = at < n ? memchr(s + at, '.', n - at) : NULL;
		size_t len = dot ? (size_t)(dot - s) - at : n - at;
		if (!is_label(s + at, len))
			return 0;
		at += len + 1;
	}
	return n <= 253 ? count : 0;
}

/* DNS does not tell them apart, the API server does. */
static void lower(char *s)
{
	for (; *s; s++)
		if (*s >= 'A' && *s <= 'Z')
			*s = (char)(*s - 'A' + 'a');
}

/* NAME or NAME.NAMESPACE, `n` bytes of it. False: it is neither. */
static bool read_service(const char *s, size_t n, struct pg_to_spec *out)
{
	int count = labels(s, n);
	if (count != 1 && count != 2)
		return false;
	const char *dot = memchr(s, '.', n);
	size_t name = dot ? (size_t)(dot - s) : n;
	*out = (struct pg_to_spec){ .kind = PG_TO_SERVICE };
	snprintf(out->name, sizeof(out->name), "%.*s", (int)name, s);
	if (dot)
		snprintf(out->ns, sizeof(out->ns), "%.*s", (int)(n - name - 1), dot + 1);
	lower(out->name);
	lower(out->ns);
	return true;
}

/* db.shop.svc and db.shop.svc.cluster.local: names that only the pod's resolver knows. */
static bool read_cluster_name(const char *s, size_t n, struct pg_to_spec *out)
{
	for (size_t i = 0; i < PG_LEN(service_suffixes); i++) {
		size_t len = strlen(service_suffixes[i]);
		if (n > len && strncasecmp(s + n - len, service_suffixes[i], len) == 0 &&
		    labels(s, n - len) == 2)
			return read_service(s, n - len, out);
	}
	return false;
}

int pg_to_spec_parse(const char *text, struct pg_to_spec *out, struct pg_err *err)
{
	struct pg_to_spec spec = { .kind = PG_TO_NETWORK };
	size_t n = strlen(text);
	if (pg_network_parse(text, &spec.network) == 0) {
		*out = spec;
		return 0;
	}
	for (size_t i = 0; i < PG_LEN(service_words); i++) {
		size_t len = strlen(service_words[i]);
		if (strncasecmp(text, service_words[i], len) != 0)
			continue;
		if (!read_service(text + len, n - len, out))
			return refuse(text, "after svc/ comes NAME or NAME.NAMESPACE", err);
		return 0;
	}
	if (n > 1 && text[n - 1] == '.') /* as in a resolver's files */
		n--;
	if (strchr(text, '/'))
		return refuse(text, "no network, and no type that has addresses", err);
	if (strspn(text, "0123456789.") == strlen(text) || strchr(text, ':'))
		return refuse(text, "no IP address", err);
	if (labels(text, n) == 0)
		return refuse(text, "no name of a host", err);
	if (read_cluster_name(text, n, out))
		return 0;
	spec.kind = PG_TO_HOST;
	snprintf(spec.name, sizeof(spec.name), "%.*s", (int)n, text);
	*out = spec;
	return 0;
}
