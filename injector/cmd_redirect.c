#include <errno.h>
#include <stddef.h>

#include "injector/commands.h"
#include "injector/fleet_run.h"
#include "injector/redirect_run.h"

static const char *const proxy_versions[] = { "off", "v1", "v2", NULL };

static const struct pg_opt options[] = {
	{ .name = "local-address",
	  .kind = PG_OPT_TEXT,
	  .argument = "ADDRESS",
	  .standard = "127.0.0.1",
	  .help = "Where the local program listens: an IP address of this machine or one that it "
		  "reaches.",
	  .at = offsetof(struct pg_redirect_values, local_address) },
	{ .name = "no-local",
	  .kind = PG_OPT_FLAG,
	  .help = "Leave connections from inside the pod alone, kubectl port-forward's among them.",
	  .at = offsetof(struct pg_redirect_values, no_local) },
	{ .name = "no-fallback",
	  .kind = PG_OPT_FLAG,
	  .help = "Reset connections that the local program does not take, instead of giving them "
		  "to the app. Without a link the app answers all the same.",
	  .at = offsetof(struct pg_redirect_values, no_fallback) },
	{ .name = "take-probes",
	  .kind = PG_OPT_FLAG,
	  .help = "Redirect the kubelet's http and gRPC probes like other connections, instead of "
		  "leaving them to the app.",
	  .at = offsetof(struct pg_redirect_values, take_probes) },
	{ .name = "outgoing",
	  .kind = PG_OPT_LIST,
	  .argument = "PORT[:LOCAL]",
	  .help = "Redirect the connections that the pod itself makes to this port of others. May "
		  "be given more than once, and beside ports of the pod.",
	  .at = offsetof(struct pg_redirect_values, outgoing) },
	{ .name = "to",
	  .kind = PG_OPT_LIST,
	  .argument = "WHOM",
	  .help = "With --outgoing: only connections to this address, network, Service or host, "
		  "as in 10.0.0.7, 10.0.0.0/8, svc/NAME[.NAMESPACE] or db.example.com. A host is "
		  "looked up once, by this machine. May be given more than once.",
	  .at = offsetof(struct pg_redirect_values, to) },
	{ .name = "uid",
	  .kind = PG_OPT_TEXT,
	  .argument = "UID",
	  .help = "With --outgoing: only connections of the pod's user of that number.",
	  .at = offsetof(struct pg_redirect_values, uid) },
	{ .name = "proxy-protocol",
	  .kind = PG_OPT_CHOICE,
	  .argument = "VERSION",
	  .standard = "off",
	  .choices = proxy_versions,
	  .help = "Tell the local program who calls, and whom, in a header of the PROXY protocol "
		  "before the first byte: v1 is a line of text, v2 is binary.",
	  .at = offsetof(struct pg_redirect_values, proxy) },
	{ .name = "wire",
	  .kind = PG_OPT_FLAG,
	  .help = "In a pod of a service mesh: take connections as they were sent, often "
		  "encrypted, before the mesh's proxy does, instead of those that the proxy makes "
		  "to the app.",
	  .at = offsetof(struct pg_redirect_values, wire) },
	{ .name = "all-pods",
	  .kind = PG_OPT_FLAG,
	  .help = "Redirect every pod that the target names, and those that join it later.",
	  .at = offsetof(struct pg_redirect_values, all_pods) },
	{ .name = "take-over",
	  .kind = PG_OPT_FLAG,
	  .help = "Take the ports from whoever redirects them now; they are told by whom.",
	  .at = offsetof(struct pg_redirect_values, take_over) },
	{ .name = "event",
	  .kind = PG_OPT_FLAG,
	  .help = "Leave an event on the pod when the redirect starts and ends, where that is "
		  "allowed.",
	  .at = offsetof(struct pg_redirect_values, event) },
	{ .name = "only", /* what --all-pods starts a podgraft for each pod with */
	  .kind = PG_OPT_TEXT,
	  .at = offsetof(struct pg_redirect_values, pod.only) },
	{ .name = NULL },
};

/* A profile of the person's choice must be enough; better said before a pod gets such an agent. */
static int check_profile(const struct pg_redirect_values *v, struct pg_err *err)
{
	const char *name = pg_profiles[v->pod.profile];
	enum pg_profile profile;
	if (pg_profile_parse(name, &profile) < 0 || /* "auto" */
	    pg_profile_covers(profile, PG_PROFILE_REDIRECT))
		return 0;
	pg_fail(err, -EINVAL, "--profile %s is not enough to redirect", name);
	return pg_hint(err, PG_USER, "leave it out, or write --profile redirect");
}

/* --to and --uid narrow --outgoing, and nothing else. */
static int check_outgoing(const struct pg_redirect_values *v, struct pg_err *err)
{
	if (v->outgoing.count > 0 || (v->to.count == 0 && !v->uid))
		return 0;
	pg_fail(err, -EINVAL, "--%s without --outgoing", v->uid ? "uid" : "to");
	return pg_hint(err, PG_USER, "name the port too, as in --outgoing 5432 --%s",
		       v->uid ? "uid 1000" : "to svc/db");
}

static int run(struct pg_app *app, void *values, const struct pg_operands *ops, struct pg_err *err)
{
	const struct pg_redirect_values *v = values;
	const char *target = v->pod.selector ? NULL : ops->count > 0 ? ops->items[0] : NULL;
	if (ops->command && app->out.format == PG_FORMAT_JSON)
		pg_output_leave_stdout(&app->out);
	int rc = check_profile(v, err);
	if (rc == 0)
		rc = check_outgoing(v, err);
	if (rc == 0)
		rc = v->all_pods && !v->pod.only ? pg_fleet_run(app, v, target, ops, err)
						 : pg_redirect_run(app, v, target, ops, err);
	if (rc >= 0 || !ops->command || (rc == -ECANCELED && app->signo)) /* its own exit code */
		return rc;
	return pg_cli_own_failure(app, err);
}

const struct pg_command pg_cmd_redirect = {
	.name = "redirect",
	.alias = "redir",
	.operands = "TARGET [POD[:LOCAL]...] [-- COMMAND]",
	.summary = "Bring a pod's connections to this machine",
	.details = "New TCP connections to the pod's ports arrive at a local program; when that "
		   "does not "
		   "answer, the app in the pod does. Without ports, every port that the pod "
		   "listens on "
		   "beyond loopback is redirected, unless --outgoing names ports of others to "
		   "which the pod itself connects. Ctrl-C gives the ports back and lets open "
		   "connections end; a second one cuts them.\n\n"
		   "TARGET is NAME, pod/NAME, deploy/NAME, sts/, ds/, rs/, job/ or svc/NAME. With "
		   "svc/ a "
		   "port is the Service's; of a headless one, whose clients dial the pods, a "
		   "number is the pod's. With -- COMMAND that program runs while the redirect is "
		   "up, its exit status is podgraft's, and the JSON of -o json goes to standard "
		   "error, since standard output is the program's.",
	.examples = "% redirect web-0 8080\n"
		    "% redirect deploy/web 8080:3000 9090\n"
		    "% redirect svc/web http:3000 -- npm start\n"
		    "% redirect deploy/web 8080:3000 --all-pods\n"
		    "% redirect web-0 --outgoing 5432 --to svc/db\n",
	.opts = options,
	.values_size = sizeof(struct pg_redirect_values),
	.least = 0,
	.most = -1,
	.takes_command = true,
	.needs_pod = true,
	.needs_cluster = true,
	.run = run,
};
