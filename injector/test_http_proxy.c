#include "injector/http_proxy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base/auto.h"

struct proxy_case {
	const char *name, *https, *no_proxy, *host;
	const char *port;
	bool proxied;
};

static struct proxy_case cases[] = {
	{ "no proxy set", "", "", "k8s.example", "443", false },
	{ "a proxy", "p:1", "", "k8s.example", "443", true },
	{ "localhost", "p:1", "", "LocalHost", "443", false },
	{ "loopback", "p:1", "", "127.1.2.3", "443", false },
	{ "loopback, IPv6", "p:1", "", "::1", "443", false },
	{ "a name that begins like loopback", "p:1", "", "127.example", "443", true },
	{ "all exempt", "p:1", "*", "k8s.example", "443", false },
	{ "the name itself", "p:1", "k8s.example", "k8s.example", "443", false },
	{ "the name in capitals", "p:1", "K8S.Example", "k8s.example", "443", false },
	{ "below a name", "p:1", "a.b, example", "k8s.example", "443", false },
	{ "not below: only the same ending", "p:1", "s.example", "k8s.example", "443", true },
	{ "only below", "p:1", ".example", "k8s.example", "443", false },
	{ "only below: not itself", "p:1", ".k8s.example", "k8s.example", "443", true },
	{ "star and dot", "p:1", "*.example", "k8s.example", "443", false },
	{ "the port", "p:1", "k8s.example:6443", "k8s.example", "6443", false },
	{ "another port", "p:1", "k8s.example:6443", "k8s.example", "443", true },
	{ "an address", "p:1", "10.0.0.1", "10.0.0.1", "443", false },
	{ "an address and port", "p:1", "10.0.0.1:443", "10.0.0.1", "443", false },
	{ "a network", "p:1", "192.168.0.0/16 , 10.0.0.0/9", "10.127.3.4", "443", false },
	{ "outside the network", "p:1", "10.0.0.0/9", "10.128.0.1", "443", true },
	{ "all of IPv4", "p:1", "0.0.0.0/0", "10.128.0.1", "443", false },
	{ "a network of the other family", "p:1", "::/0", "10.128.0.1", "443", true },
	{ "IPv6 network", "p:1", "fd00::/8", "fd12::1", "443", false },
	{ "IPv6 address", "p:1", "fd12:0::1", "fd12::1", "443", false },
	{ "IPv6 address and port", "p:1", "[fd12::1]:443", "fd12::1", "443", false },
	{ "nonsense", "p:1", ",/,:,[,]:,a/b,10.0.0.0/99,:443", "10.0.0.1", "443", true },
};

static const struct proxy_case *current;

static char *env(const char *name)
{
	const char *value = strcmp(name, "https_proxy") == 0 ? current->https
			    : strcmp(name, "NO_PROXY") == 0  ? current->no_proxy
			    : strcmp(name, "ALL_PROXY") == 0 ? "never:1"
							     : NULL;
	return (char *)(uintptr_t)value;
}

static void chooses(void **state)
{
	current = *state;
	const char *proxy = pg_http_env_proxy(true, current->host, current->port, env);
	assert_string_equal(proxy, current->proxied ? current->https : "");
	assert_string_equal(pg_http_env_proxy(false, current->host, current->port, env), "");
}

int main(void)
{
	struct CMUnitTest tests[PG_LEN(cases)];
	for (size_t i = 0; i < PG_LEN(cases); i++)
		tests[i] = (struct CMUnitTest){ cases[i].name, chooses, NULL, NULL, &cases[i] };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
