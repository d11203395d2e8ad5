/* Whose connections may be the kubelet's: the addresses that are named, and the default gateways.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <string.h>

#include "agent/nodes.h"
#include "proto/base/mem.h"
#include "proto/io/sock.h"

#define HEAD4 \
	"Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
#define ANY6  "00000000000000000000000000000000"
#define GATE6 "fdb0c4a7000200000000000000000001"

struct route_case {
	const char *name, *text;
	const char *want; /* the address, or NULL: none */
	bool six;
};

/* The first of each family are of a pod, the others are bent. */
static struct route_case cases[] = {
	{ "a pod behind a veth pair",
	  HEAD4 "eth0\t00000000\t0100D50A\t0003\t0\t0\t0\t00000000\t0\t0\t0   \n"
		"eth0\t0000D50A\t0200D50A\t0003\t0\t0\t0\t00FFFFFF\t0\t0\t0   \n"
		"eth0\t0100D50A\t00000000\t0005\t0\t0\t0\tFFFFFFFF\t0\t0\t0   \n",
	  "10.213.0.1", false },
	{ "without its newline", "eth0\t00000000\t0100D50A\t0003\t0\t0\t0\t00000000", "10.213.0.1",
	  false },
	{ "a default route without a gateway",
	  "eth0\t00000000\t00000000\t0001\t0\t0\t0\t00000000\n", NULL, false },
	{ "half of everything", "eth0\t00000000\t0100D50A\t0003\t0\t0\t0\t00000080\n", NULL,
	  false },
	{ "no numbers", "eth0 default via somewhere\n\n", NULL, false },
	{ "a pod behind a veth pair, IPv6",
	  GATE6 " 80 " ANY6 " 00 " ANY6 " 00000400 00000001 00000000 00000001     eth0\n" ANY6
		" 00 " ANY6 " 00 " GATE6 " 00000400 00000001 00000000 00000003     eth0\n" ANY6
		" 00 " ANY6 " 00 " ANY6 " ffffffff 00000001 00000000 00200200       lo\n",
	  "fdb0:c4a7:2::1", true },
	{ "half of everything, IPv6",
	  ANY6 " 01 " ANY6 " 00 " GATE6 " 00000400 00000001 00000000 00000003     eth0\n", NULL,
	  true },
	{ "no address, IPv6",
	  ANY6 " 00 " ANY6 " 00 zz 00000400 00000001 00000000 00000003     eth0\n", NULL, true },
};

static struct sockaddr_storage address(const char *text)
{
	struct sockaddr_storage a = { 0 };
	uint8_t bytes[16];
	if (inet_pton(AF_INET, text, bytes) == 1)
		pg_addr_set(&a, bytes, 4, 1);
	else if (inet_pton(AF_INET6, text, bytes) == 1)
		pg_addr_set(&a, bytes, 16, 1);
	return a;
}

static void finds_the_gateway(void **state)
{
	const struct route_case *c = *state;
	struct pg_nodes nodes = { .count = 0 };
	void (*add)(struct pg_nodes *, const char *, size_t) =
		c->six ? pg_nodes_add_routes6 : pg_nodes_add_routes4;
	add(&nodes, c->text, strlen(c->text));
	assert_int_equal(nodes.count, c->want != NULL);
	if (c->want) {
		struct sockaddr_storage wanted = address(c->want);
		assert_true(pg_nodes_have(&nodes, &wanted));
	}
}

static void an_address_counts_once_and_in_either_form(void **state)
{
	const uint8_t four[] = { 10, 0, 0, 7 };
	struct pg_nodes nodes = { .count = 0 };
	struct sockaddr_storage same = address("10.0.0.7"), mapped = address("::ffff:10.0.0.7"),
				other = address("10.0.0.8"), six = address("a00:7::");
	(void)state;
	assert_false(pg_nodes_have(&nodes, &same));
	pg_nodes_add(&nodes, four, sizeof(four));
	pg_nodes_add(&nodes, four, sizeof(four));
	assert_int_equal(nodes.count, 1);
	assert_true(pg_nodes_have(&nodes, &same));
	assert_true(pg_nodes_have(&nodes, &mapped));
	assert_false(pg_nodes_have(&nodes, &other));
	assert_false(pg_nodes_have(&nodes, &six));
	for (uint8_t i = 0; i < 100; i++)
		pg_nodes_add(&nodes, (uint8_t[]){ 10, 1, 1, i }, 4);
	assert_int_equal(nodes.count, PG_NODES_ROOM);
}

int main(void)
{
	struct CMUnitTest tests[PG_LEN(cases) + 1] = {
		cmocka_unit_test(an_address_counts_once_and_in_either_form),
	};
	for (size_t i = 0; i < PG_LEN(cases); i++)
		tests[i + 1] = (struct CMUnitTest){ cases[i].name, finds_the_gateway, NULL, NULL,
						    &cases[i] };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
