#include "proto/base/err.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const whose_names[] = {
	[PG_US] = "internal",   [PG_USER] = "usage", [PG_CLUSTER] = "cluster",
	[PG_TARGET] = "target", [PG_LINK] = "link",  [PG_LOCAL] = "local",
};
static_assert(PG_LEN(whose_names) == PG_WHOSE_COUNT, "one name per class");

/* True when the message itself says what went wrong, so that strerror() would only add noise. */
static int speaks_for_itself(int code, const char *what)
{
	size_t n = strlen(what);
	return code == -EPROTO || code == -EINVAL || (n > 0 && what[n - 1] == '.');
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
	size_t n = strlen(err->what);
	if (speaks_for_itself(code, err->what)) {
		if (n > 0 && err->what[n - 1] == '.')
			err->what[n - 1] = '\0';
		return code;
	}
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

/* Bytes of the UTF-8 sequence at `s`, 0 when it is none: RFC 3629 section 4, less strictly on
 * surrogates, which no terminal acts on. */
static size_t utf8_length(const unsigned char *s)
{
	size_t n = s[0] < 0x80                   ? 1
		   : s[0] >= 0xc2 && s[0] < 0xe0 ? 2
		   : s[0] >= 0xe0 && s[0] < 0xf0 ? 3
		   : s[0] >= 0xf0 && s[0] < 0xf5 ? 4
						 : 0;
	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

void pg_sanitize(char *text)
{
	unsigned char *s = (unsigned char *)text;
	while (*s) {
		size_t n = utf8_length(s);
		int bad = n == 0 || (n == 1 && ((*s < 0x20 && *s != '\t') || *s == 0x7f)) ||
			  (n == 2 && s[0] == 0xc2 && s[1] < 0xa0);
		if (n == 0)
			n = 1;
		if (bad)
			memset(s, '?', n);
		s += n;
	}
}
