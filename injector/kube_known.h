#pragma once
#include <jansson.h>
#include <stdbool.h>

/* What a reader of a collection of pods knows of it: which pods there are, and in which version. A
 * watch tells of what changes; a complete list tells of pods that are gone only by leaving them
 * out, and that is found here. Pure. */

/* NULL: out of memory. A JSON object, ended with json_decref(). */
json_t *pg_kube_known_new(void);

/* A watch has told of `pod`: that it is so, or gone. */
void pg_kube_known_hear(json_t *known, const json_t *pod, bool is_gone);

/* Takes a complete list in: fills `changed`, an array, with the pods that are new or have changed,
 * and `gone`, another one, with what was known of those that are not in the list: their name and
 * uid under "metadata". True when there is any. An element without a uid is passed over. */
bool pg_kube_known_list(json_t *known, const json_t *items, json_t *changed, json_t *gone);
