#include "injector/rfc3339.h"

#include <errno.h>
#include <string.h>

#include "proto/base/num.h"

/* `n` digits at *text, within lo..hi, then `after` unless that is 0. Moves *text past them. */
static bool take(const char **text, size_t n, uint64_t lo, uint64_t hi, char after, int64_t *out)
{
	uint64_t v = 0;
	if (strnlen(*text, n) < n || pg_parse_u64n(*text, n, lo, hi, &v) < 0)
		return false;
	*text += n;
	if (after && *(*text)++ != after)
		return false;
	*out = (int64_t)v;
	return true;
}

/* Days from 1970-01-01 to a date of the Gregorian calendar. Months are counted from March, so
 * that the leap day is the last of a year. */
static int64_t days(int64_t year, int64_t month, int64_t day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t m = month <= 2 ? month + 9 : month - 3;
	return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 719469;
}

static int64_t days_in_month(int64_t year, int64_t month)
{
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	if (month == 2)
		return leap ? 29 : 28;
	return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

/* A fraction of a second is passed over. */
static bool skip_fraction(const char **text)
{
	if (**text != '.')
		return true;
	size_t n = strspn(*text + 1, "0123456789");
	*text += 1 + n;
	return n > 0;
}

/* "Z", "+02:00" or "-02:00", in seconds. */
static bool take_offset(const char *text, int64_t *out)
{
	int64_t hours = 0, minutes = 0;
	char sign = *text++;
	if (sign == 'Z' || sign == 'z') {
		*out = 0;
		return *text == '\0';
	}
	if ((sign != '+' && sign != '-') || !take(&text, 2, 0, 23, ':', &hours) ||
	    !take(&text, 2, 0, 59, 0, &minutes) || *text)
		return false;
	*out = (hours * 60 + minutes) * (sign == '-' ? -60 : 60);
	return true;
}

int pg_rfc3339_parse(const char *text, int64_t *out)
{
	int64_t year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, offset = 0;
	if (!take(&text, 4, 1, 9999, '-', &year) || !take(&text, 2, 1, 12, '-', &month) ||
	    !take(&text, 2, 1, 31, 0, &day) || day > days_in_month(year, month))
		return -EINVAL;
	if (*text != 'T' && *text != 't')
		return -EINVAL;
	text++;
	if (!take(&text, 2, 0, 23, ':', &hour) || !take(&text, 2, 0, 59, ':', &minute) ||
	    !take(&text, 2, 0, 60, 0, &second) || !skip_fraction(&text) ||
	    !take_offset(text, &offset))
		return -EINVAL;
	*out = ((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second - offset;
	return 0;
}
