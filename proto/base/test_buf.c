#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "proto/base/buf.h"
#include "proto/base/mem.h"

static void is_a_string_at_all_times(void **state)
{
	(void)state;
	struct pg_buf b = PG_BUF_INIT(100);
	assert_string_equal(pg_buf_str(&b), "");
	assert_int_equal(pg_buf_add(&b, "", 0), 0);
	assert_null(b.data);
	assert_int_equal(pg_buf_add_str(&b, "GET "), 0);
	assert_int_equal(pg_buf_addf(&b, "/v%d/%s", 1, "info"), 0);
	assert_string_equal(pg_buf_str(&b), "GET /v1/info");
	assert_int_equal(b.len, 12);
	pg_buf_drop(&b, 4);
	assert_string_equal(pg_buf_str(&b), "/v1/info");
	pg_buf_drop(&b, 0);
	pg_buf_drop(&b, b.len);
	assert_string_equal(pg_buf_str(&b), "");
	pg_buf_fini(&b);
	pg_buf_drop(&b, 0);
	assert_int_equal(pg_buf_add_str(&b, "again"), 0);
	assert_string_equal(pg_buf_str(&b), "again");
	pg_buf_fini(&b);
}

static void takes_all_or_nothing_up_to_its_ceiling(void **state)
{
	(void)state;
	struct pg_buf b = PG_BUF_INIT(10);
	assert_int_equal(pg_buf_add_str(&b, "12345678"), 0);
	assert_int_equal(pg_buf_add_str(&b, "9ab"), -ENOBUFS);
	assert_int_equal(pg_buf_addf(&b, "%d", 100), -ENOBUFS);
	assert_string_equal(pg_buf_str(&b), "12345678");
	assert_int_equal(pg_buf_add_str(&b, "9a"), 0);
	assert_int_equal(pg_buf_add_str(&b, "b"), -ENOBUFS);
	assert_string_equal(pg_buf_str(&b), "123456789a");
	assert_true(b.cap <= 11);
	pg_buf_fini(&b);
	struct pg_buf none = PG_BUF_INIT(0);
	assert_int_equal(pg_buf_add_str(&none, "x"), -ENOBUFS);
	assert_int_equal(pg_buf_addf(&none, "%s", ""), 0);
	assert_string_equal(pg_buf_str(&none), "");
	pg_buf_fini(&none);
}

static void lends_room_that_is_counted_later(void **state)
{
	(void)state;
	struct pg_buf b = PG_BUF_INIT(1000);
	uint8_t *at;
	assert_int_equal(pg_buf_reserve(&b, 300, &at), 0);
	memset(at, 'x', 300);
	pg_buf_added(&b, 200);
	assert_int_equal(strlen(pg_buf_str(&b)), 200);
	assert_int_equal(pg_buf_reserve(&b, 801, &at), -ENOBUFS);
	assert_int_equal(pg_buf_reserve(&b, 800, &at), 0);
	assert_ptr_equal(at, b.data + 200);
	pg_buf_fini(&b);
}

static void keeps_its_content_when_memory_is_out(void **state)
{
	(void)state;
	struct pg_buf b = PG_BUF_INIT(1 << 20);
	assert_int_equal(pg_buf_add_str(&b, "kept"), 0);
	static const uint8_t large[1000];
	pg_mem_fail_after(0);
	assert_int_equal(pg_buf_add(&b, large, sizeof(large)), -ENOMEM);
	assert_true(pg_mem_failed());
	assert_string_equal(pg_buf_str(&b), "kept");
	assert_int_equal(pg_buf_add(&b, large, sizeof(large)), 0);
	assert_int_equal(b.len, 4 + sizeof(large));
	pg_buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_a_string_at_all_times),
		cmocka_unit_test(takes_all_or_nothing_up_to_its_ceiling),
		cmocka_unit_test(lends_room_that_is_counted_later),
		cmocka_unit_test(keeps_its_content_when_memory_is_out),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
