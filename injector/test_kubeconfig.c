#include "injector/kubeconfig.h"

#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "injector/kubeconfig_parts.h"
#include "injector/test_kubeconfig_rows.h"
#include "proto/base/buf.h"
#include "proto/base/mem.h"

static char folder[] = "/tmp/podgraft-kubeconfig-XXXXXX";

/* `text` with each "@" replaced by the folder; good for the seven next calls. */
static const char *at(const char *text)
{
	static char ring[8][4096];
	static size_t turn;
	char *out = ring[turn++ % PG_LEN(ring)];
	size_t n = 0;
	if (!text)
		return NULL;
	for (; *text; text++) {
		assert_true(n + sizeof(folder) < sizeof(ring[0]));
		if (*text == '@')
			memcpy(out + n, folder, strlen(folder));
		else
			out[n] = *text;
		n += *text == '@' ? strlen(folder) : 1;
	}
	out[n] = '\0';
	return out;
}

static void fresh_folder(void)
{
	memcpy(folder + strlen(folder) - 6, "XXXXXX", 6);
	assert_non_null(mkdtemp(folder));
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int remove_folder(void **state)
{
	(void)state;
	return nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void write_file(const char *path, const char *text)
{
	char full[256];
	snprintf(full, sizeof(full), "%s/%s", folder, path);
	for (char *slash = strchr(full + strlen(folder) + 1, '/'); slash;
	     slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(full, 0700);
		*slash = '/';
	}
	FILE *f = fopen(full, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void add(struct pg_buf *b, const char *key, const char *value)
{
	if (value)
		pg_buf_addf(b, "%s%s=%s", b->len ? " " : "", key, value);
}

/* The line of a PEM text after its first. */
static void add_pem(struct pg_buf *b, const char *key, const char *pem)
{
	if (!pem)
		return;
	const char *body = strchr(pem, '\n') + 1;
	pg_buf_addf(b, " %s=%.*s", key, (int)strcspn(body, "\n"), body);
}

static void add_list(struct pg_buf *b, const char *key, char **list)
{
	for (; list && *list; list++)
		add(b, key, *list);
}

static void tell(const struct pg_kubeconfig *c, struct pg_buf *b)
{
	add(b, "context", c->context[0] ? c->context : NULL);
	add(b, "namespace", c->namespace_);
	add(b, "server", c->server);
	add(b, "tls", c->tls_server_name);
	if (c->insecure)
		pg_buf_add_str(b, " insecure");
	add_pem(b, "ca", c->ca_pem);
	add_pem(b, "cert", c->cert_pem);
	add_pem(b, "key", c->key_pem);
	add(b, "proxy", c->proxy_url);
	add(b, "token", c->token);
	add(b, "token_file", c->token_file);
	add(b, "username", c->username);
	add(b, "password", c->password);
	add(b, "as", c->as);
	add(b, "as_uid", c->as_uid);
	add_list(b, "group", c->as_groups);
	add_list(b, "extra", c->as_extra);
	if (!c->exec)
		return;
	add(b, "exec", c->exec->command);
	add(b, "mode", c->exec->interactive_mode);
	add(b, "hint", c->exec->install_hint);
	add_list(b, "arg", c->exec->args);
	add_list(b, "env", c->exec->env);
	add(b, "cluster", c->exec->cluster_config_json);
}

static void tell_error(const struct pg_err *err, struct pg_buf *b)
{
	const char *code = err->code == -EINVAL   ? "EINVAL"
			   : err->code == -ENOENT ? "ENOENT"
			   : err->code == -EISDIR ? "EISDIR"
						  : "?";
	pg_buf_addf(b, "%s %s %s | %s", code, pg_whose_name((enum pg_whose)err->whose), err->what,
		    err->hint);
	assert_true(err->hint[0] != '\0');
}

static void reset_environment(const struct row *row)
{
	unsetenv("KUBERNETES_SERVICE_HOST");
	unsetenv("POD_NAMESPACE");
	setenv("HOME", folder, 1);
	if (row->kubeconfig)
		setenv("KUBECONFIG", at(row->kubeconfig), 1);
	else
		unsetenv("KUBECONFIG");
}

static void loads(void **state)
{
	const struct row *row = *state;
	struct pg_kube_flags flags = row->flags;
	struct pg_kubeconfig c;
	struct pg_err err = { .code = 0 };
	struct pg_buf story = PG_BUF_INIT(1 << 16);
	fresh_folder();
	reset_environment(row);
	for (size_t i = 0; i < PG_LEN(row->files) && row->files[i].path; i++)
		write_file(row->files[i].path, row->files[i].text);
	flags.kubeconfig = at(flags.kubeconfig);
	flags.certificate_authority = at(flags.certificate_authority);
	flags.client_certificate = at(flags.client_certificate);
	flags.client_key = at(flags.client_key);
	int rc = pg_kubeconfig_load(&flags, &c, &err);
	if (rc < 0) {
		tell_error(&err, &story);
	} else {
		tell(&c, &story);
		pg_kubeconfig_fini(&c);
	}
	const char *want = at(row->want);
	if (rc < 0 && strlen(want) < story.len && strncmp(want, (char *)story.data, 7) == 0) {
		/* of a failure the row tells a beginning, and a part of the hint after " | " */
		const char *bar = strstr(want, " | ");
		size_t n = bar ? (size_t)(bar - want) : strlen(want);
		if (strncmp(want, (char *)story.data, n) != 0 ||
		    (bar && !strstr((char *)story.data, bar)))
			fail_msg("got:  %s\nwant: %s", story.data, want);
	} else {
		assert_string_equal((char *)story.data, want);
	}
	pg_buf_fini(&story);
}

/* In a pod: the service account's server, CA, token and namespace. */
static void runs_in_cluster(void **state)
{
	(void)state;
	struct pg_kubeconfig c = { .server = NULL };
	struct pg_buf story = PG_BUF_INIT(4096);
	fresh_folder();
	setenv("KUBERNETES_SERVICE_HOST", "fd00::1", 1);
	setenv("KUBERNETES_SERVICE_PORT", "443", 1);
	assert_false(pg_in_cluster(folder));
	write_file("token", "t");
	write_file("ca.crt", PEM("POD"));
	write_file("namespace", "team\n");
	assert_true(pg_in_cluster(folder));
	assert_int_equal(pg_in_cluster_config(folder, &c, NULL), 0);
	c.context = pg_strdup("");
	c.namespace_ = pg_in_cluster_namespace(folder);
	tell(&c, &story);
	assert_string_equal(
		(char *)story.data,
		at("namespace=team server=https://[fd00::1]:443 ca=POD token_file=@/token"));
	pg_kubeconfig_fini(&c);
	pg_buf_fini(&story);
	setenv("POD_NAMESPACE", "mine", 1);
	char *ns = pg_in_cluster_namespace(folder);
	assert_string_equal(ns, "mine");
	free(ns);
	unsetenv("POD_NAMESPACE");
	unsetenv("KUBERNETES_SERVICE_HOST");
}

/* Every allocation of ours fails once; what was made is freed, what comes out is whole. */
static void survives_a_lack_of_memory(void **state)
{
	(void)state;
	struct row row = { "",
			   AT(ONE(SERVER ", certificate-authority-data: " CA64,
				  "as: a, as-groups: [g], as-user-extra: {k: [v]}, " EXEC(
					  "v1beta1", ", args: [a], env: [{name: A}]"))),
			   { .context = NULL },
			   NULL };
	fresh_folder();
	reset_environment(&row);
	write_file("config", row.files[0].text);
	for (size_t n = 0; n < 1000; n++) {
		struct pg_kubeconfig c;
		struct pg_err err = { .code = 0 };
		pg_mem_fail_after(n);
		int rc = pg_kubeconfig_load(&row.flags, &c, &err);
		int failed = pg_mem_failed();
		pg_mem_fail_after((size_t)-1);
		if (rc == 0)
			pg_kubeconfig_fini(&c);
		if (!failed)
			return;
		assert_true(rc == 0 || rc == -ENOMEM || rc == -EINVAL);
	}
	fail_msg("it never came through");
}

int main(void)
{
	static struct CMUnitTest tests[PG_LEN(rows) + 2];
	for (size_t i = 0; i < PG_LEN(rows); i++)
		tests[i] =
			(struct CMUnitTest){ rows[i].name, loads, NULL, remove_folder, &rows[i] };
	tests[PG_LEN(rows)] =
		(struct CMUnitTest)cmocka_unit_test_teardown(runs_in_cluster, remove_folder);
	tests[PG_LEN(rows) + 1] = (struct CMUnitTest)cmocka_unit_test_teardown(
		survives_a_lack_of_memory, remove_folder);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
