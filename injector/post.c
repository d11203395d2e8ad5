#include "injector/post.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "injector/kube_json.h"
#include "injector/told.h"
#include "proto/base/mem.h"

enum {
	OWN_WORDS = 5,   /* that a member gets besides ours, and the NULL */
	AGAIN_MS = 5000, /* after a failure that may pass; doubles */
	AGAIN_DOUBLINGS = 4,
	WORDS_A_SECOND = 50, /* lines of its standard error that are passed on */
};

struct pg_post *pg_post_new(const struct pg_post_config *config, const struct pg_pod_change *pod)
{
	struct pg_post *p = pg_calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->config = config;
	memcpy(p->name, pod->name, sizeof(p->name));
	memcpy(p->uid, pod->uid, sizeof(p->uid));
	return p;
}

static void say_port(struct pg_post *p, const json_t *event, const json_t *one)
{
	struct pg_output *out = &p->config->app->out;
	const char *word = pg_json_true(one, "outgoing") ? "outgoing " : "";
	int port = (int)pg_json_int(one, "port", 0);
	if (!json_object_get(one, "held_by"))
		pg_output_info(out, "%sport %d of pod '%s' now reaches %s (%s, %s)", word, port,
			       p->name, pg_json_str(one, "local"), pg_json_str(event, "mechanism"),
			       pg_json_str(event, "transport"));
	else if (out->format == PG_FORMAT_TEXT) /* else the event "held" says it */
		pg_output_warn(out,
			       "%sport %d of pod '%s' is redirected by %s: it is tried again until "
			       "it is free; --take-over takes it",
			       word, port, p->name, pg_json_str(one, "held_by"));
}

static void say_ports(struct pg_post *p, const json_t *event)
{
	const json_t *redirects = json_object_get(event, "redirects");
	for (size_t i = 0; i < json_array_size(redirects); i++)
		say_port(p, event, json_array_get(redirects, i));
}

static void take_status(struct pg_post *p, const json_t *event)
{
	p->sums.open = pg_told_count(event, "open");
	p->sums.total = p->before.total + pg_told_count(event, "total");
	p->sums.bytes_in = p->before.bytes_in + pg_told_count(event, "bytes_in");
	p->sums.bytes_out = p->before.bytes_out + pg_told_count(event, "bytes_out");
}

static void take_counts(struct pg_post *p, const json_t *event)
{
	p->sums.laptop = p->before.laptop + pg_told_count(event, "laptop");
	p->sums.app = p->before.app + pg_told_count(event, "app");
	p->sums.probes = p->before.probes + pg_told_count(event, "probes");
	p->sums.refused = p->before.refused + pg_told_count(event, "refused");
}

static void take_end(struct pg_post *p, const json_t *event)
{
	take_counts(p, event); /* since the last status there may have been more */
	p->sums.total = p->before.total + pg_told_count(event, "connections");
}

/* The same event, for programs, with the name of its pod. */
static void pass_on(struct pg_post *p, const json_t *event)
{
	json_t *copy = json_copy((json_t *)event);
	json_object_set_new(copy, "pod", json_string(p->name));
	pg_output_json(&p->config->app->out, copy);
}

static void take_ready(struct pg_post *p, const json_t *event)
{
	p->is_up = true;
	p->failures = 0;
	say_ports(p, event);
}

static void warn(struct pg_post *p, const char *text)
{
	struct pg_output *out = &p->config->app->out;
	if (out->format == PG_FORMAT_TEXT) /* else the event says it */
		pg_output_warn(out, "pod '%s': %s", p->name, text);
}

/* The first of many says it for all; how many they are is told a little later. */
static void warn_once(struct pg_post *p, const char *text)
{
	if (pg_news_hear(p->config->news, text, pg_loop_now_ms(p->config->app->loop)))
		warn(p, text);
}

static void say_lost(struct pg_post *p, const json_t *event)
{
	char text[700];
	p->is_up = false;
	snprintf(text, sizeof(text), "link lost: %s; the app answers until it is back",
		 pg_json_str(event, "message"));
	if (!p->is_gone)
		warn(p, text);
}

