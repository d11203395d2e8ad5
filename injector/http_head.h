#pragma once
#include "proto/base/buf.h"

/* Reading an HTTP/1.1 answer that libcurl does not read for us: the head of an upgrade, and the
 * body of its refusal. Pure. pg_http_head_value() of http.h belongs to it. */

/* Where the head ends in `in` (after its empty line), or NULL: not all there. */
const char *pg_http_head_end(const struct pg_buf *in);

/* "HTTP/1.1 101 Switching Protocols": 101; 0 for anything that is no status line. */
int pg_http_head_status(const struct pg_buf *head);

/* Joins the chunks of RFC 9112 7.1 in place; stops quietly where they end or make no sense. */
void pg_http_join_chunks(struct pg_buf *body);
