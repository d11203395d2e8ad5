#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "injector/child.h"
#include "injector/commands.h"
#include "injector/pod_job.h"
#include "injector/port_plan.h"
#include "injector/redirect.h"
#include "proto/base/mem.h"
#include "proto/io/sock.h"

enum {
	STATUS_MS = 500,
	OWN_FAILURE = 125, /* with -- COMMAND, whose status takes all others: as env(1) does it */
	TERM_DRAIN_MS = 10000, /* SIGTERM lets open connections go on for so long */
};

struct values {
	struct pg_pod_values pod; /* first: pg_pod_opts fills it */
	const char *local_address;
	bool no_local;
};

static const struct pg_opt options[] = {
	{ .name = "local-address",
	  .kind = PG_OPT_TEXT,
	  .argument = "ADDRESS",
	  .standard = "127.0.0.1",
	  .help = "Where the local program listens: an IP address of this machine or one that it "
		  "reaches.",
	  .at = offsetof(struct values, local_address) },
	{ .name = "no-local",
	  .kind = PG_OPT_FLAG,
	  .help = "Leave connections from inside the pod alone, kubectl port-forward's among them.",
	  .at = offsetof(struct values, no_local) },
	{ .name = NULL },
};

/* One run of the command. */
struct run {
	struct pg_app *app;
	const struct values *values;
	struct pg_pod_job job;
	struct pg_tunnel *tunnel;
	struct pg_redirects *redirects;
	struct pg_child *child;
	struct pg_redirect_want wants[PG_PAIRS_MAX];
	size_t want_count;
	char mechanism[32];
	struct pg_err lost; /* why the link is gone */
	bool is_lost;
	unsigned interrupts; /* signals since the redirect was up */
	int signo;
	bool stirred; /* something that ends the current wait has happened */
	uv_timer_t status;
};

static void on_signal(void *ctx, int signo)
{
	struct run *r = ctx;
	r->interrupts++;
	r->signo = signo;
	r->stirred = true;
}

static void on_lost(void *ctx, const struct pg_err *why)
{
	struct run *r = ctx;
	r->lost = *why;
	r->is_lost = true;
	r->stirred = true;
}

static enum pg_reset on_opened(void *ctx, struct pg_stream *s, const Podgraft__V1__Open *open,
			       struct pg_relay **relay_out)
{
	struct run *r = ctx;
	return pg_redirects_opened(r->redirects, s, open, relay_out);
}

static void show_status(struct run *r, const char *what)
{
	struct pg_redirect_counts n = pg_redirects_counts(r->redirects);
	struct pg_mux *mux = pg_tunnel_mux(r->tunnel);
	if (!mux)
		return;
	pg_output_status(&r->app->out,
			 "%s: %zu open, %llu in all, %.1f MB in, %.1f MB out, %.1f ms", what,
			 n.open, (unsigned long long)n.total, (double)pg_mux_bytes_in(mux) / 1e6,
			 (double)pg_mux_bytes_out(mux) / 1e6, (double)pg_mux_rtt_us(mux) / 1e3);
}

static void on_status(uv_timer_t *timer)
{
	struct run *r = timer->data;
	show_status(r, r->interrupts ? "draining" : "redirecting");
}

/* ---- which ports -------------------------------------------------------------------------- */

static int add_want(struct run *r, const struct pg_port_pair *pair, struct pg_err *err)
{
	uint8_t bytes[16];
	int n = inet_pton(AF_INET, r->values->local_address, bytes) == 1    ? 4
		: inet_pton(AF_INET6, r->values->local_address, bytes) == 1 ? 16
									    : 0;
	if (n == 0 && strcmp(r->values->local_address, "localhost") == 0)
		n = inet_pton(AF_INET, "127.0.0.1", bytes) == 1 ? 4 : 0;
	if (n == 0) {
		pg_fail(err, -EINVAL, "--local-address '%s' is no IP address",
			r->values->local_address);
		return pg_hint(err, PG_USER, "for example 127.0.0.1, ::1 or localhost");
	}
	for (size_t i = 0; i < r->want_count; i++) {
		if (r->wants[i].pod_port == pair->pod) {
			pg_fail(err, -EINVAL, "port %u of the pod is named twice", pair->pod);
			return pg_hint(err, PG_USER, "a port can go to one place only");
		}
	}
	struct pg_redirect_want *w = &r->wants[r->want_count++];
	w->pod_port = pair->pod;
	pg_addr_set(&w->local, bytes, n, pair->local);
	return 0;
}

