#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "injector/rfc3339.h"

/* What is read as a time can be written by the C library, and reads back as the same. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[64];
	int64_t seconds = 0, again = 0;
	if (size >= sizeof(text))
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	if (pg_rfc3339_parse(text, &seconds) < 0)
		return 0;
	time_t t = seconds;
	struct tm tm;
	if (!gmtime_r(&t, &tm))
		abort();
	if (tm.tm_year + 1900 < 1 || tm.tm_year + 1900 > 9999)
		return 0; /* an offset may lead out of the range */
	snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900,
		 tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
	if (pg_rfc3339_parse(text, &again) < 0 || again != seconds)
		abort();
	return 0;
}
