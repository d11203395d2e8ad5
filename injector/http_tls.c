#include <openssl/ssl.h>
#include <string.h>

#include "injector/http_priv.h"

/* Of one read of the socket: four full records. */
enum { READ_BYTES = 64 << 10 };

/* CURLOPT_SSL_CTX_FUNCTION */
static CURLcode read_ahead(CURL *easy, void *ssl_ctx, void *ctx)
{
	(void)easy;
	(void)ctx;
	SSL_CTX_set_read_ahead(ssl_ctx, 1);
	SSL_CTX_set_default_read_buffer_len(ssl_ctx, READ_BYTES);
	return CURLE_OK;
}

void pg_http_read_ahead(struct pg_http_xfer *x)
{
	const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);
	static const char openssl[] = "OpenSSL/";
	if (info->ssl_version && strncmp(info->ssl_version, openssl, sizeof(openssl) - 1) == 0)
		curl_easy_setopt(x->easy, CURLOPT_SSL_CTX_FUNCTION, read_ahead);
}

bool pg_http_tls_holds(const struct pg_http_xfer *x)
{
	const struct curl_tlssessioninfo *tls = NULL;
	curl_easy_getinfo(x->easy, CURLINFO_TLS_SSL_PTR, &tls);
	bool tells = tls && tls->backend == CURLSSLBACKEND_OPENSSL && tls->internals;
	return !tells || SSL_has_pending(tls->internals) == 1;
}
