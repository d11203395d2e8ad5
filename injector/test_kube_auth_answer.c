#include "injector/kube_auth_answer.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define V1          "client.authentication.k8s.io/v1"
#define OF(status)  "{\"kind\":\"ExecCredential\",\"apiVersion\":\"" V1 "\",\"status\":" status "}"
#define PEM_MEMBERS "\"clientCertificateData\":\"-----BEGIN C\",\"clientKeyData\":\"-----BEGIN K\""

static struct row {
	const char *name, *text, *want; /* members that are set, or the message */
} rows[] = {
	{ "token", OF("{\"token\":\"abc\"}"), "token=abc" },
	{ "token that expires",
	  OF("{\"token\":\"abc\",\"expirationTimestamp\":\"2030-01-01T00:00:00Z\"}"),
	  "token=abc expires=1893456000" },
	{ "certificate", OF("{" PEM_MEMBERS "}"), "cert=-----BEGIN C key=-----BEGIN K" },
	{ "both", OF("{\"token\":\"abc\"," PEM_MEMBERS "}"),
	  "token=abc cert=-----BEGIN C key=-----BEGIN K" },
	{ "unknown members, space around", "\n " OF("{\"token\":\"abc\",\"x\":[1]}") "\n\n",
	  "token=abc" },
	{ "nulls count as absent",
	  OF("{\"token\":\"abc\",\"expirationTimestamp\":null,"
	     "\"clientKeyData\":null}"),
	  "token=abc" },
	{ "nothing", "", "its answer is empty" },
	{ "no JSON", "please log in", "its answer is no JSON" },
	{ "two answers", OF("{\"token\":\"a\"}") OF("{\"token\":\"b\"}"), "its answer is no JSON" },
	{ "other kind", "{\"kind\":\"Pod\"}", "its answer is not of kind ExecCredential" },
	{ "other version",
	  "{\"kind\":\"ExecCredential\",\"apiVersion\":\"client.authentication.k8s.io/v1beta1\","
	  "\"status\":{\"token\":\"a\"}}",
	  "its answer is not of apiVersion " V1 },
	{ "no status", "{\"kind\":\"ExecCredential\",\"apiVersion\":\"" V1 "\"}",
	  "its answer has no status" },
	{ "empty status", OF("{}"), "its answer holds neither a token nor a certificate" },
	{ "empty token", OF("{\"token\":\"\"}"),
	  "its answer holds neither a token nor a certificate" },
	{ "token is a number", OF("{\"token\":1}"), "its answer's token is no text" },
	{ "token with a line break", OF("{\"token\":\"a\\nX: y\"}"),
	  "its answer holds a token with a space or control character" },
	{ "certificate alone", OF("{\"clientCertificateData\":\"-----BEGIN C\"}"),
	  "its answer holds a certificate without its key, or the reverse" },
	{ "key alone", OF("{\"token\":\"a\",\"clientKeyData\":\"-----BEGIN K\"}"),
	  "its answer holds a certificate without its key, or the reverse" },
	{ "certificate in base64",
	  OF("{\"clientCertificateData\":\"LS0tLS1C\",\"clientKeyData\":\"LS0tLS1C\"}"),
	  "its answer holds a certificate or key that is no PEM text" },
	{ "no time", OF("{\"token\":\"a\",\"expirationTimestamp\":\"tomorrow\"}"),
	  "its answer has an expirationTimestamp that is no time" },
};

static void add(struct pg_buf *b, const char *key, const char *value)
{
	if (value)
		pg_buf_addf(b, "%s%s=%s", b->len ? " " : "", key, value);
}

static void reads(void **state)
{
	const struct row *row = *state;
	struct pg_exec_answer a;
	struct pg_err err = { .code = 0 };
	struct pg_buf story = PG_BUF_INIT(4096);
	if (pg_exec_answer_parse(row->text, strlen(row->text), V1, &a, &err) < 0) {
		pg_buf_add_str(&story, err.what);
	} else {
		add(&story, "token", a.token);
		add(&story, "cert", a.cert_pem);
		add(&story, "key", a.key_pem);
		if (a.expires_s != INT64_MAX)
			pg_buf_addf(&story, " expires=%lld", (long long)a.expires_s);
		pg_exec_answer_fini(&a);
	}
	assert_string_equal(pg_buf_str(&story), row->want);
	pg_buf_fini(&story);
}

static char api_version[] = V1, server[] = "https://a", name[] = "b", ca[] = "PEM",
	    proxy[] = "http://p", extension[] = "{\"audience\":\"x\"}";

static void asks_briefly(void **state)
{
	(void)state;
	struct pg_kube_exec x = { .api_version = api_version };
	const struct pg_kubeconfig c = { .server = server, .exec = &x };
	struct pg_buf out = PG_BUF_INIT(4096);
	assert_int_equal(pg_exec_info(&c, false, &out), 0);
	assert_string_equal(pg_buf_str(&out), "{\"kind\":\"ExecCredential\",\"apiVersion\":\"" V1
					      "\",\"spec\":{\"interactive\":false}}\n");
	pg_buf_fini(&out);
}

static void tells_of_the_cluster(void **state)
{
	(void)state;
	struct pg_kube_exec x = { .api_version = api_version,
				  .provide_cluster_info = true,
				  .cluster_config_json = extension };
	const struct pg_kubeconfig c = { .server = server,
					 .tls_server_name = name,
					 .ca_pem = ca,
					 .proxy_url = proxy,
					 .insecure = true,
					 .disable_compression = true,
					 .exec = &x };
	struct pg_buf out = PG_BUF_INIT(4096);
	assert_int_equal(pg_exec_info(&c, true, &out), 0);
	assert_string_equal(pg_buf_str(&out),
			    "{\"kind\":\"ExecCredential\",\"apiVersion\":\"" V1
			    "\",\"spec\":{\"cluster\":{"
			    "\"server\":\"https://"
			    "a\",\"tls-server-name\":\"b\",\"insecure-skip-tls-verify\":true,"
			    "\"certificate-authority-data\":\"UEVN\",\"proxy-url\":\"http://p\","
			    "\"disable-compression\":true,\"config\":{\"audience\":\"x\"}},"
			    "\"interactive\":true}}\n");
	pg_buf_fini(&out);
}

static void without_an_extension_config_is_null(void **state)
{
	(void)state;
	struct pg_kube_exec x = { .api_version = api_version, .provide_cluster_info = true };
	const struct pg_kubeconfig c = { .server = server, .exec = &x };
	struct pg_buf out = PG_BUF_INIT(4096);
	assert_int_equal(pg_exec_info(&c, false, &out), 0);
	assert_non_null(strstr(pg_buf_str(&out), "{\"server\":\"https://a\",\"config\":null}"));
	pg_buf_fini(&out);
}

int main(void)
{
	struct CMUnitTest tests[PG_LEN(rows) + 3] = {
		cmocka_unit_test(asks_briefly),
		cmocka_unit_test(tells_of_the_cluster),
		cmocka_unit_test(without_an_extension_config_is_null),
	};
	for (size_t i = 0; i < PG_LEN(rows); i++)
		tests[i + 3] = (struct CMUnitTest){ rows[i].name, reads, NULL, NULL, &rows[i] };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
