#include "injector/http_proxy.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "proto/base/num.h"

struct ip {
	int family; /* 0: no address */
	uint8_t bytes[16];
	unsigned bits; /* all of them */
};

static struct ip parse_ip(const char *text)
{
	struct ip ip = { .family = AF_INET, .bits = 32 };
	if (inet_pton(AF_INET, text, ip.bytes) == 1)
		return ip;
	ip = (struct ip){ .family = AF_INET6, .bits = 128 };
	if (inet_pton(AF_INET6, text, ip.bytes) != 1)
		ip.family = 0;
	return ip;
}

static bool is_loopback(const char *host)
{
	static const uint8_t six[16] = { [15] = 1 };
	struct ip ip = parse_ip(host);
	return strcasecmp(host, "localhost") == 0 || (ip.family == AF_INET && ip.bytes[0] == 127) ||
	       (ip.family == AF_INET6 && memcmp(ip.bytes, six, sizeof(six)) == 0);
}

static bool same_bits(const struct ip *a, const struct ip *b, unsigned bits)
{
	if (a->family == 0 || a->family != b->family || bits > a->bits)
		return false;
	unsigned whole = bits / 8, rest = bits % 8;
	if (memcmp(a->bytes, b->bytes, whole) != 0)
		return false;
	return rest == 0 || ((a->bytes[whole] ^ b->bytes[whole]) >> (8 - rest)) == 0;
}

/* "10.0.0.0/8": cuts `entry` at the slash when it is one. */
static bool matches_cidr(char *entry, const char *host)
{
	char *slash = strchr(entry, '/');
	uint64_t bits;
	if (!slash || pg_parse_u64(slash + 1, 0, 128, &bits) < 0)
		return false;
	*slash = '\0';
	struct ip net = parse_ip(entry), ip = parse_ip(host);
	return same_bits(&net, &ip, (unsigned)bits);
}

/* Splits "host:port" and "[v6]:port" in place; *port is "" when there is none. */
static char *split_port(char *entry, const char **port)
{
	char *colon = strrchr(entry, ':'), *bracket = strchr(entry, ']');
	*port = "";
	if (colon && (bracket ? colon > bracket : strchr(entry, ':') == colon)) {
		*colon = '\0';
		*port = colon + 1;
	}
	if (entry[0] == '[' && bracket) {
		*bracket = '\0';
		return entry + 1;
	}
	return entry;
}

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);
	return n >= m && strcasecmp(text + n - m, end) == 0;
}

/* One entry of NO_PROXY, which is written to. */
static bool matches(char *entry, const char *host, const char *port)
{
	const char *only_port;
	if (strcmp(entry, "*") == 0)
		return true;
	if (strchr(entry, '/'))
		return matches_cidr(entry, host);
	char *name = split_port(entry, &only_port);
	if (name[0] == '\0' || (only_port[0] != '\0' && strcmp(only_port, port) != 0))
		return false;
	struct ip want = parse_ip(name), ip = parse_ip(host);
	if (want.family != 0)
		return same_bits(&want, &ip, want.bits);
	if (strncmp(name, "*.", 2) == 0)
		name++;
	if (name[0] == '.')
		return ends_with(host, name) && strlen(host) > strlen(name);
	size_t below = strlen(host) > strlen(name) ? strlen(host) - strlen(name) : 0;
	return strcasecmp(host, name) == 0 || (ends_with(host, name) && host[below - 1] == '.');
}

static bool is_exempt(const char *list, const char *host, const char *port)
{
	char entry[300];
	for (; *list; list += *list == ',') {
		size_t n = strcspn(list, ",");
		size_t lead = strspn(list, " \t");
		size_t len = lead < n ? n - lead : 0;
		snprintf(entry, sizeof(entry), "%.*s", (int)pg_min(len, sizeof(entry) - 1),
			 list + lead);
		for (len = strlen(entry); len > 0 && strchr(" \t", entry[len - 1]); len--)
			entry[len - 1] = '\0';
		if (entry[0] != '\0' && matches(entry, host, port))
			return true;
		list += n;
	}
	return false;
}

static const char *either(char *(*env)(const char *), const char *upper, const char *lower)
{
	const char *value = env(upper);
	if (!value || value[0] == '\0')
		value = env(lower);
	return value ? value : "";
}

const char *pg_http_env_proxy(bool tls, const char *host, const char *port,
			      char *(*env)(const char *name))
{
	const char *proxy = tls ? either(env, "HTTPS_PROXY", "https_proxy")
				: either(env, "HTTP_PROXY", "http_proxy");
	if (proxy[0] == '\0' || is_loopback(host) ||
	    is_exempt(either(env, "NO_PROXY", "no_proxy"), host, port))
		return "";
	return proxy;
}
