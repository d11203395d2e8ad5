#include "injector/kube_auth.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/mem.h"

/* Plugins are real programs here: shell scripts, run through the real loop. */
#define V1              "client.authentication.k8s.io/v1"
#define BEGIN           "printf '{\"kind\":\"ExecCredential\",\"apiVersion\":\"" V1 "\",\"status\":{"
#define ANSWER(members) BEGIN members "}}'"

static char api_version[] = V1, never[] = "Never", always[] = "Always", sh[] = "/bin/sh",
	    minus_c[] = "-c", server[] = "https://a";
static char script[4096], folder[64], counter[96];

static struct pg_kube_exec plugin_of(char **args, const char *text)
{
	snprintf(script, sizeof(script), "%s", text);
	args[0] = minus_c;
	args[1] = script;
	args[2] = counter;
	args[3] = NULL;
	return (struct pg_kube_exec){
		.api_version = api_version, .command = sh, .interactive_mode = never, .args = args
	};
}

static int make_folder(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/podgraft-auth-XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	snprintf(counter, sizeof(counter), "%s/runs", folder);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	unlink(counter);
	return rmdir(folder);
}

/* Runs of a plugin that adds an "x" to the counter each time. */
static long runs(void)
{
	FILE *f = fopen(counter, "r");
	if (!f)
		return 0;
	fseek(f, 0, SEEK_END);
	long n = ftell(f);
	fclose(f);
	return n;
}

static const char *header(const struct pg_http_peer *peer, const char *name)
{
	size_t n = strlen(name);
	for (const char *const *h = peer->headers; *h; h++)
		if (strncmp(*h, name, n) == 0 && strncmp(*h + n, ": ", 2) == 0)
			return *h + n + 2;
	return "";
}

struct fixture {
	struct pg_loop *loop;
	struct pg_kube_auth *auth;
	const struct pg_http_peer *peer;
	struct pg_err err;
};

static void begin(struct fixture *f, const struct pg_kubeconfig *c)
{
	*f = (struct fixture){ .loop = pg_loop_new(NULL) };
	assert_non_null(f->loop);
	f->auth = pg_kube_auth_new(f->loop, c, &f->err);
	assert_non_null(f->auth);
}

static int ask(struct fixture *f)
{
	return pg_kube_auth_peer(f->auth, &f->peer, &f->err);
}

static void end(struct fixture *f)
{
	pg_kube_auth_free(f->auth);
	pg_loop_free(f->loop);
}

static void static_token_and_impersonation(void **state)
{
	(void)state;
	char token[] = "abc", as[] = "jane", uid[] = "7", dev[] = "dev", ops[] = "ops",
	     extra[] = "scopes.example/a%b c=x=y";
	char *groups[] = { dev, ops, NULL }, *extras[] = { extra, NULL };
	const struct pg_kubeconfig c = { .server = server,
					 .token = token,
					 .as = as,
					 .as_uid = uid,
					 .as_groups = groups,
					 .as_extra = extras };
	static const char *const want[] = {
		"Authorization: Bearer abc", "Impersonate-User: jane",
		"Impersonate-Uid: 7",        "Impersonate-Group: dev",
		"Impersonate-Group: ops",    "Impersonate-Extra-scopes.example%2Fa%25b%20c: x=y"
	};
	struct fixture f;
	begin(&f, &c);
	assert_int_equal(ask(&f), 0);
	for (size_t i = 0; i < PG_LEN(want); i++)
		assert_string_equal(f.peer->headers[i], want[i]);
	assert_null(f.peer->headers[PG_LEN(want)]);
	assert_false(pg_kube_auth_refused(f.auth));
	end(&f);
}

static void basic_auth(void **state)
{
	(void)state;
	char user[] = "me", password[] = "pw";
	const struct pg_kubeconfig c = { .server = server, .username = user, .password = password };
	struct fixture f;
	begin(&f, &c);
	assert_int_equal(ask(&f), 0);
	assert_string_equal(header(f.peer, "Authorization"), "Basic bWU6cHc=");
	end(&f);
}

static void a_name_cannot_smuggle_a_header(void **state)
{
	(void)state;
	char as[] = "jane\r\nX: y";
	const struct pg_kubeconfig c = { .server = server, .as = as };
	struct fixture f;
	begin(&f, &c);
	assert_int_equal(ask(&f), -EINVAL);
	assert_true(f.err.hint[0] != '\0');
	end(&f);
}

