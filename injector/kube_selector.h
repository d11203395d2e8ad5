#pragma once
#include <jansson.h>

#include "proto/base/buf.h"
#include "proto/base/err.h"

/* Selectors of workloads and Services as the text of a labelSelector parameter. Pure. */

/* Adds the text of a label selector in object form (matchLabels, matchExpressions), not yet
 * percent-encoded; an empty one selects everything and adds nothing. -ENOENT: null selects nothing;
 * -EPROTO: an operator that we do not know; -ENOBUFS, -ENOMEM. */
int pg_kube_selector_object(const json_t *selector, struct pg_buf *out);

/* The same for a Service's or ReplicationController's map of labels, where an empty one selects
 * nothing: -ENOENT. */
int pg_kube_selector_map(const json_t *selector, struct pg_buf *out);
