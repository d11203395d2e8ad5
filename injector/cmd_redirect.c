#include <errno.h>
#include <stddef.h>

#include "injector/commands.h"
#include "injector/fleet.h"
#include "injector/redirect_run.h"

enum { OWN_FAILURE = 125 }; /* with -- COMMAND, whose status takes all others: as env(1) does it */

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
		  "to the app.",
	  .at = offsetof(struct pg_redirect_values, no_fallback) },
	{ .name = "all-pods",
	  .kind = PG_OPT_FLAG,
	  .help = "Redirect every pod that the target names, and those that join it later.",
	  .at = offsetof(struct pg_redirect_values, all_pods) },
	{ .name = "take-over",
	  .kind = PG_OPT_FLAG,
	  .help = "Take the ports from whoever redirects them now; they are told by whom.",
	  .at = offsetof(struct pg_redirect_values, take_over) },
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

static int run(struct pg_app *app, void *values, const struct pg_operands *ops, struct pg_err *err)
{
	const struct pg_redirect_values *v = values;
	const char *target = v->pod.selector ? NULL : ops->count > 0 ? ops->items[0] : NULL;
	int rc = check_profile(v, err);
	if (rc == 0)
		rc = v->all_pods && !v->pod.only ? pg_fleet_run(app, v, target, ops, err)
						 : pg_redirect_run(app, v, target, ops, err);
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
		    "% redirect svc/web http:3000 -- npm start\n"
		    "% redirect deploy/web 8080:3000 --all-pods\n",
	.opts = options,
	.values_size = sizeof(struct pg_redirect_values),
	.least = 0,
	.most = -1,
	.takes_command = true,
	.needs_pod = true,
	.needs_cluster = true,
	.run = run,
};
