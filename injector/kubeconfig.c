#include "injector/kubeconfig.h"

#include <errno.h>
#include <string.h>

#include "injector/kubeconfig_parts.h"
#include "proto/base/mem.h"

/* What the flags and the current context choose. */
struct choice {
	const char *context; /* "" for none */
	struct pg_kube_entry cluster, user;
	char *namespace_; /* of the context, owned */
};

int pg_kube_set(char **slot, const char *text, struct pg_err *err)
{
	if (!text || !*text)
		return 0;
	char *copy = pg_strdup(text);
	if (!copy)
		return pg_fail(err, -ENOMEM, "read the kubeconfig");
	free(*slot);
	*slot = copy;
	return 0;
}

static bool given(const char *text)
{
	return text && *text;
}

/* `name` of kind `kind`, that `flag` or a context asks for, is in no file. */
static int unknown(const struct pg_kube_files *files, const char *kind, const char *name,
		   bool by_flag, struct pg_err *err)
{
	char names[160];
	pg_kube_files_names(files, kind, names, sizeof(names));
	pg_fail(err, -ENOENT, "no %s '%s' in the kubeconfig.", kind, name);
	if (!names[0])
		return pg_hint(err, by_flag ? PG_USER : PG_CLUSTER,
			       "there is no %s at all: name another file with --kubeconfig", kind);
	return pg_hint(err, by_flag ? PG_USER : PG_CLUSTER, "choose one of these with --%s: %s",
		       kind, names);
}

/* Looks up the entry that the context names in its member `kind`, unless the flag names one. */
static int choose_entry(const struct pg_kube_files *files, const struct pg_kube_entry *context,
			const char *kind, const char *flag, struct pg_kube_entry *out,
			struct pg_err *err)
{
	pg_auto_free char *name = NULL;
	int rc = pg_kube_text(context, kind, &name, err);
	if (rc < 0)
		return rc;
	bool by_flag = given(flag);
	const char *wanted = by_flag ? flag : name;
	if (!wanted)
		return 0;
	return pg_kube_files_find(files, kind, wanted, out)
		       ? 0
		       : unknown(files, kind, wanted, by_flag, err);
}

static int choose(const struct pg_kube_files *files, const struct pg_kube_flags *flags,
		  struct choice *out, struct pg_err *err)
{
	bool by_flag = given(flags->context);
	struct pg_kube_entry context = { .kind = "context", .name = "" };
	out->context = by_flag ? flags->context : pg_kube_files_context(files);
	if (out->context[0] && !pg_kube_files_find(files, "context", out->context, &context))
		return unknown(files, "context", out->context, by_flag, err);
	int rc = choose_entry(files, &context, "cluster", flags->cluster, &out->cluster, err);
	if (rc == 0)
		rc = choose_entry(files, &context, "user", flags->user, &out->user, err);
	return rc < 0 ? rc : pg_kube_text(&context, "namespace", &out->namespace_, err);
}

static int no_server(const struct pg_kube_files *files, const struct choice *choice,
		     struct pg_err *err)
{
	if (choice->cluster.file)
		return pg_kube_bad(&choice->cluster, err, "server is missing");
	if (files->count == 0) {
		pg_fail(err, -ENOENT, "no kubeconfig: %s not found.",
			files->missing ? files->missing : "$HOME/.kube/config");
		return pg_hint(err, PG_CLUSTER,
			       "name a file with --kubeconfig FILE or KUBECONFIG=FILE");
	}
	if (choice->context[0]) {
		pg_fail(err, -EINVAL, "context '%s' names no cluster", choice->context);
		return pg_hint(err, PG_CLUSTER,
			       "name one with --cluster, or its URL with --server");
	}
	char names[160];
	pg_kube_files_names(files, "context", names, sizeof(names));
	pg_fail(err, -EINVAL, "kubeconfig %s: no current context", files->files[0].path);
	return pg_hint(err, PG_CLUSTER, "choose one with --context: %s",
		       names[0] ? names : "(there is none; name another file with --kubeconfig)");
}