static void say_waiting(struct pg_post *p, const json_t *event)
{
	pg_output_info(&p->config->app->out, "pod '%s': waiting for %s (%lld s)", p->name,
		       pg_json_str(event, "for"), (long long)pg_told_count(event, "seconds"));
}

static void say_taken(struct pg_post *p, const json_t *event)
{
	char text[300];
	snprintf(text, sizeof(text), "%sport %lld was taken over by %s",
		 pg_json_true(event, "outgoing") ? "outgoing " : "",
		 (long long)pg_told_count(event, "port"), pg_json_str(event, "by"));
	warn(p, text);
}

static void say_freed(struct pg_post *p, const json_t *event)
{
	pg_output_info(&p->config->app->out, "%sport %lld of pod '%s' is free, and redirected now",
		       pg_json_true(event, "outgoing") ? "outgoing " : "",
		       (long long)pg_told_count(event, "port"), p->name);
}

static void take_event(struct pg_post *p, const struct pg_told *told)
{
	const json_t *event = told->object;
	switch (told->kind) {
	case PG_TOLD_READY:
		take_ready(p, event);
		break;
	case PG_TOLD_LOST:
		say_lost(p, event);
		break;
	case PG_TOLD_COUNTS:
		take_counts(p, event);
		break;
	case PG_TOLD_ENDED:
		take_end(p, event);
		break;
	case PG_TOLD_WARNING:
		warn_once(p, pg_json_str(event, "message"));
		break;
	case PG_TOLD_WAITING:
		say_waiting(p, event);
		break;
	case PG_TOLD_TAKEN:
		say_taken(p, event);
		break;
	case PG_TOLD_FREED:
		say_freed(p, event);
		break;
	case PG_TOLD_STATUS: /* ours alone */
	case PG_TOLD_CREDENTIAL:
	case PG_TOLD_ERROR:
	case PG_TOLD_OTHER:
		break;
	}
}

static void on_told(void *ctx, const char *line, size_t size)
{
	struct pg_post *p = ctx;
	struct pg_told told;
	if (pg_told_parse(line, size, &told) < 0)
		return;
	if (told.kind == PG_TOLD_ERROR) {
		json_decref(p->error);
		p->error = json_incref(told.object);
	} else if (told.kind == PG_TOLD_STATUS) {
		take_status(p, told.object);
	} else if (told.kind == PG_TOLD_CREDENTIAL) {
		json_int_t after = pg_told_count(told.object, "after");
		p->credential = after < UINT_MAX ? (unsigned)after : UINT_MAX;
		p->wants_credential = true;
	} else {
		take_event(p, &told);
		pass_on(p, told.object);
	}
	json_decref(told.object);
}

/* A line of its standard error: with -v what it does, else what went wrong beyond its own words. */
static void say_words(struct pg_post *p, const char *line)
{
	struct pg_output *out = &p->config->app->out;
	char text[1024];
	snprintf(text, sizeof(text), "%s", line);
	pg_sanitize(text);
	if (out->format == PG_FORMAT_JSON && out->log.level < PG_DEBUG)
		pg_output_event(out, "warning", "{s:s, s:s}", "message", text, "pod", p->name);
	else
		pg_log(&out->log, out->log.level < PG_DEBUG ? PG_WARN : PG_DEBUG, "pod '%s': %s",
		       p->name, text);
}

static void on_words(void *ctx, const char *line, size_t size)
{
	struct pg_post *p = ctx;
	char untold[64];
	uint32_t pass = pg_quota_pass(&p->words, WORDS_A_SECOND, 1000,
				      pg_loop_now_ms(p->config->app->loop));
	if (pass == 0 || size == 0)
		return;
	snprintf(untold, sizeof(untold), "(%u lines left out)", pass - 1);
	if (pass > 1)
		say_words(p, untold);
	say_words(p, line);
}

/* Whether a failure may pass by itself: the cluster's, the link's and our own may, a person's
 * mistake does not. */
