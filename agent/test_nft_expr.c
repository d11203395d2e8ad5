/* Rules as the kernel gets them, byte by byte: netlink attributes as nft(8) writes them for the
 * same words (nft --debug=netlink). */
#include "agent/nft_expr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <linux/netlink.h>
#include <libnftnl/common.h>
#include <libnftnl/rule.h>

#include "proto/base/auto.h"

struct rule_case {
	const char *name;
	struct pg_nft_expr words[8];
	const char *listing; /* as libnftnl prints what it reads back */
};

static struct rule_case cases[] = {
	{ "tcp", { PG_X(TCP) }, "[ meta load l4proto => reg 1 ] [ cmp eq reg 1 0x00000006 ]" },
	{ "ipv4", { PG_X(IPV4) }, "[ meta load nfproto => reg 1 ] [ cmp eq reg 1 0x00000002 ]" },
	{ "ipv6", { PG_X(IPV6) }, "[ meta load nfproto => reg 1 ] [ cmp eq reg 1 0x0000000a ]" },
	{ "syn",
	  { PG_X(SYN) },
	  "[ payload load 1b @ transport header + 13 => reg 1 ] "
	  "[ bitwise reg 1 = ( reg 1 & 0x00000017 ) ^ 0x00000000 ] [ cmp eq reg 1 0x00000002 ]" },
	{ "dport",
	  { PG_XN(DPORT, 8080) },
	  "[ payload load 2b @ transport header + 2 => reg 1 ] [ cmp eq reg 1 0x0000901f ]" },
	{ "dport in",
	  { PG_XS(DPORT_IN, "local") },
	  "[ payload load 2b @ transport header + 2 => reg 1 ] [ lookup reg 1 set local ]" },
	{ "flow in, IPv4",
	  { PG_XNS(FLOW_IN, 4, "outgoing4") },
	  "[ meta load skuid => reg 1 ] [ byteorder reg 1 = hton(reg 1, 4, 4) ] "
	  "[ payload load 2b @ transport header + 2 => reg 9 ] "
	  "[ payload load 4b @ network header + 16 => reg 10 ] [ lookup reg 1 set outgoing4 ]" },
	{ "flow in, IPv6",
	  { PG_XNS(FLOW_IN, 6, "outgoing6") },
	  "[ meta load skuid => reg 1 ] [ byteorder reg 1 = hton(reg 1, 4, 4) ] "
	  "[ payload load 2b @ transport header + 2 => reg 9 ] "
	  "[ payload load 16b @ network header + 24 => reg 10 ] [ lookup reg 1 set outgoing6 ]" },
	{ "to loopback, IPv4",
	  { PG_XN(TO_LOOPBACK, 4) },
	  "[ meta load nfproto => reg 1 ] [ cmp eq reg 1 0x00000002 ] "
	  "[ payload load 4b @ network header + 16 => reg 1 ] [ cmp eq reg 1 0x0100007f ]" },
	{ "to loopback, IPv6",
	  { PG_XN(TO_LOOPBACK, 6) },
	  "[ meta load nfproto => reg 1 ] [ cmp eq reg 1 0x0000000a ] "
	  "[ payload load 16b @ network header + 24 => reg 1 ] "
	  "[ cmp eq reg 1 0x00000000 0x00000000 0x00000000 0x01000000 ]" },
	{ "from istio, IPv4",
	  { PG_XN(FROM_ISTIO, 4) },
	  "[ meta load nfproto => reg 1 ] [ cmp eq reg 1 0x00000002 ] "
	  "[ payload load 4b @ network header + 12 => reg 1 ] [ cmp eq reg 1 0x0600007f ]" },
	{ "from istio, IPv6",
	  { PG_XN(FROM_ISTIO, 6) },
	  "[ meta load nfproto => reg 1 ] [ cmp eq reg 1 0x0000000a ] "
	  "[ payload load 16b @ network header + 8 => reg 1 ] "
	  "[ cmp eq reg 1 0x00000000 0x00000000 0x00000000 0x06000000 ]" },
	{ "to us", { PG_X(TO_US) }, "[ fib daddr type => reg 1 ] [ cmp eq reg 1 0x00000002 ]" },
	{ "iif lo", { PG_X(IIF_LO) }, "[ meta load iif => reg 1 ] [ cmp eq reg 1 0x00000001 ]" },
	{ "iif not lo",
	  { PG_X(IIF_NOT_LO) },
	  "[ meta load iif => reg 1 ] [ cmp neq reg 1 0x00000001 ]" },
	{ "oif lo", { PG_X(OIF_LO) }, "[ meta load oif => reg 1 ] [ cmp eq reg 1 0x00000001 ]" },
	{ "oif not lo",
	  { PG_X(OIF_NOT_LO) },
	  "[ meta load oif => reg 1 ] [ cmp neq reg 1 0x00000001 ]" },
	{ "mark",
	  { PG_XN(MARK, 0x5047), PG_X(RETURN) },
	  "[ meta load mark => reg 1 ] [ cmp eq reg 1 0x00005047 ] [ immediate reg 0 return ]" },
	{ "uid", { PG_XN(UID, 1337) }, "[ meta load skuid => reg 1 ] [ cmp eq reg 1 0x00000539 ]" },
	{ "redirected",
	  { PG_X(REDIRECTED), PG_X(ACCEPT) },
	  "[ ct load status => reg 1 ] [ bitwise reg 1 = ( reg 1 & 0x00000020 ) ^ 0x00000000 ] "
	  "[ cmp neq reg 1 0x00000000 ] [ immediate reg 0 accept ]" },
	{ "tproxy, IPv4",
	  { PG_XN(TPROXY4, 18080) },
	  "[ immediate reg 1 0x0100007f ] [ immediate reg 2 0x0000a046 ] "
	  "[ tproxy ip addr reg 1 port reg 2 ]" },
	{ "tproxy, IPv6",
	  { PG_XN(TPROXY6, 18080) },
	  "[ immediate reg 1 0x00000000 0x00000000 0x00000000 0x01000000 ] "
	  "[ immediate reg 2 0x0000a046 ] [ tproxy ip6 addr reg 1 port reg 2 ]" },
	{ "redirect",
	  { PG_XN(REDIRECT, 18080) },
	  "[ immediate reg 1 0x0000a046 ] [ redir proto_min reg 1 ]" },
	{ "goto", { PG_XS(GOTO, "take") }, "[ immediate reg 0 goto -> take ]" },
	{ "reset", { PG_X(RESET) }, "[ reject type 1 code 0 ]" },
};