static void write_counter_file(const char *text)
{
	FILE *file = fopen(counter, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void token_file_is_read_again_after_a_refusal(void **state)
{
	(void)state;
	const struct pg_kubeconfig c = { .server = server, .token_file = counter };
	struct fixture f;
	begin(&f, &c);
	assert_int_equal(ask(&f), -ENOENT);
	assert_non_null(strstr(f.err.what, "token file: read '"));
	write_counter_file(" one \n");
	assert_int_equal(ask(&f), 0);
	assert_string_equal(header(f.peer, "Authorization"), "Bearer one");
	write_counter_file("two");
	assert_int_equal(ask(&f), 0); /* within the minute */
	assert_string_equal(header(f.peer, "Authorization"), "Bearer one");
	assert_true(pg_kube_auth_refused(f.auth));
	assert_int_equal(ask(&f), 0);
	assert_string_equal(header(f.peer, "Authorization"), "Bearer two");
	assert_false(pg_kube_auth_refused(f.auth)); /* it still says the same */
	end(&f);
}

static void plugin_runs_once_and_again_after_a_refusal(void **state)
{
	(void)state;
	char *args[4];
	struct pg_kube_exec x =
		plugin_of(args, "printf x >>\"$0\"; " ANSWER("\"token\":\"t'$(wc -c <\"$0\")'\""));
	const struct pg_kubeconfig c = { .server = server, .exec = &x };
	struct fixture f;
	begin(&f, &c);
	assert_int_equal(ask(&f), 0);
	assert_int_equal(ask(&f), 0);
	assert_string_equal(header(f.peer, "Authorization"), "Bearer t1");
	assert_true(pg_kube_auth_refused(f.auth));
	assert_int_equal(ask(&f), 0);
	assert_string_equal(header(f.peer, "Authorization"), "Bearer t2");
	assert_false(pg_kube_auth_refused(f.auth)); /* the fresh one too: no third try */
	assert_int_equal(runs(), 2);
	end(&f);
}

static void an_expired_answer_is_fetched_again(void **state)
{
	(void)state;
	char *args[4];
	struct pg_kube_exec x = plugin_of(
		args, "printf x >>\"$0\"; " ANSWER(
			      "\"token\":\"t\",\"expirationTimestamp\":\"2020-01-01T00:00:00Z\""));
	const struct pg_kubeconfig c = { .server = server, .exec = &x };
	struct fixture f;
	begin(&f, &c);
	assert_int_equal(ask(&f), 0);
	assert_int_equal(ask(&f), 0);
	assert_int_equal(runs(), 2);
	end(&f);
}

static void plugin_gives_a_certificate(void **state)
{
	(void)state;
	char *args[4];
	struct pg_kube_exec x = plugin_of(args, ANSWER("\"clientCertificateData\":\"-----BEGIN "
						       "C\",\"clientKeyData\":\"-----BEGIN K\""));
	const struct pg_kubeconfig c = { .server = server, .exec = &x };
	struct fixture f;
	begin(&f, &c);
	assert_int_equal(ask(&f), 0);
	assert_string_equal(f.peer->cert_pem, "-----BEGIN C");
	assert_string_equal(f.peer->key_pem, "-----BEGIN K");
	assert_string_equal(header(f.peer, "Authorization"), "");
	end(&f);
}

static void plugin_sees_its_environment(void **state)
{
	(void)state;
	char *args[4], home[] = "HOME=/nowhere", extra[] = "EXTRA=e",
		       *env[] = { home, extra, NULL };
	struct pg_kube_exec x = plugin_of(
		args, "case $KUBERNETES_EXEC_INFO in *'\"interactive\":false}}'*) ok=yes;; esac; "
		      "if read -r line; then ok=no; fi; " ANSWER(
			      "\"token\":\"'$HOME-$EXTRA-$INHERITED-$ok'\""));
	const struct pg_kubeconfig c = { .server = server, .exec = &x };
	struct fixture f;
	x.env = env;
	setenv("INHERITED", "i", 1);
	setenv("EXTRA", "wrong", 1);
	setenv("KUBERNETES_EXEC_INFO", "wrong", 1);
	begin(&f, &c);
	assert_int_equal(ask(&f), 0);
	assert_string_equal(header(f.peer, "Authorization"), "Bearer /nowhere-e-i-yes");
	end(&f);
}

static void says(const char *text, const char *want)
{
	char *args[4];
	struct pg_kube_exec x = plugin_of(args, text);
	const struct pg_kubeconfig c = { .server = server, .exec = &x };
	struct fixture f;
	begin(&f, &c);
	assert_true(ask(&f) < 0);
	assert_string_equal(f.err.what, want);
	assert_int_equal(f.err.whose, PG_CLUSTER);
	assert_true(f.err.hint[0] != '\0');
	end(&f);
}

static void failures_have_words(void **state)
{
	(void)state;
	says("exit 3", "credential plugin '/bin/sh': it failed with status 3");
	says("kill -9 $$", "credential plugin '/bin/sh': it was ended by signal 9");
	says("echo hello", "credential plugin '/bin/sh': its answer is no JSON");
	says("yes 2>/dev/null", "credential plugin '/bin/sh': it printed more than 1048576 bytes");
}

static void a_missing_plugin_shows_how_to_install_it(void **state)
{
	(void)state;
	char command[] = "no-such-plugin", hint[] = "get it\nfrom \033[1mus";
	struct pg_kube_exec x = { .api_version = api_version,
				  .command = command,
				  .interactive_mode = never,
				  .install_hint = hint };
	const struct pg_kubeconfig c = { .server = server, .exec = &x };
	struct fixture f;
	begin(&f, &c);
	assert_int_equal(ask(&f), -ENOENT);
	assert_string_equal(f.err.what, "credential plugin 'no-such-plugin': it did not start: "
					"No such file or directory");
	assert_string_equal(f.err.hint, "get it from ?[1mus");
	end(&f);
}

static void a_plugin_that_wants_a_terminal_is_refused_without_one(void **state)
{
	(void)state;
	char *args[4];
	struct pg_kube_exec x = plugin_of(args, "exit 0");
	const struct pg_kubeconfig c = { .server = server, .exec = &x };
	struct fixture f;
	x.interactive_mode = always;
	assert_non_null(freopen("/dev/null", "r", stdin));
	begin(&f, &c);
	assert_int_equal(ask(&f), -ENOTTY);
	end(&f);
}

/* Answers "given-N", with the number after the one that the asker has. */
static int give(void *ctx, unsigned after, struct pg_exec_answer *out, unsigned *number_out,
		struct pg_err *err)
{
	unsigned *asked = ctx;
	(*asked)++;
	if (after >= 2)
		return pg_fail(err, -EPERM, "no more.");
	*number_out = after + 1;
	*out = (struct pg_exec_answer){ .token = pg_asprintf("given-%u", after + 1),
					.expires_s = INT64_MAX };
	return 0;
}

static void answers_of_another_process_take_the_place_of_the_plugin(void **state)
{
	(void)state;
	char *args[4];
	struct pg_kube_exec x = plugin_of(args, "exit 1");
	const struct pg_kubeconfig c = { .server = server, .exec = &x };
	unsigned asked = 0;
	const struct pg_credential_source source = { give, &asked };
	struct fixture f;
	x.interactive_mode = always; /* nobody runs it here */
	begin(&f, &c);
	pg_kube_auth_from(f.auth, &source);
	assert_int_equal(ask(&f), 0);
	assert_int_equal(ask(&f), 0);
	assert_string_equal(header(f.peer, "Authorization"), "Bearer given-1");
	assert_int_equal(asked, 1); /* kept until it expires */
	assert_true(pg_kube_auth_refused(f.auth));
	assert_int_equal(ask(&f), 0);
	assert_string_equal(header(f.peer, "Authorization"), "Bearer given-2");
	assert_false(pg_kube_auth_refused(f.auth)); /* twice for one request */
	assert_int_equal(ask(&f), -EPERM);
	assert_string_equal(f.err.what, "no more");
	end(&f);
}

static void an_answer_is_shared_and_the_plugin_run_again_for_who_has_it(void **state)
{
	(void)state;
	char *args[4];
	struct pg_kube_exec x =
		plugin_of(args, "printf x >>\"$0\"; " ANSWER("\"token\":\"t'$(wc -c <\"$0\")'\""));
	const struct pg_kubeconfig c = { .server = server, .exec = &x },
				   without = { .server = server };
	const struct pg_exec_answer *answer;
	struct fixture f;
	unsigned number;
	begin(&f, &c);
	assert_int_equal(ask(&f), 0);
	assert_int_equal(pg_kube_auth_share(f.auth, 0, &answer, &number, &f.err), 0);
	assert_int_equal(number, 1);
	assert_string_equal(answer->token, "t1");
	assert_int_equal(pg_kube_auth_share(f.auth, 0, &answer, &number, &f.err), 0);
	assert_int_equal(number, 1);
	assert_int_equal(pg_kube_auth_share(f.auth, 1, &answer, &number, &f.err), 0);
	assert_int_equal(number, 2);
	assert_string_equal(answer->token, "t2");
	end(&f);
	begin(&f, &without);
	assert_int_equal(pg_kube_auth_share(f.auth, 0, &answer, &number, &f.err), -ENOENT);
	end(&f);
}

static void interrupt(void *ctx, int signo)
{
	(void)signo;
	pg_loop_interrupt(ctx, true);
}

static void an_interrupt_ends_a_plugin(void **state)
{
	(void)state;
	char *args[4];
	struct pg_kube_exec x = plugin_of(args, "kill -INT $PPID; exec sleep 60");
	const struct pg_kubeconfig c = { .server = server, .exec = &x };
	struct fixture f;
	begin(&f, &c);
	pg_loop_on_signal(f.loop, interrupt, f.loop);
	assert_int_equal(ask(&f), -ECANCELED);
	end(&f); /* returns at once: the plugin is dead */
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(static_token_and_impersonation),
		cmocka_unit_test(basic_auth),
		cmocka_unit_test(a_name_cannot_smuggle_a_header),
		ROW(token_file_is_read_again_after_a_refusal),
		ROW(plugin_runs_once_and_again_after_a_refusal),
		ROW(an_expired_answer_is_fetched_again),
		ROW(plugin_gives_a_certificate),
		ROW(plugin_sees_its_environment),
		ROW(failures_have_words),
		ROW(a_missing_plugin_shows_how_to_install_it),
		ROW(a_plugin_that_wants_a_terminal_is_refused_without_one),
		ROW(answers_of_another_process_take_the_place_of_the_plugin),
		ROW(an_answer_is_shared_and_the_plugin_run_again_for_who_has_it),
		ROW(an_interrupt_ends_a_plugin),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
