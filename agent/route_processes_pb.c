#include "agent/route_processes.h"

#include <stdlib.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "proto/wire/podgraft.pb-c.h"

/* Everything of one message, so that it is freed at once. */
struct pool {
	Podgraft__V1__Process *processes, **process_list;
	Podgraft__V1__Socket *sockets, **socket_list;
	char **arguments; /* of all processes, one after another */
};

static size_t count_arguments(const struct pg_process_list *list)
{
	size_t count = 0;
	for (size_t i = 0; i < list->count; i++)
		for (size_t at = 0; pg_process_argument(&list->items[i], &at);)
			count++;
	return count;
}

static bool make_pool(struct pool *p, const struct pg_snapshot *s)
{
	size_t processes = s->processes.count + 1, sockets = s->socket_count + 1; /* never 0 */
	*p = (struct pool){
		.processes = pg_calloc(processes, sizeof(*p->processes)),
		.process_list = pg_calloc(processes, sizeof(void *)),
		.sockets = pg_calloc(sockets, sizeof(*p->sockets)),
		.socket_list = pg_calloc(sockets, sizeof(void *)),
		.arguments = pg_calloc(count_arguments(&s->processes) + 1, sizeof(*p->arguments)),
	};
	return p->processes && p->process_list && p->sockets && p->socket_list && p->arguments;
}

static void drop_pool(struct pool *p)
{
	free(p->processes);
	free(p->process_list);
	free(p->sockets);
	free(p->socket_list);
	free(p->arguments);
}

/* Fills `m` from `p`; its arguments go to `arguments`, whose end is returned. */
static char **fill_process(Podgraft__V1__Process *m, struct pg_process *p, char **arguments)
{
	podgraft__v1__process__init(m);
	pg_sanitize(p->name);
	m->pid = p->pid;
	m->ppid = p->ppid;
	m->uid = p->uid;
	m->name = p->name;
	m->container = p->container;
	m->command = arguments;
	for (size_t at = 0, start = 0; pg_process_argument(p, &at); start = at) {
		pg_sanitize(p->command + start);
		m->command[m->n_command++] = p->command + start;
	}
	return arguments + m->n_command;
}

static void fill_socket(Podgraft__V1__Socket *m, const struct pg_snapshot *s, size_t i)
{
	struct pg_listening *l = &s->sockets[i];
	podgraft__v1__socket__init(m);
	m->protocol = (char *)pg_protocol_name(l->protocol); /* packing only reads it */
	m->address.data = l->address;
	m->address.len = l->family == 4 ? 4 : 16;
	m->port = l->port;
	m->pid = pg_snapshot_owner(s, l);
	m->uid = l->uid;
}

/* Takes processes off the end until the message fits an answer. */
static size_t fit(Podgraft__V1__Processes *m)
{
	size_t size = podgraft__v1__processes__get_packed_size(m);
	while (size > PG_HTTPD_BODY_MAX && m->n_processes > 0) {
		m->n_processes -= (m->n_processes + 7) / 8;
		m->truncated = true;
		size = podgraft__v1__processes__get_packed_size(m);
	}
	return size;
}

static void pack(Podgraft__V1__Processes *m, struct pg_answer *a)
{
	uint8_t *at;
	size_t size = fit(m);
	if (pg_buf_reserve(&a->body, size, &at) < 0) {
		pg_route_refuse(a, 500, "the answer does not fit", "try again");
		return;
	}
	podgraft__v1__processes__pack(m, at);
	pg_buf_added(&a->body, size);
	a->content_type = PG_PROTOBUF_TYPE;
}

void pg_snapshot_pack(struct pg_snapshot *s, struct pg_answer *a)
{
	struct pool pool;
	Podgraft__V1__Processes m = PODGRAFT__V1__PROCESSES__INIT;
	if (!make_pool(&pool, s)) {
		drop_pool(&pool);
		pg_route_refuse(a, 503, "out of memory", "try again");
		return;
	}
	char **arguments = pool.arguments;
	for (size_t i = 0; i < s->processes.count; i++) {
		pool.process_list[i] = &pool.processes[i];
		arguments = fill_process(&pool.processes[i], &s->processes.items[i], arguments);
	}
	for (size_t i = 0; i < s->socket_count; i++) {
		pool.socket_list[i] = &pool.sockets[i];
		fill_socket(&pool.sockets[i], s, i);
	}
	m.processes = pool.process_list;
	m.n_processes = s->processes.count;
	m.sockets = pool.socket_list;
	m.n_sockets = s->socket_count;
	m.truncated = s->truncated;
	pack(&m, a);
	drop_pool(&pool);
}
