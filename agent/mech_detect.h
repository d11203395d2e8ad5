#pragma once
#include "agent/mech.h"

/* Looks for NAT of the pod's own: base chains of type nat in nf_tables, and the tables of
 * iptables-legacy, which nf_tables does not show. */
int pg_pod_nat_detect(struct pg_nft *n, struct pg_pod_nat *out, struct pg_err *err);

/* True when a line of `text` (/proc/net/ip_tables_names: a table's name each) is "nat". Pure. */
bool pg_names_have_nat(const char *text);
