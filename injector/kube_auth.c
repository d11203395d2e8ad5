#include "injector/kube_auth.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "injector/kube_auth_exec.h"
#include "injector/read_file.h"
#include "proto/base/mem.h"
#include "proto/wire/auth.h"

enum { TOKEN_FILE_MAX = 64 << 10, TOKEN_FILE_MS = 60000 };

struct pg_kube_auth {
	struct pg_loop *loop;
	const struct pg_kubeconfig *config;
	struct pg_http_peer peer;
	char **headers; /* NULL-terminated; peer.headers is its const view */
	char *file_token;
	uint64_t file_read_ms; /* when; 0: not yet, or to be read again */
	struct pg_exec_answer answer;
	unsigned number; /* of the newest answer; 0: there was none */
	bool has_answer;
	const struct pg_credential_source *source; /* of answers; NULL: the plugin */
	unsigned answer_uses;                      /* how many peers carried it */
	bool ran_again;                            /* the answer was fetched because of a refusal */
	bool running;
};

struct pg_kube_auth *pg_kube_auth_new(struct pg_loop *loop, const struct pg_kubeconfig *config,
				      struct pg_err *err)
{
	struct pg_kube_auth *a = pg_calloc(1, sizeof(*a));
	if (!a) {
		pg_fail(err, -ENOMEM, "prepare credentials");
		return NULL;
	}
	a->loop = loop;
	a->config = config;
	return a;
}

static void free_secret(char *text)
{
	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
}

static void drop_headers(struct pg_kube_auth *a)
{
	for (size_t i = 0; a->headers && a->headers[i]; i++)
		free_secret(a->headers[i]);
	free(a->headers);
	a->headers = NULL;
	a->peer.headers = NULL;
}

void pg_kube_auth_free(struct pg_kube_auth *a)
{
	if (!a)
		return;
	assert(!a->running);
	drop_headers(a);
	free_secret(a->file_token);
	pg_exec_answer_fini(&a->answer);
	free(a);
}

/* The token in the file, without the space around it. */
static int read_token(const char *path, char **out, struct pg_err *err)
{
	static const char space[] = " \t\r\n";
	struct pg_buf text = PG_BUF_INIT(TOKEN_FILE_MAX);
	int rc = pg_read_file(path, &text, err);
	const char *begin = pg_buf_str(&text) + strspn(pg_buf_str(&text), space);
	size_t n = strlen(begin);
	while (n > 0 && strchr(space, begin[n - 1]))
		n--;
	if (rc == 0 && n == 0)
		rc = pg_fail(err, -EINVAL, "'%s' is empty", path);
	char *token = rc == 0 ? pg_strndup(begin, n) : NULL;
	if (rc == 0 && !token)
		pg_fail(err, -ENOMEM, "read '%s'", path);
	if (text.data)
		explicit_bzero(text.data, text.len);
	pg_buf_fini(&text);
	if (!token) {
		pg_wrap(err, "token file");
		return pg_hint(err, PG_CLUSTER, "log in again, or choose another user with --user");
	}
	*out = token;
	return 0;
}

/* Reads the token file again when a minute has gone by. One that cannot be read any more is no
 * failure while its last token may still do. */
static int refresh_file(struct pg_kube_auth *a, struct pg_err *err)
{
	uint64_t now_ms = pg_loop_now_ms(a->loop) + 1; /* never 0 */
	if (a->file_read_ms != 0 && now_ms - a->file_read_ms < TOKEN_FILE_MS)
		return 0;
	char *token = NULL;
	struct pg_err why = { .code = 0 };
	int rc = read_token(a->config->token_file, &token, &why);
	if (rc == 0) {
		free_secret(a->file_token);
		a->file_token = token;
	} else if (!a->file_token && !a->config->token) {
		if (err)
			*err = why;
		return rc;
	}
	a->file_read_ms = now_ms;
	return 0;
}

static bool is_good(const struct pg_kube_auth *a)
{
	return a->has_answer && (int64_t)time(NULL) < a->answer.expires_s;
}

static int refresh_plugin(struct pg_kube_auth *a, struct pg_err *err)
{
	struct pg_exec_answer fresh;
	unsigned number = a->number + 1;
	if (is_good(a)) {
		a->answer_uses++;
		return 0;
	}
	assert(!a->running); /* straight-line code runs one at a time */
	a->running = true;
	int rc = a->source ? a->source->ask(a->source->ctx, a->number, &fresh, &number, err)
			   : pg_exec_run(a->loop, a->config, &fresh, err);
	a->running = false;
	if (rc < 0)
		return rc;
	pg_exec_answer_fini(&a->answer);
	a->answer = fresh;
	a->number = number;
	a->has_answer = true;
	a->answer_uses = 1;
	return 0;
}

void pg_kube_auth_from(struct pg_kube_auth *a, const struct pg_credential_source *source)
{
	a->source = source;
}

int pg_kube_auth_share(struct pg_kube_auth *a, unsigned after, const struct pg_exec_answer **out,
		       unsigned *number_out, struct pg_err *err)
{
	if (!a->config->exec || a->config->token_file)
		return pg_fail(err, -ENOENT, "there is no credential plugin");
	if (a->number <= after) /* the one that we have was refused, or has expired */
		a->has_answer = false;
	int rc = refresh_plugin(a, err);
	if (rc < 0)
		return rc;
	*out = &a->answer;
	*number_out = a->number;
	return 0;
}

/* A growing list of headers; the first failure stays. */
struct header_list {
	char **items;
	size_t count, room;
	int rc;
};

static bool is_header_value(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			return false;
	return true;
}

