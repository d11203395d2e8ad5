#include "agent/mech_detect.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <linux/netfilter.h>
#include <linux/netfilter_ipv4/ip_tables.h>

#include "agent/nft_dump.h"
#include "proto/base/auto.h"
#include "proto/base/mem.h"

enum { NAMES_BYTES = 4096, LEGACY_BYTES_MAX = 8 << 20 };

/* Chains that only a mesh makes; all of Istio's and Linkerd's begin so. And where their proxies
 * listen for what comes to the pod. */
static const struct {
	const char *prefix;
	uint16_t proxy_in;
} meshes[] = { { "ISTIO_", 15006 }, { "PROXY_INIT_", 4143 } };

bool pg_names_have_nat(const char *text)
{
	while (*text) {
		size_t n = strcspn(text, "\n");
		if (n == 3 && memcmp(text, "nat", 3) == 0)
			return true;
		text += n + (text[n] == '\n');
	}
	return false;
}

static void on_chain(void *ctx, const struct pg_nft_seen_chain *c)
{
	struct pg_pod_nat *nat = ctx;
	if (strcmp(c->type, "nat") == 0 &&
	    (c->hook == NF_INET_PRE_ROUTING || c->hook == NF_INET_LOCAL_OUT))
		nat->present = true;
	for (size_t i = 0; i < PG_LEN(meshes); i++)
		if (strncmp(c->name, meshes[i].prefix, strlen(meshes[i].prefix)) == 0)
			nat->proxy_in = meshes[i].proxy_in;
}

/* Whether iptables-legacy has made a nat table; it may be empty. No such file: it never did. */
static bool legacy_has_nat(const char *names_path)
{
	char text[NAMES_BYTES];
	pg_auto_close int fd = open(names_path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ssize_t n = read(fd, text, sizeof(text) - 1);
	if (n < 0)
		return false;
	text[n] = '\0';
	return pg_names_have_nat(text);
}

/* Where the proxy of the mesh listens whose chains are in the legacy nat table of the family, or 0:
 * their names are within its rules. The structures of IPv6 are those of IPv4, as far as they are
 * looked at here. */
static uint16_t legacy_proxy_in(int family, int level)
{
	struct ipt_getinfo info = { .name = "nat" };
	socklen_t len = sizeof(info);
	pg_auto_close int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || getsockopt(fd, level, IPT_SO_GET_INFO, &info, &len) < 0 ||
	    info.size > LEGACY_BYTES_MAX)
		return 0;
	len = (socklen_t)(sizeof(struct ipt_get_entries) + info.size);
	pg_auto_free struct ipt_get_entries *entries = pg_calloc(1, len);
	if (!entries)
		return 0;
	memcpy(entries->name, info.name, sizeof(info.name));
	entries->size = info.size;
	if (getsockopt(fd, level, IPT_SO_GET_ENTRIES, entries, &len) < 0)
		return 0;
	for (size_t i = 0; i < PG_LEN(meshes); i++)
		if (memmem(entries->entrytable, info.size, meshes[i].prefix,
			   strlen(meshes[i].prefix)))
			return meshes[i].proxy_in;
	return 0;
}

int pg_pod_nat_detect(struct pg_nft *n, struct pg_pod_nat *out, struct pg_err *err)
{
	struct pg_pod_nat nat = { .present = false };
	int code = pg_nft_each_chain(n, on_chain, &nat, err);
	if (code < 0)
		return code;
	if (legacy_has_nat("/proc/net/ip_tables_names")) {
		nat.present = true;
		if (!nat.proxy_in)
			nat.proxy_in = legacy_proxy_in(AF_INET, IPPROTO_IP);
	}
	if (legacy_has_nat("/proc/net/ip6_tables_names")) {
		nat.present = true;
		if (!nat.proxy_in)
			nat.proxy_in = legacy_proxy_in(AF_INET6, IPPROTO_IPV6);
	}
	nat.present = nat.present || nat.proxy_in;
	*out = nat;
	return 0;
}