/* Squeezes runs of spaces and line ends into one space. */
static void squeeze(char *text)
{
	char *to = text;
	for (char *from = text; *from; from++) {
		if (*from == '\n')
			*from = ' ';
		if (*from != ' ' || (to > text && to[-1] != ' '))
			*to++ = *from;
	}
	while (to > text && to[-1] == ' ')
		to--;
	*to = '\0';
}

static void encodes(void **state)
{
	const struct rule_case *c = *state;
	_Alignas(struct nlmsghdr) char message[4096], text[1024], listing[1024];
	struct nlmsghdr *nlh = nftnl_nlmsg_build_hdr(message, 0, 1, 0, 1);
	assert_int_equal(pg_nft_rule_put(nlh, "table", "chain", c->words), 0);

	struct nftnl_rule *rule = nftnl_rule_alloc();
	assert_non_null(rule);
	assert_true(nftnl_rule_nlmsg_parse(nlh, rule) >= 0);
	assert_string_equal(nftnl_rule_get_str(rule, NFTNL_RULE_TABLE), "table");
	assert_string_equal(nftnl_rule_get_str(rule, NFTNL_RULE_CHAIN), "chain");
	nftnl_rule_snprintf(text, sizeof(text), rule, NFTNL_OUTPUT_DEFAULT, 0);
	nftnl_rule_free(rule);
	const char *expressions = strchr(text, '[');
	assert_non_null(expressions);
	snprintf(listing, sizeof(listing), "%s", expressions);
	squeeze(listing);
	for (char *zero; (zero = strstr(listing, " 0x0 ]"));) /* a lookup's flags */
		memmove(zero, zero + 4, strlen(zero + 4) + 1);
	assert_string_equal(listing, c->listing);
}

/* One rule in bytes, so that the reading above is not all there is to trust. */
static void bytes_of_a_rule(void **state)
{
	(void)state;
	static const char wanted[] =
		"\x0a\x00\x01\x00table\0\0\0"      /* NFTA_RULE_TABLE */
		"\x0a\x00\x02\x00\x63hain\0\0\0"   /* NFTA_RULE_CHAIN */
		"\x54\x00\x04\x80"                 /* NFTA_RULE_EXPRESSIONS */
		"\x24\x00\x01\x80"                 /* NFTA_LIST_ELEM */
		"\x09\x00\x01\x00meta\0\0\0\0"     /* NFTA_EXPR_NAME */
		"\x14\x00\x02\x80"                 /* NFTA_EXPR_DATA */
		"\x08\x00\x02\x00\x00\x00\x00\x10" /* NFTA_META_KEY: NFT_META_L4PROTO */
		"\x08\x00\x01\x00\x00\x00\x00\x01" /* NFTA_META_DREG: 1 */
		"\x2c\x00\x01\x80"                 /* NFTA_LIST_ELEM */
		"\x08\x00\x01\x00\x63mp\0"         /* NFTA_EXPR_NAME */
		"\x20\x00\x02\x80"                 /* NFTA_EXPR_DATA */
		"\x08\x00\x01\x00\x00\x00\x00\x01" /* NFTA_CMP_SREG: 1 */
		"\x08\x00\x02\x00\x00\x00\x00\x00" /* NFTA_CMP_OP: equal */
		"\x0c\x00\x03\x80"                 /* NFTA_CMP_DATA */
		"\x05\x00\x01\x00\x06\0\0\0";      /* NFTA_DATA_VALUE: IPPROTO_TCP */
	_Alignas(struct nlmsghdr) char message[4096] = { 0 };
	struct nlmsghdr *nlh = nftnl_nlmsg_build_hdr(message, 0, 1, 0, 1);
	size_t head = nlh->nlmsg_len;
	assert_int_equal(pg_nft_rule_put(nlh, "table", "chain", PG_RULE(PG_X(TCP))), 0);
	assert_int_equal(nlh->nlmsg_len - head, sizeof(wanted) - 1);
	assert_memory_equal(message + head, wanted, sizeof(wanted) - 1);
}

int main(void)
{
	struct CMUnitTest tests[PG_LEN(cases) + 1] = { 0 };
	for (size_t i = 0; i < PG_LEN(cases); i++)
		tests[i] = (struct CMUnitTest){ cases[i].name, encodes, NULL, NULL, &cases[i] };
	tests[PG_LEN(cases)] = (struct CMUnitTest)cmocka_unit_test(bytes_of_a_rule);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
