#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/mem.h"
#include "proto/base/num.h"

/* Texts of any bytes: numbers stay in their range, agree with each other, and a failure leaves
 * the result alone. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint64_t untouched = 0xfeedfacecafebeef,
		       ten_years_ms = 10ull * 365 * 24 * 3600 * 1000;
	uint64_t number = untouched, bytes = untouched, ms = untouched;
	char *text = pg_strndup((const char *)data, size);
	if (!text)
		abort();
	int rc_number = pg_parse_u64(text, 1, 65535, &number);
	int rc_bytes = pg_parse_size(text, &bytes);
	int rc_ms = pg_parse_duration(text, &ms);
	if (rc_number == 0 ? number < 1 || number > 65535 : number != untouched)
		abort();
	if (rc_bytes == 0 ? bytes > INT64_MAX : bytes != untouched)
		abort();
	if (rc_ms == 0 ? ms > ten_years_ms : ms != untouched)
		abort();
	if (rc_number == 0 &&
	    (rc_bytes != 0 || bytes != number)) /* a number is a size without unit */
		abort();
	if (rc_ms == 0 && rc_bytes == 0 && strcmp(text, "0") != 0)
		abort(); /* no text is both, but for 0 */
	free(text);
	return 0;
}
