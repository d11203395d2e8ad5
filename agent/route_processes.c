#include "agent/route_processes.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/mem.h"

/* Reads the sockets, and who holds them, into `s`. */
static int read_sockets(struct pg_snapshot *s, struct pg_err *err)
{
	s->sockets = pg_calloc(PG_SOCKETS_MAX + 1, sizeof(*s->sockets));
	s->owners = pg_calloc(PG_SOCKETS_MAX + 1, sizeof(*s->owners));
	if (!s->sockets || !s->owners)
		return pg_fail(err, -ENOMEM, "list listening sockets");
	int rc = pg_ports_list(s->sockets, PG_SOCKETS_MAX + 1, &s->socket_count, err);
	if (rc < 0)
		return rc;
	if (s->socket_count > PG_SOCKETS_MAX) {
		s->socket_count = PG_SOCKETS_MAX;
		s->truncated = true;
	}
	for (size_t i = 0; i < s->socket_count; i++)
		s->owners[i].inode = s->sockets[i].inode;
	qsort(s->owners, s->socket_count, sizeof(*s->owners), pg_socket_owner_compare);
	pg_processes_find_sockets("/proc", &s->processes, s->owners, s->socket_count);
	return 0;
}

static int take_snapshot(struct pg_snapshot *s, struct pg_err *err)
{
	int rc = pg_processes_read("/proc", &s->processes, err);
	if (rc < 0)
		return rc;
	s->truncated = s->processes.truncated;
	return read_sockets(s, err);
}

static void drop_snapshot(struct pg_snapshot *s)
{
	pg_processes_fini(&s->processes);
	free(s->sockets);
	free(s->owners);
}

uint32_t pg_snapshot_owner(const struct pg_snapshot *s, const struct pg_listening *l)
{
	struct pg_socket_owner key = { .inode = l->inode };
	const struct pg_socket_owner *o = bsearch(&key, s->owners, s->socket_count,
						  sizeof(*s->owners), pg_socket_owner_compare);
	return o ? o->pid : 0;
}

const char *pg_protocol_name(uint8_t protocol)
{
	return protocol == IPPROTO_TCP ? "tcp" : "udp";
}

/* --- JSON --- */

static void write_process(struct pg_json *j, const struct pg_process *p)
{
	size_t at = 0;
	const char *argument;
	pg_json_open(j, '{');
	pg_json_member_u64(j, "pid", p->pid);
	pg_json_member_u64(j, "ppid", p->ppid);
	pg_json_member_u64(j, "uid", p->uid);
	pg_json_member_str(j, "name", p->name);
	pg_json_key(j, "command");
	pg_json_open(j, '[');
	while ((argument = pg_process_argument(p, &at)))
		pg_json_str(j, argument);
	pg_json_close(j, ']');
	pg_json_member_str(j, "container", p->container);
	pg_json_close(j, '}');
}

static void write_socket(struct pg_json *j, const struct pg_snapshot *s,
			 const struct pg_listening *l)
{
	char address[INET6_ADDRSTRLEN] = "";
	inet_ntop(l->family == 4 ? AF_INET : AF_INET6, l->address, address, sizeof(address));
	pg_json_open(j, '{');
	pg_json_member_str(j, "protocol", pg_protocol_name(l->protocol));
	pg_json_member_str(j, "address", address);
	pg_json_member_u64(j, "port", l->port);
	pg_json_member_u64(j, "pid", pg_snapshot_owner(s, l));
	pg_json_member_u64(j, "uid", l->uid);
	pg_json_close(j, '}');
}

/* Escapes can make a command six times as long, so what is written is watched, not foreseen. */
static void write_json(const struct pg_snapshot *s, struct pg_answer *a)
{
	const size_t enough = PG_HTTPD_BODY_MAX - PG_SOCKETS_ROOM;
	bool truncated = s->truncated;
	struct pg_json j = pg_json(&a->body);
	pg_json_open(&j, '{');
	pg_json_key(&j, "processes");
	pg_json_open(&j, '[');
	for (size_t i = 0; i < s->processes.count; i++) {
		if (a->body.len > enough) {
			truncated = true;
			break;
		}
		write_process(&j, &s->processes.items[i]);
	}
	pg_json_close(&j, ']');
	pg_json_key(&j, "sockets");
	pg_json_open(&j, '[');
	for (size_t i = 0; i < s->socket_count; i++)
		write_socket(&j, s, &s->sockets[i]);
	pg_json_close(&j, ']');
	pg_json_member_bool(&j, "truncated", truncated);
	pg_json_close(&j, '}');
	pg_route_finish(a, &j);
}

void pg_route_processes(struct pg_routes *r, const struct pg_request *rq,
			const struct pg_statement *st, struct pg_answer *a)
{
	struct pg_snapshot s = { 0 };
	struct pg_err err;
	(void)r;
	(void)st;
	if (take_snapshot(&s, &err) < 0)
		pg_route_refuse(a, 500, err.what, err.hint);
	else if (pg_route_wants_protobuf(rq))
		pg_snapshot_pack(&s, a);
	else
		write_json(&s, a);
	drop_snapshot(&s);
}
