#include "proto/base/log.h"

#include <stdarg.h>

#include "proto/base/err.h"

void pg_log(const struct pg_log *log, enum pg_level level, const char *fmt, ...)
{
	if (!log || level > log->level)
		return;
	char line[1024];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	pg_sanitize(line);
	if (log->take && log->take(log->ctx, level, line))
		return;
	if (log->before)
		log->before(log->ctx);
	fprintf(log->to, "%s%s\n", log->prefix, line);
	fflush(log->to);
}

uint32_t pg_quota_pass(struct pg_quota *q, uint32_t burst, uint64_t period_ms, uint64_t now_ms)
{
	if (now_ms - q->period_start_ms >= period_ms) {
		q->period_start_ms = now_ms;
		q->passed = 0;
	}
	if (q->passed >= burst) {
		if (q->dropped < UINT32_MAX - 1) /* so that 1 + dropped is no 0 */
			q->dropped++;
		return 0;
	}
	uint32_t missed = q->dropped;
	q->passed++;
	q->dropped = 0;
	return 1 + missed;
}
