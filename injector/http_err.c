#include <errno.h>
#include <string.h>

#include "injector/http_priv.h"

/* libcurl's verdicts in our words: what failed, whose it is, what to look at. */

static int fail_connect(const struct pg_http_xfer *x, struct pg_err *err)
{
	long os_errno = 0;
	curl_easy_getinfo(x->easy, CURLINFO_OS_ERRNO, &os_errno);
	int code = os_errno > 0 ? -(int)os_errno : -EHOSTUNREACH;
	if (x->proxy[0] != '\0') {
		pg_fail(err, code, "connect to %s through the proxy %s", x->origin, x->proxy);
		return pg_hint(err, PG_CLUSTER,
			       "check the proxy: proxy-url of the kubeconfig, or HTTPS_PROXY");
	}
	pg_fail(err, code, "connect to %s", x->origin);
	if (code == -ECONNREFUSED)
		return pg_hint(
			err, PG_CLUSTER,
			"nothing listens there: is the server address right, and the cluster "
			"running?");
	return pg_hint(err, PG_CLUSTER, "is the server address right, and its network reachable?");
}

static const char *hint_verify(const struct pg_http_xfer *x)
{
	if (strstr(x->said, "subject name"))
		return "the certificate is for another name: check the server address, or name it "
		       "with --tls-server-name";
	if (strstr(x->said, "expired") || strstr(x->said, "not yet valid"))
		return "check this machine's clock; else the server's certificate has to be "
		       "renewed";
	if (!x->has_ca)
		return "no authority that this system knows has signed it: the kubeconfig needs "
		       "the "
		       "cluster's certificate-authority";
	return "the kubeconfig's certificate-authority is not the one that signed the server's "
	       "certificate: is the kubeconfig of this cluster and current?";
}

static int fail_verify(const struct pg_http_xfer *x, struct pg_err *err)
{
	pg_fail(err, -EKEYREJECTED, "do not trust %s: %s.", x->origin,
		x->said[0] != '\0' ? x->said : "its certificate is not valid");
	return pg_hint(err, PG_CLUSTER, "%s", hint_verify(x));
}

static int fail_timeout(const struct pg_http_xfer *x, struct pg_err *err)
{
	double connected_s = 0;
	curl_easy_getinfo(x->easy, CURLINFO_PRETRANSFER_TIME, &connected_s);
	if (connected_s > 0) {
		pg_fail(err, -ETIMEDOUT, "no answer from %s in time.", x->origin);
		return pg_hint(err, PG_CLUSTER, "the server is slow or the path to it is cut");
	}
	pg_fail(err, -ETIMEDOUT, "connect to %s", x->origin);
	return pg_hint(err, PG_CLUSTER,
		       "is the server address right, and a VPN needed to reach it?");
}

/* The proxy was reached, and does not let us through. */
static int fail_proxy(const struct pg_http_xfer *x, long status, struct pg_err *err)
{
	pg_fail(err, status == 407 ? -EACCES : -EHOSTUNREACH,
		"the proxy %s answers %ld to a connection to %s.", x->proxy, status, x->origin);
	if (status == 407)
		return pg_hint(err, PG_CLUSTER,
			       "it wants a user and a password: put them into proxy-url of the "
			       "kubeconfig, or HTTPS_PROXY, as http://USER:PASSWORD@HOST:PORT");
	return pg_hint(err, PG_CLUSTER,
		       "it does not reach or not allow this server: check proxy-url of the "
		       "kubeconfig, or HTTPS_PROXY and NO_PROXY");
}

struct verdict {
	CURLcode curl;
	int code;         /* negative errno */
	const char *what; /* before the server's address */
	const char *hint;
};

static const struct verdict verdicts[] = {
	{ CURLE_COULDNT_RESOLVE_HOST, -EHOSTUNREACH, "resolve the name of",
	  "no such host name: is the server address right, and a VPN needed to reach it?" },
	{ CURLE_COULDNT_RESOLVE_PROXY, -EHOSTUNREACH, "resolve the proxy's name on the way to",
	  "check the proxy: proxy-url of the kubeconfig, or HTTPS_PROXY" },
	{ CURLE_PROXY, -EPROTO, "pass the proxy on the way to",
	  "check the proxy: proxy-url of the kubeconfig, or HTTPS_PROXY" },
	{ CURLE_SSL_CONNECT_ERROR, -EPROTO, "agree on TLS with",
	  "is this an https server, and the port right? It may also want a client certificate" },
	{ CURLE_SSL_CERTPROBLEM, -EKEYREJECTED, "use the client certificate for",
	  "client-certificate and client-key of the kubeconfig must be PEM and belong together" },
	{ CURLE_SSL_CACERT_BADFILE, -EKEYREJECTED, "use the certificate authority for",
	  "certificate-authority of the kubeconfig must hold certificates in PEM" },
	{ CURLE_GOT_NOTHING, -ECONNRESET, "get an answer from",
	  "it closed the connection: a server that stops, or no API server" },
	{ CURLE_RECV_ERROR, -ECONNRESET, "read from", "the connection broke; try again" },
	{ CURLE_SEND_ERROR, -ECONNRESET, "write to", "the connection broke; try again" },
	{ CURLE_PARTIAL_FILE, -ECONNRESET, "read all of the answer of",
	  "the connection broke; try again" },
	{ CURLE_WEIRD_SERVER_REPLY, -EPROTO, "understand",
	  "this does not speak HTTP: is the server address right?" },
	{ CURLE_UNSUPPORTED_PROTOCOL, -EPROTO, "understand",
	  "this does not speak HTTP/1.1: is the server address right?" },
	{ CURLE_URL_MALFORMAT, -EINVAL, "make sense of the address of",
	  "check server and tls-server-name in the kubeconfig" },
};

/* Failures in which libcurl's own sentence says more than an errno's text. */
static bool says_more(const struct verdict *v)
{
	return v->code != -ECONNRESET;
}

int pg_http_xfer_fail(const struct pg_http_xfer *x, struct pg_err *err)
{
	long connect_status = 0;
	curl_easy_getinfo(x->easy, CURLINFO_HTTP_CONNECTCODE, &connect_status);
	if (x->proxy[0] != '\0' && connect_status >= 300)
		return fail_proxy(x, connect_status, err);
	switch (x->result) {
	case CURLE_OUT_OF_MEMORY:
		return pg_fail(err, -ENOMEM, "connect to %s", x->origin);
	case CURLE_COULDNT_CONNECT:
		return fail_connect(x, err);
	case CURLE_PEER_FAILED_VERIFICATION:
		return fail_verify(x, err);
	case CURLE_OPERATION_TIMEDOUT:
		return fail_timeout(x, err);
	default:
		break;
	}
	const char *said = x->said[0] != '\0' ? x->said : curl_easy_strerror(x->result);
	for (size_t i = 0; i < PG_LEN(verdicts); i++) {
		const struct verdict *v = &verdicts[i];
		if (v->curl != x->result)
			continue;
		if (says_more(v))
			pg_fail(err, v->code, "%s %s: %s.", v->what, x->origin, said);
		else
			pg_fail(err, v->code, "%s %s", v->what, x->origin);
		return pg_hint(err, PG_CLUSTER, "%s", v->hint);
	}
	pg_fail(err, -EIO, "ask %s: %s.", x->origin, said);
	return pg_hint(err, PG_CLUSTER, "check the server address in the kubeconfig");
}
