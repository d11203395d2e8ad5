/* Which NAT a pod has: the parser on its own, then the whole on the kernel. */
#include "agent/mech_detect.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "agent/test_netns.h"

struct names_case {
	const char *name, *text;
	bool want;
};

static struct names_case names_cases[] = {
	{ "names: none", "", false },
	{ "names: nat alone", "nat\n", true },
	{ "names: nat last", "raw\nmangle\nnat\n", true },
	{ "names: nat first", "nat\nfilter\n", true },
	{ "names: no line end", "filter\nnat", true },
	{ "names: part of another", "nato\nsubnat\nna\n", false },
	{ "names: empty lines", "\n\nnat\n", true },
	{ "names: blanks are no line ends", "nat filter\n", false },
};

static void reads_names(void **state)
{
	const struct names_case *c = *state;
	assert_int_equal(pg_names_have_nat(c->text), c->want);
}

struct pod_case {
	const char *name, *shell;
	bool present;
	uint16_t proxy_in;
};

static struct pod_case pod_cases[] = {
	{ "pod: empty", "true", false, 0 },
	{ "pod: filters only",
	  "nft 'table inet t { chain c { type filter hook prerouting priority 0; }; }'", false, 0 },
	{ "pod: nat chain of incoming connections",
	  "nft 'table ip t { chain c { type nat hook prerouting priority 0; }; }'", true, 0 },
	{ "pod: nat chain of outgoing connections",
	  "nft 'table inet t { chain c { type nat hook output priority 0; }; }'", true, 0 },
	{ "pod: masquerading only",
	  "nft 'table ip t { chain c { type nat hook postrouting priority 0; }; }'", false, 0 },
	{ "pod: iptables-legacy", "iptables-legacy -t nat -L >/dev/null", true, 0 },
	{ "pod: ip6tables-legacy", "ip6tables-legacy -t nat -L >/dev/null", true, 0 },
	{ "pod: Istio", "iptables-nft -t nat -N ISTIO_OUTPUT", true, 15006 },
	{ "pod: Istio, legacy", "iptables-legacy -t nat -N ISTIO_OUTPUT", true, 15006 },
	{ "pod: Linkerd", "iptables-nft -t nat -N PROXY_INIT_REDIRECT", true, 4143 },
	{ "pod: Linkerd, legacy", "ip6tables-legacy -t nat -N PROXY_INIT_REDIRECT", true, 4143 },
};

static void looks_at_pod(void **state)
{
	const struct pod_case *c = *state;
	struct pg_nft *nft = NULL;
	struct pg_pod_nat nat;
	struct pg_err err = { 0 };
	int ns = new_ns();
	assert_true(ns >= 0);
	assert_int_equal(sh(c->shell), 0);
	assert_int_equal(pg_nft_open(&nft, &err), 0);
	assert_int_equal(pg_pod_nat_detect(nft, &nat, &err), 0);
	assert_int_equal(nat.present, c->present);
	assert_int_equal(nat.proxy_in, c->proxy_in);
	pg_nft_close(nft);
	close(ns);
}

int main(void)
{
	struct CMUnitTest tests[PG_LEN(names_cases) + PG_LEN(pod_cases)] = { 0 };
	size_t n = 0;
	for (size_t i = 0; i < PG_LEN(names_cases); i++)
		tests[n++] = (struct CMUnitTest){ names_cases[i].name, reads_names, NULL, NULL,
						  &names_cases[i] };
	for (size_t i = 0; i < PG_LEN(pod_cases); i++)
		tests[n++] = (struct CMUnitTest){ pod_cases[i].name, looks_at_pod, NULL, NULL,
						  &pod_cases[i] };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
