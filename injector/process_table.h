#pragma once
#include <jansson.h>

/* The table of `ps`, from what an agent answers to GET /v1/processes. The answer is any JSON that
 * an agent has thought up: what is not of its form is left out or shown as 0 and "", nothing in a
 * line steers a terminal, and the work grows with the size of the answer and no faster. */

/* Gets the lines one by one; each is borrowed for the call. */
typedef void pg_process_line(void *ctx, const char *line);

/* 0, or -ENOMEM before the first line. */
int pg_process_table(const json_t *root, pg_process_line *print, void *ctx);