/* What the namespace is when neither flag nor context says. */
static int check_namespace(const char *name, struct pg_err *err)
{
	size_t n = strlen(name);
	if (n <= 63 && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == n)
		return 0;
	pg_fail(err, -EINVAL, "'%s' cannot be a namespace", name);
	return pg_hint(err, PG_USER,
		       "a namespace has up to 63 of a-z, 0-9 and -: give it with -n NAME");
}

static int fill_namespace(const struct choice *choice, const struct pg_kube_flags *flags,
			  struct pg_kubeconfig *c, struct pg_err *err)
{
	int rc = pg_kube_set(&c->namespace_, choice->namespace_, err);
	if (rc == 0)
		rc = pg_kube_set(&c->namespace_, flags->namespace_, err);
	if (rc == 0 && !c->namespace_) {
		c->namespace_ = pg_in_cluster(PG_SERVICE_ACCOUNT)
					? pg_in_cluster_namespace(PG_SERVICE_ACCOUNT)
					: pg_strdup("default");
		if (!c->namespace_)
			rc = pg_fail(err, -ENOMEM, "read the kubeconfig");
	}
	return rc < 0 ? rc : check_namespace(c->namespace_, err);
}

/* Credentials never travel in the clear, as with kubectl. */
static void drop_credentials(struct pg_kubeconfig *c)
{
	char **slots[] = { &c->token,    &c->token_file, &c->username,
			   &c->password, &c->cert_pem,   &c->key_pem };
	for (size_t i = 0; i < PG_LEN(slots); i++) {
		free(*slots[i]);
		*slots[i] = NULL;
	}
	pg_kube_exec_free(c->exec);
	c->exec = NULL;
}

static int fill(const struct pg_kube_files *files, const struct choice *choice,
		const struct pg_kube_flags *flags, struct pg_kubeconfig *c, struct pg_err *err)
{
	int rc = pg_kubeconfig_cluster(&choice->cluster, flags, c, err);
	if (rc == 0 && !c->server) {
		if (choice->cluster.file || !pg_in_cluster(PG_SERVICE_ACCOUNT))
			return no_server(files, choice, err);
		rc = pg_in_cluster_config(PG_SERVICE_ACCOUNT, c, err);
	} else if (rc == 0) {
		rc = pg_kube_set(&c->context, choice->context, err);
	}
	if (rc == 0)
		rc = pg_kubeconfig_user(&choice->user, &choice->cluster, flags, c, err);
	if (rc == 0)
		rc = pg_kubeconfig_server(c, err);
	if (rc == 0)
		rc = fill_namespace(choice, flags, c, err);
	if (rc == 0 && !c->context && !(c->context = pg_strdup("")))
		rc = pg_fail(err, -ENOMEM, "read the kubeconfig");
	if (rc == 0 && strncmp(c->server, "http://", 7) == 0)
		drop_credentials(c);
	c->request_timeout_ms = flags->request_timeout_ms;
	return rc;
}

int pg_kubeconfig_load(const struct pg_kube_flags *flags, struct pg_kubeconfig *out,
		       struct pg_err *err)
{
	struct pg_kube_files files;
	int rc = pg_kube_files_load(flags->kubeconfig, &files, err);
	if (rc < 0)
		return rc;
	struct pg_kubeconfig c = { .server = NULL };
	struct choice choice = { .context = "",
				 .cluster = { .kind = "cluster", .name = "" },
				 .user = { .kind = "user", .name = "" } };
	rc = choose(&files, flags, &choice, err);
	if (rc == 0)
		rc = fill(&files, &choice, flags, &c, err);
	free(choice.namespace_);
	pg_kube_files_fini(&files);
	if (rc < 0)
		pg_kubeconfig_fini(&c);
	else
		*out = c;
	return rc;
}

void pg_kubeconfig_fini(struct pg_kubeconfig *c)
{
	char *owned[] = { c->context, c->namespace_, c->server,   c->tls_server_name,
			  c->ca_pem,  c->cert_pem,   c->key_pem,  c->proxy_url,
			  c->token,   c->token_file, c->username, c->password,
			  c->as,      c->as_uid };
	for (size_t i = 0; i < PG_LEN(owned); i++)
		free(owned[i]);
	pg_kube_strings_free(c->as_groups);
	pg_kube_strings_free(c->as_extra);
	pg_kube_exec_free(c->exec);
	*c = (struct pg_kubeconfig){ .server = NULL };
}