static int want_named(struct run *r, char **words, int count, struct pg_err *err)
{
	for (int i = 0; i < count; i++) {
		struct pg_portspec spec;
		struct pg_port_pair pair;
		int rc = pg_portspec_parse(words[i], &spec, err);
		if (rc == 0)
			rc = pg_port_pair_resolve(&r->job.pod, &spec, &pair, err);
		if (rc == 0)
			rc = add_want(r, &pair, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* What the agent sees listening; `listens` has room for PG_PORTS_MAX. */
static int ask_listening(struct run *r, struct pg_listens *listens, size_t *count_out,
			 struct pg_err *err)
{
	Podgraft__V1__PortsRequest request = PODGRAFT__V1__PORTS_REQUEST__INIT;
	Podgraft__V1__Control question = PODGRAFT__V1__CONTROL__INIT, *answer;
	question.body_case = PODGRAFT__V1__CONTROL__BODY_PORTS_REQUEST;
	question.ports_request = &request;
	int rc = pg_tunnel_ask(r->tunnel, &question, &answer, err);
	if (rc < 0)
		return rc;
	*count_out = 0;
	if (answer->body_case == PODGRAFT__V1__CONTROL__BODY_PORTS)
		for (size_t i = 0; i < answer->ports->n_ports && i < PG_PORTS_MAX; i++)
			listens[(*count_out)++] =
				(struct pg_listens){ (uint16_t)answer->ports->ports[i]->port,
						     answer->ports->ports[i]->loopback };
	pg_msg_free(answer);
	return 0;
}

static int want_all(struct run *r, struct pg_err *err)
{
	pg_auto_free struct pg_listens *listens = pg_calloc(PG_PORTS_MAX, sizeof(*listens));
	struct pg_port_pair pairs[PG_PAIRS_MAX];
	size_t count = 0;
	if (!listens)
		return pg_fail(err, -ENOMEM, "list the pod's ports");
	int rc = ask_listening(r, listens, &count, err);
	if (rc < 0)
		return rc;
	size_t n = pg_port_pairs_all(&r->job.pod, r->values->pod.container, listens, count, pairs);
	if (n == 0) {
		pg_fail(err, -ENOENT, "nothing in pod '%s' listens beyond loopback.",
			r->job.pod.name);
		return pg_hint(err, PG_TARGET, "name a port: podgraft redirect %s PORT[:LOCAL]",
			       r->job.pod.name);
	}
	for (size_t i = 0; i < n && rc == 0; i++)
		rc = add_want(r, &pairs[i], err);
	return rc;
}

/* ---- up ----------------------------------------------------------------------------------- */

/* "ann@laptop": what others read who want the same port. */
static void owner_name(char out[PG_OWNER_MAX + 1])
{
	char host[64] = "";
	size_t host_len = sizeof(host);
	uv_passwd_t user;
	bool known = uv_os_get_passwd(&user) == 0;
	uv_os_gethostname(host, &host_len);
	snprintf(out, PG_OWNER_MAX + 1, "%.30s@%.32s", known ? user.username : "somebody", host);
	pg_sanitize(out);
	if (known)
		uv_os_free_passwd(&user);
}

/* A closed local port is worth a word, never a failure: the program may start later. */
static void warn_if_closed(struct run *r, const struct pg_redirect_want *w)
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
	pg_output_warn(
		&r->app->out,
		"nobody listens on %s yet: until somebody does, the app in the pod answers port %u",
		text, w->pod_port);
}

static int arm(struct run *r, struct pg_err *err)
{
	char owner[PG_OWNER_MAX + 1];
	owner_name(owner);
	for (size_t i = 0; i < r->want_count; i++) {
		int rc = pg_redirects_start(r->redirects, r->tunnel, &r->wants[i],
					    r->values->no_local, owner, r->mechanism, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static void say_ready(struct run *r)
{
	struct pg_output *out = &r->app->out;
	const char *transport = r->job.platform->ops->transport(r->job.platform);
	json_t *list = json_array();
	char text[PG_ADDR_TEXT];
	for (size_t i = 0; i < r->want_count; i++) {
		const struct pg_redirect_want *w = &r->wants[i];
		pg_addr_text(&w->local, text);
		json_array_append_new(list,
				      json_pack("{s:i, s:s}", "port", w->pod_port, "local", text));
		pg_output_info(out, "port %u of pod '%s' now reaches %s (%s, %s)", w->pod_port,
			       r->job.pod.name, text, r->mechanism, transport);
	}
	pg_output_event(out, "ready", "{s:s, s:s, s:s, s:s, s:b, s:o}", "pod", r->job.pod.name,
			"container", pg_tunnel_graft(r->tunnel)->container, "transport", transport,
			"mechanism", r->mechanism, "reused", pg_tunnel_graft(r->tunnel)->reused,
			"redirects", list);
	if (!r->child)
		pg_output_info(out, "Ctrl-C gives %s back", r->want_count == 1 ? "it" : "them");
}

static int bring_up(struct run *r, const struct pg_operands *ops, struct pg_err *err)
{
	struct pg_tunnel_config config = { .loop = r->app->loop,
					   .platform = r->job.platform,
					   .pod = &r->job.pod,
					   .spec = &r->job.spec,
					   .events = { on_opened, on_lost },
					   .ctx = r };
	int first_port = r->values->pod.selector ? 0 : 1;
	int rc = want_named(r, ops->items + first_port, ops->count - first_port, err);
	if (rc == 0)
		rc = pg_tunnel_open(&config, &r->tunnel, err);
	if (rc == 0 && r->want_count == 0)
		rc = want_all(r, err);
	if (rc == 0)
		rc = arm(r, err);
	return rc;
}

/* ---- down --------------------------------------------------------------------------------- */

static void drain(struct run *r)
{
	struct pg_output *out = &r->app->out;
	size_t open = pg_redirects_counts(r->redirects).open;
	uint64_t deadline = UINT64_MAX;
	unsigned seen = r->interrupts;
	if (open == 0)
		return;
	if (r->signo != SIGINT)
		deadline = pg_loop_now_ms(r->app->loop) + TERM_DRAIN_MS;
	pg_output_info(out, "draining %zu connection%s, Ctrl-C again to cut", open,
		       open == 1 ? "" : "s");
	pg_output_event(out, "draining", "{s:i}", "connections", (int)open);
	while (pg_redirects_counts(r->redirects).open > 0 && !r->is_lost && r->interrupts == seen &&
	       pg_loop_now_ms(r->app->loop) < deadline) {
		r->stirred = false;
		pg_loop_wait(r->app->loop, &r->stirred, pg_loop_now_ms(r->app->loop) + 50);
	}
}

static void bring_down(struct run *r)
{
	if (r->tunnel && r->redirects)
		pg_redirects_stop(r->redirects, r->tunnel);
	if (r->redirects)
		drain(r);
	pg_output_status_clear(&r->app->out);
	if (r->redirects)
		pg_redirects_cut(r->redirects);
	pg_tunnel_close(r->tunnel);
	r->tunnel = NULL;
}

/* Waits for whatever ends a redirect: a signal, the link, the program of "-- CMD". */
static int stay_up(struct run *r, struct pg_err *err)
{
	const bool *until = r->child ? pg_child_ended(r->child) : &r->stirred;
	while (!r->is_lost && r->interrupts == 0 && !(r->child && *until)) {
		r->stirred = false;
		int rc = pg_loop_wait(r->app->loop, until, pg_loop_now_ms(r->app->loop) + 200);
		if (rc == -ECANCELED)
			break;
	}
	if (!r->is_lost)
		return 0;
	*err = r->lost;
	pg_output_event(&r->app->out, "lost", "{s:s}", "message", r->lost.what);
	pg_wrap(err, "pod '%s': link lost", r->job.pod.name);
	return pg_hint(err, PG_LINK, "the app in the pod answers again; run the command again");
}

/* The program of "-- CMD": its status is ours. A signal to us is its to handle. */
static int run_child(struct run *r, struct pg_err *err)
{
	int rc = 0;
	while (!*pg_child_ended(r->child) && rc == 0) {
		unsigned seen = r->interrupts;
		rc = stay_up(r, err);
		if (rc == 0 && r->interrupts != seen && r->signo != SIGINT)
			pg_child_signal(r->child, r->signo);
		r->interrupts = 0;
	}
	return rc < 0 ? rc : pg_child_status(r->child);
}

static int serve(struct run *r, const struct pg_operands *ops, struct pg_err *err)
{
	int code = 0;
	if (ops->command) {
		int rc = pg_child_start(r->app->loop, ops->command, &r->child, &code, err);
		if (rc < 0) {
			pg_output_error(&r->app->out, err);
			return code;
		}
	}
	say_ready(r);
	for (size_t i = 0; i < r->want_count && !r->child; i++)
		warn_if_closed(r, &r->wants[i]);
	if (!r->child)
		uv_timer_start(&r->status, on_status, 0, STATUS_MS);
	return r->child ? run_child(r, err) : stay_up(r, err);
}

static void say_ended(struct run *r)
{
	struct pg_redirect_counts n = pg_redirects_counts(r->redirects);
	pg_output_event(&r->app->out, "ended", "{s:I, s:I}", "connections", (json_int_t)n.total,
			"refused", (json_int_t)n.refused);
}

static void on_run_closed(uv_handle_t *handle)
{
	free(handle->data);
}

/* A profile of the person's choice must be enough; better said before a pod gets such an agent. */
static int check_profile(const struct values *v, struct pg_err *err)
{
	const char *name = pg_profiles[v->pod.profile];
	enum pg_profile profile;
	if (pg_profile_parse(name, &profile) < 0 || /* "auto" */
	    pg_profile_covers(profile, PG_PROFILE_REDIRECT))
		return 0;
	pg_fail(err, -EINVAL, "--profile %s is not enough to redirect", name);
	return pg_hint(err, PG_USER, "leave it out, or write --profile redirect");
}

static int run(struct pg_app *app, void *values, const struct pg_operands *ops, struct pg_err *err)
{
	const struct values *v = values;
	const char *target = v->pod.selector ? NULL : ops->count > 0 ? ops->items[0] : NULL;
	struct run *r = pg_calloc(1, sizeof(*r));
	if (!r)
		return pg_fail(err, -ENOMEM, "start a redirect");
	r->app = app;
	r->values = v;
	uv_timer_init(pg_loop_uv(app->loop), &r->status);
	r->status.data = r;
	int rc = check_profile(v, err);
	if (rc == 0)
		rc = pg_pod_job_begin(app, &v->pod, target, PG_PROFILE_REDIRECT, &r->job, err);
	if (rc == 0) {
		r->redirects = pg_redirects_new(app->loop, &app->out.log);
		rc = r->redirects ? bring_up(r, ops, err)
				  : pg_fail(err, -ENOMEM, "start a redirect");
		if (rc == 0) {
			pg_loop_on_signal(app->loop, on_signal, r);
			rc = serve(r, ops, err);
		}
		uv_timer_stop(&r->status);
		bring_down(r);
		pg_loop_on_signal(app->loop, NULL, NULL);
		if (rc >= 0)
			say_ended(r);
		pg_redirects_free(r->redirects);
		pg_child_free(r->child);
		pg_pod_job_end(&r->job);
	}
	uv_close((uv_handle_t *)&r->status, on_run_closed);
	if (rc >= 0 || !ops->command)
		return rc;
	pg_output_error(&app->out, err);
	return OWN_FAILURE;
}

const struct pg_command pg_cmd_redirect = {
	.name = "redirect",
	.alias = "redir",
	.operands = "TARGET [POD[:LOCAL]...] [-- COMMAND]",
	.summary = "Bring a pod's incoming connections to this machine",
	.details = "New TCP connections to the pod's ports arrive at a local program; when that "
		   "does not "
		   "answer, the app in the pod does. Without ports, every port that the pod "
		   "listens on "
		   "beyond loopback is redirected. Ctrl-C gives the ports back and lets open "
		   "connections end; a second one cuts them.\n\n"
		   "TARGET is NAME, pod/NAME, deploy/NAME, sts/, ds/, rs/, job/ or svc/NAME. With "
		   "svc/ a "
		   "port is the Service's. With -- COMMAND that program runs while the redirect is "
		   "up, "
		   "and its exit status is podgraft's.",
	.examples = "% redirect web-0 8080\n"
		    "% redirect deploy/web 8080:3000 9090\n"
		    "% redirect svc/web http:3000 -- npm start\n",
	.opts = options,
	.values_size = sizeof(struct values),
	.least = 0,
	.most = -1,
	.takes_command = true,
	.needs_pod = true,
	.needs_cluster = true,
	.run = run,
};