static bool may_pass(const json_t *error)
{
	static const enum pg_whose passing[] = { PG_CLUSTER, PG_LINK, PG_US };
	for (size_t i = 0; i < PG_LEN(passing); i++)
		if (strcmp(pg_json_str(error, "class"), pg_whose_name(passing[i])) == 0)
			return true;
	return false;
}

/* For one that was killed or has crashed, and could not say so itself, or that somebody else has
 * told to end. */
static json_t *last_words(int status)
{
	char text[64] = "its podgraft was told to end";
	if (status != 0)
		snprintf(text, sizeof(text), "its podgraft was killed or has crashed (exit %d)",
			 status);
	return json_pack("{s:s, s:s, s:s, s:i}", "message", text, "hint", "", "class",
			 pg_whose_name(PG_US), "code", status);
}

static void count_failure(struct pg_post *p, bool is_given_up)
{
	unsigned doublings = p->failures < AGAIN_DOUBLINGS ? p->failures : AGAIN_DOUBLINGS;
	p->failures++;
	p->is_given_up = is_given_up;
	p->again_ms = pg_loop_now_ms(p->config->app->loop) + ((uint64_t)AGAIN_MS << doublings);
}

static void on_ended(void *ctx, int status)
{
	struct pg_post *p = ctx;
	pg_member_free(p->member);
	p->member = NULL;
	p->is_up = p->wants_credential = false;
	p->sums.open = 0;
	p->before = p->sums;
	if (!p->error)
		p->error = last_words(status);
	count_failure(p, status == 0 || !may_pass(p->error));
	p->config->ended(p->config->ctx, p);
}

/* Our own words up to "--", and which pod it is. A later option beats an earlier one. */
static int start(struct pg_post *p, struct pg_err *err)
{
	static const struct pg_member_events events = { on_told, on_words, on_ended };
	char **words = p->config->app->argv;
	size_t n = 0;
	while (words[n] && strcmp(words[n], "--") != 0)
		n++;
	pg_auto_free const char **argv = pg_calloc(n + OWN_WORDS, sizeof(*argv));
	if (!argv)
		return pg_fail(err, -ENOMEM, "redirect pod '%s'", p->name);
	for (size_t i = 0; i < n; i++)
		argv[i] = words[i];
	argv[n++] = "--only";
	argv[n++] = p->name;
	argv[n++] = "--output";
	argv[n++] = "json";
	return pg_member_start(p->config->app->loop, argv, &events, p, &p->member, err);
}

int pg_post_start(struct pg_post *p)
{
	struct pg_err err;
	json_decref(p->error);
	p->error = NULL;
	int rc = start(p, &err);
	if (rc == 0)
		return 0;
	p->error = json_pack("{s:s, s:s, s:s, s:i}", "message", err.what, "hint", "", "class",
			     pg_whose_name(PG_US), "code", pg_err_exit(&err));
	count_failure(p, false);
	return rc;
}

void pg_post_signal(struct pg_post *p, int signo)
{
	if (p->member)
		pg_member_signal(p->member, signo);
}

void pg_post_give_credential(struct pg_post *p, const char *line, size_t size)
{
	p->wants_credential = false;
	if (p->member)
		pg_member_tell(p->member, line, size);
}

void pg_post_free(struct pg_post *p)
{
	assert(!p->member);
	json_decref(p->error);
	free(p);
}

void pg_post_failed(struct pg_post *p)
{
	struct pg_output *out = &p->config->app->out;
	const char *hint = pg_json_str(p->error, "hint");
	if (out->format == PG_FORMAT_TEXT)
		pg_output_warn(out, "pod '%s' is not redirected: %s%s%s%s%s", p->name,
			       pg_json_str(p->error, "message"), hint[0] ? " (" : "", hint,
			       hint[0] ? ")" : "", p->is_given_up ? "" : "; trying again");
	pg_output_event(out, "failed", "{s:s, s:O?, s:b}", "pod", p->name, "error", p->error,
			"again", !p->is_given_up);
}
