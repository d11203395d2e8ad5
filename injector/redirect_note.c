#include "injector/redirect_note.h"

#include <stdio.h>

#include "proto/base/buf.h"

enum { LIST_MAX = 170 }; /* of one direction's ports; what is longer ends in "..." */

/* Adds ", 8080" and the like for one direction: how many. */
static size_t add_ports(struct pg_buf *b, const struct pg_wants *wants, bool outgoing)
{
	size_t n = 0;
	for (size_t i = 0; i < wants->count; i++) {
		if (wants->items[i].outgoing != outgoing)
			continue;
		if (b->len > LIST_MAX) {
			pg_buf_add_str(b, ", ...");
			break;
		}
		pg_buf_addf(b, "%s%u", n++ > 0 ? ", " : "", wants->items[i].pod_port);
	}
	return n;
}

void pg_redirect_note_text(const struct pg_wants *wants, const char *owner, bool over,
			   char out[PG_NOTE_MAX])
{
	struct pg_buf in = PG_BUF_INIT(PG_NOTE_MAX), others = PG_BUF_INIT(PG_NOTE_MAX);
	size_t ins = add_ports(&in, wants, false), outs = add_ports(&others, wants, true);
	snprintf(out, PG_NOTE_MAX, "%s redirects %s%s%s%s%s%s%s", owner,
		 ins == 0  ? ""
		 : ins > 1 ? "ports "
			   : "port ",
		 pg_buf_str(&in), ins > 0 && outs > 0 ? " and " : "",
		 outs == 0  ? ""
		 : outs > 1 ? "the pod's connections to ports "
			    : "the pod's connections to port ",
		 pg_buf_str(&others), outs > 0 ? " of others" : "", over ? " no longer" : "");
	pg_buf_fini(&in);
	pg_buf_fini(&others);
}

bool pg_redirect_note(struct pg_pod_job *job, const struct pg_wants *wants, const char *owner,
		      bool over)
{
	char text[PG_NOTE_MAX];
	struct pg_err err = { .code = 0 };
	pg_redirect_note_text(wants, owner, over, text);
	if (job->platform->ops->note(job->platform, &job->pod,
				     over ? "PodgraftStopped" : "PodgraftRedirect", text,
				     &err) == 0)
		return true;
	pg_output_warn(&job->app->out, "%s%s%s%s", err.what, err.hint[0] ? " (" : "", err.hint,
		       err.hint[0] ? ")" : "");
	return false;
}