static void add_header(struct header_list *list, const char *name, const char *value)
{
	if (list->rc < 0)
		return;
	if (!is_header_value(value)) {
		list->rc = -EINVAL;
		return;
	}
	assert(list->count < list->room);
	list->items[list->count] = pg_asprintf("%s: %s", name, value);
	if (!list->items[list->count++])
		list->rc = -ENOMEM;
}

static void add_basic(struct header_list *list, const struct pg_kubeconfig *c)
{
	pg_auto_free char *pair = pg_asprintf("%s:%s", c->username ? c->username : "",
					      c->password ? c->password : "");
	size_t n = pair ? strlen(pair) : 0;
	pg_auto_free char *value = pg_calloc(4 * ((n + 2) / 3) + sizeof("Basic "), 1);
	if (!pair || !value) {
		list->rc = -ENOMEM;
		return;
	}
	memcpy(value, "Basic ", 6);
	pg_b64_encode((const uint8_t *)pair, n, value + 6);
	add_header(list, "Authorization", value);
	explicit_bzero(pair, n);
}

/* "scopes.example/x=v": the key becomes part of a header's name, RFC 9110 5.6.2, other bytes and
 * '%' as %XX. */
static void add_extra(struct header_list *list, const char *pair)
{
	size_t n = strcspn(pair, "=");
	struct pg_buf name = PG_BUF_INIT(16 << 10);
	int rc = pg_buf_add_str(&name, "Impersonate-Extra-");
	for (size_t i = 0; i < n && rc == 0; i++) {
		char c = pair[i];
		bool is_legal = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
				(c >= 'A' && c <= 'Z') || (c && strchr("!#$&'*+-.^_`|~", c));
		rc = is_legal ? pg_buf_add(&name, &c, 1)
			      : pg_buf_addf(&name, "%%%02X", (unsigned)(unsigned char)c);
	}
	if (rc < 0)
		list->rc = rc;
	else
		add_header(list, pg_buf_str(&name), pair + n + (pair[n] == '='));
	pg_buf_fini(&name);
}

static size_t length(char *const *list)
{
	size_t n = 0;
	while (list && list[n])
		n++;
	return n;
}

static void add_authorization(struct header_list *list, const struct pg_kube_auth *a)
{
	const struct pg_kubeconfig *c = a->config;
	const char *token = a->has_answer ? a->answer.token : NULL;
	if (!token)
		token = a->file_token ? a->file_token : c->token;
	if (token) {
		pg_auto_free char *value = pg_asprintf("Bearer %s", token);
		if (value)
			add_header(list, "Authorization", value);
		else
			list->rc = -ENOMEM;
	} else if (c->username || c->password) {
		add_basic(list, c);
	}
}

static int make_headers(struct pg_kube_auth *a, struct pg_err *err)
{
	const struct pg_kubeconfig *c = a->config;
	struct header_list list = { .room = 3 + length(c->as_groups) + length(c->as_extra) };
	drop_headers(a);
	list.items = pg_calloc(list.room + 1, sizeof(*list.items));
	if (!list.items)
		return pg_fail(err, -ENOMEM, "prepare credentials");
	a->headers = list.items;
	add_authorization(&list, a);
	if (c->as)
		add_header(&list, "Impersonate-User", c->as);
	if (c->as_uid)
		add_header(&list, "Impersonate-Uid", c->as_uid);
	for (char **group = c->as_groups; group && *group; group++)
		add_header(&list, "Impersonate-Group", *group);
	for (char **extra = c->as_extra; extra && *extra; extra++)
		add_extra(&list, *extra);
	if (list.rc == -EINVAL) {
		pg_fail(err, -EINVAL, "a token or name of the user holds a control character");
		return pg_hint(
			err, PG_CLUSTER,
			"correct the user's entry in the kubeconfig, or --as and --as-group");
	}
	return list.rc < 0 ? pg_fail(err, list.rc, "prepare credentials") : 0;
}

int pg_kube_auth_peer(struct pg_kube_auth *a, const struct pg_http_peer **out, struct pg_err *err)
{
	const struct pg_kubeconfig *c = a->config;
	int rc = 0;
	if (c->token_file)
		rc = refresh_file(a, err);
	else if (c->exec)
		rc = refresh_plugin(a, err);
	if (rc == 0)
		rc = make_headers(a, err);
	if (rc < 0)
		return rc;
	bool by_plugin = a->has_answer && a->answer.cert_pem;
	a->peer = (struct pg_http_peer){
		.base_url = c->server,
		.ca_pem = c->ca_pem,
		.cert_pem = by_plugin ? a->answer.cert_pem : c->cert_pem,
		.key_pem = by_plugin ? a->answer.key_pem : c->key_pem,
		.insecure = c->insecure,
		.tls_server_name = c->tls_server_name,
		.proxy_url = c->proxy_url,
		.headers = (const char *const *)a->headers,
	};
	*out = &a->peer;
	return 0;
}

/* Reads the file at once: true when it now says something else. */
static bool file_has_changed(struct pg_kube_auth *a)
{
	char *token = NULL;
	if (read_token(a->config->token_file, &token, NULL) < 0)
		return false;
	bool changed = !a->file_token || strcmp(token, a->file_token) != 0;
	free_secret(a->file_token);
	a->file_token = token;
	return changed;
}

bool pg_kube_auth_refused(struct pg_kube_auth *a)
{
	if (a->config->token_file)
		return file_has_changed(a);
	if (!a->config->exec || !a->has_answer)
		return false;
	/* An answer that was fetched for this very request and is refused again: no third try. */
	bool is_second = a->ran_again && a->answer_uses == 1;
	pg_exec_answer_fini(&a->answer);
	a->has_answer = false;
	a->ran_again = !is_second;
	return !is_second;
}
