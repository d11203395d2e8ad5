#include "proto/base/err.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/utf8.h"

static const char *const whose_names[] = {
	[PG_US] = "internal",   [PG_USER] = "usage", [PG_CLUSTER] = "cluster",
	[PG_TARGET] = "target", [PG_LINK] = "link",  [PG_LOCAL] = "local",
};
static_assert(PG_LEN(whose_names) == PG_WHOSE_COUNT, "one name per class");

/* True when the message itself says what went wrong, so that strerror() would only add noise. */
static bool speaks_for_itself(int code, const char *fmt)
{
	size_t n = strlen(fmt);
	return code == -EPROTO || code == -EINVAL || (n > 0 && fmt[n - 1] == '.');
}

static void drop_full_stop(char *text)
{
	size_t n = strlen(text);
	if (n > 0 && text[n - 1] == '.')
		text[n - 1] = '\0';
}

int pg_fail(struct pg_err *err, int code, const char *fmt, ...)
{
	assert(code < 0);
	if (!err)
		return code;
	*err = (struct pg_err){ .code = code, .whose = PG_US };
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(err->what, sizeof(err->what), fmt, ap);
	va_end(ap);
	if (speaks_for_itself(code, fmt)) {
		drop_full_stop(err->what);
		return code;
	}
	size_t n = strlen(err->what);
	snprintf(err->what + n, sizeof(err->what) - n, ": %s", strerror(-code));
	return code;
}

int pg_wrap(struct pg_err *err, const char *fmt, ...)
{
	if (!err)
		return -EIO;
	char inner[sizeof(err->what)];
	memcpy(inner, err->what, sizeof(inner));
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(err->what, sizeof(err->what), fmt, ap);
	va_end(ap);
	size_t n = strlen(err->what);
	snprintf(err->what + n, sizeof(err->what) - n, ": %s", inner);
	return err->code;
}

int pg_blame(struct pg_err *err, enum pg_whose whose)
{
	if (!err)
		return -EIO;
	err->whose = (int)whose;
	return err->code;
}

int pg_hint(struct pg_err *err, enum pg_whose whose, const char *fmt, ...)
{
	if (!err)
		return -EIO;
	err->whose = (int)whose;
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(err->hint, sizeof(err->hint), fmt, ap);
	va_end(ap);
	return err->code;
}

int pg_err_exit(const struct pg_err *err)
{
	assert(err->whose >= 0 && err->whose < PG_WHOSE_COUNT);
	return err->code == 0 ? 0 : 1 + err->whose;
}

const char *pg_whose_name(enum pg_whose whose)
{
	assert(whose < PG_WHOSE_COUNT);
	return whose_names[whose];
}

void pg_sanitize(char *text)
{
	uint8_t *p = (uint8_t *)text;
	size_t left = strlen(text);
	while (left > 0) {
		size_t n = pg_utf8_length(p, left);
		size_t step = n > 0 ? n : 1;
		if (n == 0 || (pg_utf8_is_control(p, n) && *p != '\t'))
			memset(p, '?', step);
		p += step;
		left -= step;
	}
}
