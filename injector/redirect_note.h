#pragma once
#include "injector/pod_job.h"
#include "injector/wants.h"

/* What --event leaves on the pod: who redirects what, for whoever looks at it with kubectl. */

enum { PG_NOTE_MAX = 512 };

/* "ann@laptop redirects ports 8080, 9090 and the pod's connections to port 5432 of others"; with
 * `over`, "... no longer". Pure. */
void pg_redirect_note_text(const struct pg_wants *wants, const char *owner, bool over,
			   char out[PG_NOTE_MAX]);

/* Leaves it. False, with a warning, when that is not allowed or fails. */
bool pg_redirect_note(struct pg_pod_job *job, const struct pg_wants *wants, const char *owner,
		      bool over);
