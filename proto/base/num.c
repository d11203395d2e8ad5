#include "proto/base/num.h"

#include <errno.h>
#include <string.h>

#include "proto/base/auto.h"

int pg_parse_u64n(const char *text, size_t n, uint64_t lo, uint64_t hi, uint64_t *out)
{
	uint64_t v = 0;
	if (n == 0)
		return -EINVAL;
	for (size_t i = 0; i < n; i++)
		if (text[i] < '0' || text[i] > '9')
			return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		uint64_t digit = (uint64_t)(text[i] - '0');
		if (v > (UINT64_MAX - digit) / 10)
			return -ERANGE;
		v = v * 10 + digit;
	}
	if (v < lo || v > hi)
		return -ERANGE;
	*out = v;
	return 0;
}

int pg_parse_u64(const char *text, uint64_t lo, uint64_t hi, uint64_t *out)
{
	return pg_parse_u64n(text, strlen(text), lo, hi, out);
}

struct unit {
	const char *name;
	uint64_t factor;
};

/* The digits at `*text`, then one of `units`; moves *text past both. */
static int number_with_unit(const char **text, const struct unit *units, size_t count, uint64_t max,
			    uint64_t *out)
{
	size_t digits = strspn(*text, "0123456789");
	uint64_t v;
	int rc = pg_parse_u64n(*text, digits, 0, max, &v);
	if (rc < 0)
		return rc;
	const char *rest = *text + digits;
	size_t letters = strcspn(rest, "0123456789");
	for (size_t i = 0; i < count; i++) {
		if (strlen(units[i].name) != letters || memcmp(rest, units[i].name, letters) != 0)
			continue;
		if (v > max / units[i].factor)
			return -ERANGE;
		*out = v * units[i].factor;
		*text = rest + letters;
		return 0;
	}
	return -EINVAL;
}

int pg_parse_duration(const char *text, uint64_t *ms_out)
{
	static const struct unit units[] = {
		{ "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 }
	};
	const uint64_t max = 10ull * 365 * 24 * 3600 * 1000;
	uint64_t total = 0;
	if (strcmp(text, "0") == 0) {
		*ms_out = 0;
		return 0;
	}
	do {
		uint64_t part = 0;
		int rc = number_with_unit(&text, units, PG_LEN(units), max, &part);
		if (rc < 0)
			return rc;
		total += part;
		if (total > max)
			return -ERANGE;
	} while (*text);
	*ms_out = total;
	return 0;
}

int pg_parse_size(const char *text, uint64_t *bytes_out)
{
	static const struct unit units[] = {
		{ "", 1 },     { "Ki", 1ull << 10 }, { "Mi", 1ull << 20 }, { "Gi", 1ull << 30 },
		{ "k", 1000 }, { "M", 1000000 },     { "G", 1000000000 },
	};
	uint64_t v = 0;
	int rc = number_with_unit(&text, units, PG_LEN(units), INT64_MAX, &v);
	if (rc < 0)
		return rc;
	if (*text)
		return -EINVAL;
	*bytes_out = v;
	return 0;
}
