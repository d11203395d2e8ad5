#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "injector/http_priv.h"
#include "injector/http_proxy.h"
#include "proto/base/mem.h"

/* A transfer's options: where to, through what, as whom. */

enum {
	CONNECT_MS = 10000, /* TCP, proxy and TLS together: a refusal within seconds */
	KEEPALIVE_S = 15,   /* a watch on a dead path ends, and a middlebox sees us alive */
};

static char *take_part(CURLU *u, CURLUPart part, unsigned flags)
{
	char *text = NULL;
	return curl_url_get(u, part, &text, flags) == CURLUE_OK ? text : NULL;
}

/* Splits `u` into *out; false when a part is missing or does not fit. */
static bool split_url(CURLU *u, struct pg_http_url *out)
{
	char *scheme = take_part(u, CURLUPART_SCHEME, 0);
	char *host = take_part(u, CURLUPART_HOST, 0);
	char *port = take_part(u, CURLUPART_PORT, CURLU_DEFAULT_PORT);
	char *path = take_part(u, CURLUPART_PATH, 0);
	bool fits = scheme && host && port && path && strlen(host) < sizeof(out->host) &&
		    strlen(port) < sizeof(out->port) && strlen(path) < sizeof(out->prefix) &&
		    (strcmp(scheme, "https") == 0 || strcmp(scheme, "http") == 0);
	if (fits) {
		size_t len = strlen(host), skip = host[0] == '[' ? 1 : 0;
		out->tls = strcmp(scheme, "https") == 0;
		snprintf(out->target, sizeof(out->target), "%s:%s", host, port);
		snprintf(out->host, sizeof(out->host), "%.*s", (int)(len - 2 * skip), host + skip);
		snprintf(out->port, sizeof(out->port), "%s", port);
		snprintf(out->prefix, sizeof(out->prefix), "%s", path);
		for (len = strlen(path); len > 0 && path[len - 1] == '/'; len--)
			out->prefix[len - 1] = '\0';
	}
	curl_free(scheme);
	curl_free(host);
	curl_free(port);
	curl_free(path);
	return fits;
}

int pg_http_url_parse(const char *base_url, struct pg_http_url *out, struct pg_err *err)
{
	struct pg_http_url url = { .tls = false };
	CURLU *u = curl_url();
	if (!u)
		return pg_fail(err, -ENOMEM, "read the server's address");
	bool good = curl_url_set(u, CURLUPART_URL, base_url, 0) == CURLUE_OK && split_url(u, &url);
	curl_url_cleanup(u);
	if (!good) {
		pg_fail(err, -EINVAL, "the server's address '%s' is no http or https URL",
			base_url);
		return pg_hint(err, PG_CLUSTER,
			       "a server reads https://HOST:PORT; check it in the kubeconfig");
	}
	*out = url;
	return 0;
}

void pg_http_set_long(struct pg_http_xfer *x, CURLoption option, long value)
{
	CURLcode rc = curl_easy_setopt(x->easy, option, value);
	x->setup = x->setup ? x->setup : rc;
}

void pg_http_set_ptr(struct pg_http_xfer *x, CURLoption option, const void *value)
{
	CURLcode rc = curl_easy_setopt(x->easy, option, value);
	x->setup = x->setup ? x->setup : rc;
}

static void set_pem(struct pg_http_xfer *x, CURLoption option, const char *pem)
{
	struct curl_blob blob = { .len = strlen(pem), .flags = CURL_BLOB_COPY };
	blob.data = (void *)(uintptr_t)pem; /* copied, never written to */
	pg_http_set_ptr(x, option, &blob);
}

static void add_header(struct pg_http_xfer *x, const char *line)
{
	struct curl_slist *longer = curl_slist_append(x->headers, line);
	if (longer)
		x->headers = longer;
	else
		x->setup = CURLE_OUT_OF_MEMORY;
}

/* The proxy for messages: without the user and password that its URL may hold. */
static void name_proxy(struct pg_http_xfer *x, const char *proxy)
{
	const char *mark = strstr(proxy, "://"), *at = strrchr(proxy, '@');
	int scheme = mark && at ? (int)(mark + 3 - proxy) : 0;
	snprintf(x->proxy, sizeof(x->proxy), "%.*s%s", scheme, proxy, at ? at + 1 : proxy);
}

