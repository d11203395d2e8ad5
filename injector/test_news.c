#include "injector/news.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

static void it_is_told_once_and_then_how_often_it_came_again(void **state)
{
	struct pg_news n = { .count = 0 };
	unsigned more = 99;
	(void)state;
	assert_true(pg_news_hear(&n, "parked", 1000));
	assert_true(pg_news_hear(&n, "other", 1500));
	assert_false(pg_news_hear(&n, "parked", 1700));
	assert_false(pg_news_hear(&n, "parked", 1000 + PG_NEWS_MS - 1));
	assert_null(pg_news_due(&n, 1000 + PG_NEWS_MS - 1, &more));
	char *text = pg_news_due(&n, 1000 + PG_NEWS_MS, &more);
	assert_string_equal(text, "parked");
	assert_int_equal(more, 2);
	free(text);
	assert_null(pg_news_due(&n, 1000 + PG_NEWS_MS, &more));
	assert_true(pg_news_hear(&n, "parked", 1000 + PG_NEWS_MS)); /* news again */
	text = pg_news_due(&n, 1500 + PG_NEWS_MS, &more);
	assert_string_equal(text, "other");
	assert_int_equal(more, 0);
	free(text);
	pg_news_fini(&n);
}

static void more_than_it_keeps_are_all_told(void **state)
{
	struct pg_news n = { .count = 0 };
	char text[16];
	(void)state;
	for (int i = 0; i < PG_NEWS_MAX + 5; i++) {
		snprintf(text, sizeof(text), "news %d", i);
		assert_true(pg_news_hear(&n, text, 0));
	}
	assert_int_equal(n.count, PG_NEWS_MAX);
	assert_true(pg_news_hear(&n, text, 0));
	assert_false(pg_news_hear(&n, "news 0", 0));
	pg_news_fini(&n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_told_once_and_then_how_often_it_came_again),
		cmocka_unit_test(more_than_it_keeps_are_all_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
