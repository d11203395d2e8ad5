#include "injector/leash.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "injector/lines.h"
#include "proto/base/mem.h"

struct pg_leash {
	uv_poll_t poll;
	struct pg_loop *loop;
	struct pg_output *out;
	struct pg_credential_source credentials;
	struct pg_lines lines;
	bool has_news; /* since the last question */
	int code;      /* what the newest line said: as pg_credential_parse() */
	struct pg_err why;
	struct pg_exec_answer answer; /* of number `number`; 0: none */
	unsigned number;
};

/* An older answer than the one that we have says nothing. */
static void on_line(void *ctx, const char *text, size_t size)
{
	struct pg_leash *l = ctx;
	struct pg_exec_answer answer;
	unsigned number;
	int code = pg_credential_parse(text, size, &answer, &number, &l->why);
	if (code == 0 && number <= l->number) {
		pg_exec_answer_fini(&answer);
		return;
	}
	l->code = code;
	l->has_news = true;
	if (code < 0)
		return;
	pg_exec_answer_fini(&l->answer);
	l->answer = answer;
	l->number = number;
}

static void on_input(uv_poll_t *poll, int status, int events)
{
	struct pg_leash *l = poll->data;
	char *at;
	size_t room = pg_lines_room(&l->lines, &at);
	(void)events;
	ssize_t n = status < 0 ? 0 : read(STDIN_FILENO, at, room);
	if (n > 0) {
		pg_lines_added(&l->lines, (size_t)n, on_line, l);
		return;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	uv_poll_stop(poll);
	raise(SIGTERM);
}

static void on_closed(uv_handle_t *handle)
{
	struct pg_leash *l = handle->data;
	pg_exec_answer_fini(&l->answer);
	explicit_bzero(&l->lines, sizeof(l->lines));
	free(l);
}

/* A NULL is no text to copy. */
static int copy(const char *text, char **out)
{
	*out = text ? pg_strdup(text) : NULL;
	return text && !*out ? -ENOMEM : 0;
}

static int hand_over(const struct pg_leash *l, struct pg_exec_answer *out, struct pg_err *err)
{
	struct pg_exec_answer a = { .expires_s = l->answer.expires_s };
	if (copy(l->answer.token, &a.token) < 0 || copy(l->answer.cert_pem, &a.cert_pem) < 0 ||
	    copy(l->answer.key_pem, &a.key_pem) < 0) {
		pg_exec_answer_fini(&a);
		return pg_fail(err, -ENOMEM, "prepare credentials");
	}
	*out = a;
	return 0;
}

/* What has come already may do; else the one that started us is asked, and may have to ask a
 * person: there is no deadline but a signal. */
static int ask(void *ctx, unsigned after, struct pg_exec_answer *out, unsigned *number_out,
	       struct pg_err *err)
{
	struct pg_leash *l = ctx;
	if (l->number <= after) {
		l->has_news = false;
		pg_output_event(l->out, "credential", "{s:I}", "after", (json_int_t)after);
		int rc = pg_loop_wait(l->loop, &l->has_news, UINT64_MAX);
		if (rc < 0)
			return pg_fail(err, rc, "wait for credentials");
	}
	if (l->number <= after) {
		if (err)
			*err = l->why;
		return l->code;
	}
	*number_out = l->number;
	return hand_over(l, out, err);
}

struct pg_leash *pg_leash_new(struct pg_loop *loop, struct pg_output *out, struct pg_err *err)
{
	struct pg_leash *leash = pg_calloc(1, sizeof(*leash));
	if (!leash) {
		pg_fail(err, -ENOMEM, "watch the standard input");
		return NULL;
	}
	int rc = uv_poll_init(pg_loop_uv(loop), &leash->poll, STDIN_FILENO);
	if (rc < 0) {
		free(leash);
		pg_fail(err, rc, "watch the standard input");
		return NULL;
	}
	leash->loop = loop;
	leash->out = out;
	leash->credentials = (struct pg_credential_source){ ask, leash };
	leash->poll.data = leash;
	uv_poll_start(&leash->poll, UV_READABLE, on_input);
	return leash;
}

const struct pg_credential_source *pg_leash_credentials(const struct pg_leash *leash)
{
	return &leash->credentials;
}

void pg_leash_free(struct pg_leash *leash)
{
	if (leash)
		uv_close((uv_handle_t *)&leash->poll, on_closed);
}