static int set_proxy(struct pg_http_xfer *x, const struct pg_http_peer *peer,
		     const struct pg_http_url *url)
{
	const char *asked = peer->proxy_url;
	if (!asked)
		asked = pg_http_env_proxy(url->tls, url->host, url->port, getenv);
	/* kubectl lets a SOCKS proxy resolve the name; libcurl calls that socks5h. */
	static const char socks[] = "socks5://";
	bool by_name = strncmp(asked, socks, sizeof(socks) - 1) == 0;
	const char *rest = asked + (by_name ? sizeof(socks) - 1 : 0);
	pg_auto_free char *proxy = pg_asprintf("%s%s", by_name ? "socks5h://" : "", rest);
	if (!proxy)
		return -ENOMEM;
	name_proxy(x, asked);
	pg_http_set_ptr(x, CURLOPT_PROXY, proxy);
	pg_http_set_ptr(x, CURLOPT_NOPROXY, "");
	return 0;
}

static void set_tls(struct pg_http_xfer *x, const struct pg_http_peer *peer)
{
	pg_http_set_long(x, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
	if (peer->insecure) {
		pg_http_set_long(x, CURLOPT_SSL_VERIFYPEER, 0);
		pg_http_set_long(x, CURLOPT_SSL_VERIFYHOST, 0);
		pg_http_set_long(x, CURLOPT_PROXY_SSL_VERIFYPEER, 0);
		pg_http_set_long(x, CURLOPT_PROXY_SSL_VERIFYHOST, 0);
	} else if (peer->ca_pem) {
		x->has_ca = true;
		/* This CA and no other, of the proxy too: as kubectl does it. */
		pg_http_set_ptr(x, CURLOPT_CAPATH, NULL);
		pg_http_set_ptr(x, CURLOPT_PROXY_CAPATH, NULL);
		set_pem(x, CURLOPT_CAINFO_BLOB, peer->ca_pem);
		set_pem(x, CURLOPT_PROXY_CAINFO_BLOB, peer->ca_pem);
	}
	if (peer->cert_pem && peer->key_pem) {
		set_pem(x, CURLOPT_SSLCERT_BLOB, peer->cert_pem);
		set_pem(x, CURLOPT_SSLKEY_BLOB, peer->key_pem);
	}
}

/* The URL to verify, and where it really is: the two differ under tls_server_name. */
static int set_url(struct pg_http_xfer *x, const struct pg_http_peer *peer,
		   const struct pg_http_url *url, const char *path)
{
	const char *scheme = url->tls ? "https" : "http";
	bool renamed = url->tls && peer->tls_server_name && peer->tls_server_name[0] != '\0';
	snprintf(x->origin, sizeof(x->origin), "%s://%s", scheme, url->target);
	if (renamed)
		x->url = pg_asprintf("%s://%s:%s%s%s", scheme, peer->tls_server_name, url->port,
				     url->prefix, path);
	else
		x->url = pg_asprintf("%s%s%s", x->origin, url->prefix, path);
	if (!x->url)
		return -ENOMEM;
	pg_http_set_ptr(x, CURLOPT_URL, x->url);
	if (!renamed)
		return 0;
	char line[sizeof(url->target) + sizeof("Host: ")];
	snprintf(line, sizeof(line), "::%s", url->target);
	x->connect_to = curl_slist_append(NULL, line);
	if (!x->connect_to)
		return -ENOMEM;
	pg_http_set_ptr(x, CURLOPT_CONNECT_TO, x->connect_to);
	snprintf(line, sizeof(line), "Host: %s", url->target);
	add_header(x, line);
	return 0;
}

/* CURLOPT_SOCKOPTFUNCTION: programs that we start (credential plugins, "-- CMD") must not keep our
 * connections open after we are gone. */
static int keep_from_children(void *ctx, curl_socket_t fd, curlsocktype purpose)
{
	(void)ctx;
	(void)purpose;
	return fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ? CURL_SOCKOPT_ERROR : CURL_SOCKOPT_OK;
}

static void set_common(struct pg_http_xfer *x)
{
	curl_easy_setopt(x->easy, CURLOPT_SOCKOPTFUNCTION, keep_from_children);
	curl_easy_setopt(x->easy, CURLOPT_PRIVATE, x);
	curl_easy_setopt(x->easy, CURLOPT_ERRORBUFFER, x->said);
	pg_http_set_ptr(x, CURLOPT_SHARE, x->http->share);
	pg_http_set_ptr(x, CURLOPT_USERAGENT, x->http->user_agent);
	pg_http_set_ptr(x, CURLOPT_PROTOCOLS_STR, "http,https");
	pg_http_set_long(x, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
	pg_http_set_long(x, CURLOPT_NOSIGNAL, 1);
	pg_http_set_long(x, CURLOPT_PATH_AS_IS, 1);
	pg_http_set_long(x, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1);
	pg_http_set_long(x, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
	pg_http_set_long(x, CURLOPT_TCP_KEEPALIVE, 1);
	pg_http_set_long(x, CURLOPT_TCP_KEEPIDLE, KEEPALIVE_S);
	pg_http_set_long(x, CURLOPT_TCP_KEEPINTVL, KEEPALIVE_S);
}

int pg_http_xfer_init(struct pg_http_xfer *x, struct pg_http *h, const struct pg_http_peer *peer,
		      const char *path, struct pg_err *err)
{
	struct pg_http_url url;
	assert(path[0] == '/');
	int rc = pg_http_url_parse(peer->base_url, &url, err);
	if (rc < 0)
		return rc;
	*x = (struct pg_http_xfer){ .http = h, .easy = curl_easy_init() };
	if (!x->easy)
		return pg_fail(err, -ENOMEM, "connect to %s", peer->base_url);
	h->transfers++;
	set_common(x);
	set_tls(x, peer);
	rc = set_proxy(x, peer, &url);
	if (rc == 0)
		rc = set_url(x, peer, &url, path);
	if (rc < 0) {
		pg_http_xfer_fini(x);
		return pg_fail(err, rc, "connect to %s", peer->base_url);
	}
	return 0;
}

int pg_http_xfer_request(struct pg_http_xfer *x, const struct pg_http_peer *peer,
			 const struct pg_http_request *rq, struct pg_err *err)
{
	add_header(x, "Accept: application/json, */*");
	add_header(x, "Expect:"); /* no waiting for "100 Continue" */
	for (const char *const *line = peer->headers; line && *line; line++)
		add_header(x, *line);
	if (rq->body) {
		pg_auto_free char *type = pg_asprintf("Content-Type: %s", rq->content_type);
		if (!type)
			return pg_fail(err, -ENOMEM, "ask %s", x->origin);
		add_header(x, type);
		pg_http_set_long(x, CURLOPT_POSTFIELDSIZE, (long)strlen(rq->body));
		pg_http_set_ptr(x, CURLOPT_POSTFIELDS, rq->body);
	}
	if (rq->body || strcmp(rq->method, "GET") != 0)
		pg_http_set_ptr(x, CURLOPT_CUSTOMREQUEST, rq->method);
	pg_http_set_ptr(x, CURLOPT_HTTPHEADER, x->headers);
	return 0;
}

int pg_http_xfer_start(struct pg_http_xfer *x, struct pg_err *err)
{
	if (x->setup != CURLE_OK) {
		x->result = x->setup;
		return pg_http_xfer_fail(x, err);
	}
	if (curl_multi_add_handle(x->http->multi, x->easy) != CURLM_OK)
		return pg_fail(err, -ENOMEM, "connect to %s", x->origin);
	x->started = true;
	return 0;
}

int pg_http_xfer_wait(struct pg_http_xfer *x, uint64_t deadline_ms, struct pg_err *err)
{
	int rc = pg_loop_wait(x->http->loop, &x->wake, deadline_ms);
	x->wake = false;
	if (rc == -ECANCELED)
		return pg_fail(err, rc, "interrupted.");
	if (rc == -ETIMEDOUT) {
		pg_fail(err, rc, "no answer from %s in time.", x->origin);
		return pg_hint(err, PG_CLUSTER, "the server is slow or the path to it is cut");
	}
	return rc;
}

void pg_http_xfer_fini(struct pg_http_xfer *x)
{
	if (!x->easy)
		return;
	if (x->started)
		curl_multi_remove_handle(x->http->multi, x->easy);
	curl_easy_cleanup(x->easy);
	curl_slist_free_all(x->headers);
	curl_slist_free_all(x->connect_to);
	free(x->url);
	x->http->transfers--;
	x->easy = NULL;
}
