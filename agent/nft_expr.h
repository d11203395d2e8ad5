#pragma once
#include <stddef.h>
#include <stdint.h>

/* Rules as data: a rule is an array of these, ended by PG_X_END, each doing what the word of the
 * nft language beside it does. Matches first, one verdict last. */
enum pg_nft_word {
	PG_X_END,
	PG_X_TCP,         /* meta l4proto tcp */
	PG_X_IPV4,        /* meta nfproto ipv4 */
	PG_X_IPV6,        /* meta nfproto ipv6 */
	PG_X_SYN,         /* tcp flags & (fin|syn|rst|ack) == syn */
	PG_X_DPORT,       /* tcp dport NUMBER */
	PG_X_DPORT_IN,    /* tcp dport @NAME */
	PG_X_FLOW_IN,     /* meta skuid . tcp dport . ip daddr @NAME, or ip6; NUMBER is 4 or 6 */
	PG_X_TO_LOOPBACK, /* ip daddr 127.0.0.1, or ip6 daddr ::1; NUMBER is 4 or 6 */
	PG_X_FROM_ISTIO,  /* ip saddr 127.0.0.6, or ip6 saddr ::6; NUMBER is 4 or 6 */
	PG_X_TO_US,       /* fib daddr type local: not forwarded */
	PG_X_IIF_LO,      /* iif lo */
	PG_X_IIF_NOT_LO,  /* iif != lo */
	PG_X_OIF_LO,      /* oif lo */
	PG_X_OIF_NOT_LO,  /* oif != lo */
	PG_X_MARK,        /* meta mark NUMBER */
	PG_X_UID,         /* meta skuid NUMBER */
	PG_X_REDIRECTED,  /* ct status dnat */
	PG_X_TPROXY4,     /* tproxy ip to 127.0.0.1:NUMBER */
	PG_X_TPROXY6,     /* tproxy ip6 to [::1]:NUMBER */
	PG_X_REDIRECT,    /* redirect to :NUMBER */
	PG_X_GOTO,        /* goto NAME */
	PG_X_RETURN,      /* return */
	PG_X_ACCEPT,      /* accept */
	PG_X_RESET,       /* reject with tcp reset */
	PG_X_COUNT
};

struct pg_nft_expr {
	enum pg_nft_word word;
	uint32_t number;  /* a port, mark or uid in host order, where the word takes one */
	const char *name; /* a set or chain, where the word takes one; borrowed */
};

/* A rule of words without and with a number or a name, for pg_nft_add_rule():
 * PG_RULE(PG_X(TCP), PG_XN(DPORT, 80), PG_XS(GOTO, "take")) */
#define PG_X(w)                  \
	{                        \
		.word = PG_X_##w \
	}
#define PG_XN(w, n)                             \
	{                                       \
		.word = PG_X_##w, .number = (n) \
	}
#define PG_XS(w, s)                           \
	{                                     \
		.word = PG_X_##w, .name = (s) \
	}
#define PG_XNS(w, n, s)                                      \
	{                                                    \
		.word = PG_X_##w, .number = (n), .name = (s) \
	}
#define PG_RULE(...)                   \
	(const struct pg_nft_expr[])   \
	{                              \
		__VA_ARGS__, PG_X(END) \
	}

struct nlmsghdr;

/* Adds the attributes NFTA_RULE_* of the rule `words` for `chain` of `table` to the message `nlh`,
 * which has 4 KiB of room. 0, or -ENOMEM with nothing added. */
int pg_nft_rule_put(struct nlmsghdr *nlh, const char *table, const char *chain,
		    const struct pg_nft_expr *words);
