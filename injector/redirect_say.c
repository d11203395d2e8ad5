#include "injector/redirect_run_impl.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "proto/io/sock.h"

void pg_run_show_status(struct pg_run *r, const char *what)
{
	struct pg_redirect_counts n = pg_redirect_set_counts(r->redirects);
	if (!r->tunnel || pg_tunnel_is_lost(r->tunnel)) /* on the way back after a loss */
		return;
	struct pg_tunnel_traffic got = pg_run_traffic(r);
	if (r->values->pod.only) /* one of many: whoever started us adds us up */
		pg_output_event(&r->app->out, "status", "{s:I, s:I, s:I, s:I}", "open",
				(json_int_t)n.open, "total", (json_int_t)n.total, "bytes_in",
				(json_int_t)got.in, "bytes_out", (json_int_t)got.out);
	char others[64] = "", returns[32] = "";
	if (n.app + n.probes > 0)
		snprintf(others, sizeof(others), ", %llu by the app, %llu probes",
			 (unsigned long long)n.app, (unsigned long long)n.probes);
	if (r->returns > 0)
		snprintf(returns, sizeof(returns), ", back %u time%s", r->returns,
			 r->returns == 1 ? "" : "s");
	pg_output_status(&r->app->out,
			 "%s: %zu open, %llu in all%s, %.1f MB in, %.1f MB out, %.1f ms%s",
			 n.parked && n.parked == n.redirects ? "parked" : what, n.open,
			 (unsigned long long)n.total, others, (double)got.in / 1e6,
			 (double)got.out / 1e6, (double)got.rtt_us / 1e3, returns);
}

void pg_run_say_counts(struct pg_run *r)
{
	struct pg_redirect_counts n = pg_redirect_set_counts(r->redirects), *was = &r->shown;
	if (n.laptop == was->laptop && n.app == was->app && n.probes == was->probes &&
	    n.refused == was->refused && n.parked == was->parked)
		return;
	*was = n;
	pg_output_event(&r->app->out, "counts", "{s:I, s:I, s:I, s:I, s:I}", "laptop",
			(json_int_t)n.laptop, "app", (json_int_t)n.app, "probes",
			(json_int_t)n.probes, "refused", (json_int_t)n.refused, "parked",
			(json_int_t)n.parked);
}

void pg_run_warn_if_closed(struct pg_run *r, const struct pg_redirect_want *w)
{
	char text[PG_ADDR_TEXT];
	const bool never = false;
	int fd = pg_sock_connect((const struct sockaddr *)&w->local, 0);
	if (fd >= 0) {
		pg_loop_wait(r->app->loop, &never, pg_loop_now_ms(r->app->loop) + 1);
		int code = pg_sock_error(fd);
		close(fd);
		if (code != -ECONNREFUSED)
			return;
	}
	pg_addr_text(&w->local, text);
	if (r->values->no_fallback)
		pg_output_warn(&r->app->out,
			       "nobody listens on %s yet: until somebody does, connections to port "
			       "%u are reset",
			       text, w->pod_port);
	else if (w->outgoing)
		pg_output_warn(&r->app->out,
			       "nobody listens on %s yet: until somebody does, connections to port "
			       "%u go where the pod means them to",
			       text, w->pod_port);
	else
		pg_output_warn(&r->app->out,
			       "nobody listens on %s yet: until somebody does, the app in the pod "
			       "answers port %u",
			       text, w->pod_port);
}

void pg_run_warn_of_probes(struct pg_run *r, const struct pg_redirect_want *w)
{
	const struct pg_pod_probes *probes = &r->job.pod.probes;
	char local[PG_ADDR_TEXT], text[512];
	pg_addr_text(&w->local, local);
	for (size_t i = 0; i < probes->count && !w->outgoing && !r->values->take_probes; i++)
		if (pg_probe_warning(&probes->items[i], w->pod_port, local, r->values->no_local,
				     text, sizeof(text)))
			pg_output_warn(&r->app->out, "%s", text);
}

void pg_run_say_held(void *ctx, const struct pg_redirect_want *want,
		     const struct pg_redirect_holder *holder)
{
	struct pg_run *r = ctx;
	char since[PG_SINCE_MAX];
	pg_redirect_since(holder->since_s, since);
	if (r->app->out.format == PG_FORMAT_TEXT) /* else the event says it */
		pg_output_warn(&r->app->out,
			       "%sport %u is redirected by %s%s: it is tried again until it is "
			       "free; --take-over takes it",
			       pg_redirect_word(want), want->pod_port, holder->by, since);
	pg_output_event(&r->app->out, "held", "{s:i, s:s, s:o*, s:o*}", "port", want->pod_port,
			"by", holder->by, "since", pg_output_time(holder->since_s), "outgoing",
			want->outgoing ? json_true() : NULL);
}

/* One line of what reaches what. */
static void say_reaches(struct pg_run *r, const struct pg_redirect_want *w)
{
	const char *transport = r->job.platform->ops->transport(r->job.platform);
	const struct pg_opt_list *to = &r->values->to;
	char text[PG_ADDR_TEXT];
	pg_addr_text(&w->local, text);
	if (w->outgoing)
		pg_output_info(&r->app->out,
			       "what pod '%s' sends to port %u of %s now reaches %s (%s)",
			       r->job.pod.name, w->pod_port,
			       to->count == 1  ? to->items[0]
			       : to->count > 1 ? "those named"
					       : "others",
			       text, transport);
	else
		pg_output_info(&r->app->out, "port %u of pod '%s' now reaches %s (%s, %s)",
			       w->pod_port, r->job.pod.name, text, r->mechanism, transport);
}

void pg_run_say_freed(void *ctx, const struct pg_redirect_want *want)
{
	struct pg_run *r = ctx;
	if (!r->is_returning) /* else it is said with all the others */
		say_reaches(r, want);
	pg_output_event(&r->app->out, "freed", "{s:i, s:o*}", "port", want->pod_port, "outgoing",
			want->outgoing ? json_true() : NULL);
}

void pg_run_say_up(struct pg_run *r, const char *event)
{
	json_t *list = json_array();
	char text[PG_ADDR_TEXT];
	for (size_t i = 0; i < r->wants.count; i++) {
		const struct pg_redirect_want *w = &r->wants.items[i];
		const struct pg_redirect_holder *holder = pg_redirect_set_holder(r->redirects, i);
		pg_addr_text(&w->local, text);
		json_array_append_new(list, json_pack("{s:i, s:s, s:s*, s:o*}", "port", w->pod_port,
						      "local", text, "held_by",
						      holder ? holder->by : NULL, "outgoing",
						      w->outgoing ? json_true() : NULL));
		if (!holder)
			say_reaches(r, w);
	}
	pg_output_event(&r->app->out, event, "{s:s, s:s, s:s, s:s, s:b, s:o}", "pod",
			r->job.pod.name, "container", pg_tunnel_graft(r->tunnel)->container,
			"transport", r->job.platform->ops->transport(r->job.platform), "mechanism",
			r->mechanism, "reused", pg_tunnel_graft(r->tunnel)->reused, "redirects",
			list);
}

void pg_run_say_ended(struct pg_run *r)
{
	struct pg_redirect_counts n = pg_redirect_set_counts(r->redirects);
	pg_output_event(&r->app->out, "ended", "{s:I, s:I, s:I, s:I, s:I}", "connections",
			(json_int_t)n.total, "refused", (json_int_t)n.refused, "laptop",
			(json_int_t)n.laptop, "app", (json_int_t)n.app, "probes",
			(json_int_t)n.probes);
}
