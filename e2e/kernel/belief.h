#pragma once
/* What the programs of this folder share: each states one belief about the kernel in its first
 * comment and checks it line by line. */
#include <stdio.h>
#include <stdlib.h>

#include "agent/test_netns.h"

/* Ends the program when `fact` is not one. */
#define BELIEVE(fact)                                                                      \
	do {                                                                               \
		if (!(fact)) {                                                             \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #fact); \
			exit(1);                                                           \
		}                                                                          \
	} while (0)

/* Loads a rule set, given in nft's language. */
PG_UNUSED static int nft(const char *rules)
{
	return RUN("nft", rules);
}

/* A connection of a client outside to 8080 of the pod, accepted from `listener`. */
struct pair {
	int client, server;
};

PG_UNUSED static bool connect_pair(const struct netns *ns, int listener, struct pair *p)
{
	enter(ns->outside);
	p->client = dial(POD4, 8080);
	enter(ns->pod);
	return p->client >= 0 && accept_any(&listener, 1, &p->server) == 0;
}
