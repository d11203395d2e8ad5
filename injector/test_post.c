#include "injector/post.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "injector/test_members.h"

struct fixture {
	struct stage stage;
	struct pg_news news;
	struct pg_post_config config;
	struct pg_post *post;
	unsigned ends;
};

static void on_ended(void *ctx, struct pg_post *p)
{
	struct fixture *f = ctx;
	assert_ptr_equal(p, f->post);
	f->ends++;
}

static void begin(struct fixture *f, enum pg_format format, const char *part)
{
	struct pg_pod_change pod = { .uid = "uid-1" };
	*f = (struct fixture){ .ends = 0 };
	open_stage(&f->stage, format);
	f->config = (struct pg_post_config){ &f->stage.app, &f->news, on_ended, f };
	snprintf(pod.name, sizeof(pod.name), "%s", part);
	f->post = pg_post_new(&f->config, &pod);
	assert_non_null(f->post);
	assert_int_equal(pg_post_start(f->post), 0);
}

static void end(struct fixture *f)
{
	pg_post_free(f->post);
	pg_news_fini(&f->news);
	close_stage(&f->stage);
}

static bool has_ended(void *ctx)
{
	struct fixture *f = ctx;
	return f->ends > 0;
}

/* All that a member says before it stays is there. */
static bool has_counts(void *ctx)
{
	struct fixture *f = ctx;
	return f->post->sums.probes > 0;
}

/* ---- how it may end ----------------------------------------------------------------------- */

struct end_case {
	const char *part;
	bool is_given_up;
	const char *words;
};
static struct end_case ends[] = {
	{ "refused", false,
	  "warning: pod 'refused' is not redirected: no way. (try); trying again" },
	{ "hopeless", true, "warning: pod 'hopeless' is not redirected: no way. (try)\n" },
	{ "mute", false, "its podgraft was killed or has crashed (exit 7); trying again\n" },
	{ "killed", false, "its podgraft was killed or has crashed (exit 137); trying again\n" },
	{ "dies", false, "warning: pod 'dies' is not redirected: no way. (try); trying again\n" },
	{ "leaves", true,
	  "warning: pod 'leaves' is not redirected: its podgraft was told to end\n" },
};

static void an_end_is_told_and_tried_again_where_it_may_pass(void **state)
{
	const struct end_case *c = *state;
	struct fixture f;
	begin(&f, PG_FORMAT_TEXT, c->part);
	await(&f.stage, has_ended, &f);
	assert_null(f.post->member);
	assert_int_equal(f.ends, 1);
	assert_int_equal(f.post->failures, 1);
	assert_int_equal(f.post->is_given_up, c->is_given_up);
	assert_false(f.post->is_up);
	pg_post_failed(f.post);
	assert_non_null(strstr(f.stage.words, c->words));
	end(&f);
}

static void programs_get_the_failure_with_its_pod(void **state)
{
	struct fixture f;
	(void)state;
	begin(&f, PG_FORMAT_JSON, "hopeless");
	await(&f.stage, has_ended, &f);
	pg_post_failed(f.post);
	assert_string_equal(f.stage.words, "");
	assert_string_equal(
		f.stage.out,
		"{\"event\":\"failed\",\"pod\":\"hopeless\",\"error\":{\"message\":\"no "
		"way.\",\"hint\":\"try\",\"class\":\"target\",\"code\":3},\"again\":"
		"false}\n");
	end(&f);
}

static void each_try_waits_twice_as_long(void **state)
{
	struct fixture f;
	uint64_t wait_ms = 5000;
	(void)state;
	begin(&f, PG_FORMAT_TEXT, "refused");
	for (unsigned i = 0; i < 6; i++) {
		await(&f.stage, has_ended, &f);
		uint64_t left = f.post->again_ms - pg_loop_now_ms(f.stage.app.loop);
		assert_in_range(left, wait_ms - 2000, wait_ms);
		wait_ms = wait_ms < 80000 ? 2 * wait_ms : wait_ms;
		f.ends = 0;
		assert_int_equal(pg_post_start(f.post), 0);
	}
	await(&f.stage, has_ended, &f);
	end(&f);
}

/* ---- what it tells ------------------------------------------------------------------------ */

static void it_is_up_counts_and_ends_when_it_is_told_to(void **state)
{
	struct fixture f;
	(void)state;
	begin(&f, PG_FORMAT_TEXT, "web-0");
	await(&f.stage, has_counts, &f);
	assert_true(f.post->is_up);
	assert_int_equal(f.post->sums.open, 2);
	assert_int_equal(f.post->sums.bytes_in, 1000);
	assert_string_equal(f.stage.words,
			    "port 8080 of pod 'web-0' now reaches 127.0.0.1:3000 (tproxy, spdy)\n");
	pg_post_signal(f.post, SIGTERM);
	await(&f.stage, has_ended, &f);
	assert_int_equal(f.post->sums.open, 0);
	assert_int_equal(f.post->sums.total, 6); /* there was one more at the end */
	assert_int_equal(f.post->sums.laptop, 4);
	assert_int_equal(f.post->sums.probes, 4);
	assert_int_equal(f.post->sums.refused, 2);
	end(&f);
}

static void what_was_counted_before_a_new_start_stays(void **state)
{
	struct fixture f;
	(void)state;
	begin(&f, PG_FORMAT_TEXT, "web-0");
	await(&f.stage, has_counts, &f);
	pg_post_signal(f.post, SIGTERM);
	await(&f.stage, has_ended, &f);
	f.ends = 0;
	f.post->sums.probes = 0;
	assert_int_equal(pg_post_start(f.post), 0);
	await(&f.stage, has_counts, &f);
	assert_int_equal(f.post->sums.total, 6 + 5);
	assert_int_equal(f.post->sums.probes, 4 + 4);
	assert_int_equal(f.post->failures, 0); /* it is up */
	pg_post_signal(f.post, SIGTERM);
	await(&f.stage, has_ended, &f);
	end(&f);
}

struct told_case {
	const char *part;
	const char *words; /* in text */
	const char *event; /* in JSON */
};
static struct told_case told[] = {
	{ "parks", "warning: pod 'parks': port 8080: parked\n",
	  "{\"event\":\"warning\",\"message\":\"port 8080: parked\",\"pod\":\"parks\"}\n" },
	{ "talks", "pod 'talks': a ?[31mword\npod 'talks': of two lines, the last without an end\n",
	  "{\"event\":\"warning\",\"message\":\"a ?[31mword\",\"pod\":\"talks\"}\n" },
	{ "loses", "warning: pod 'loses': link lost: cut; the app answers until it is back\n",
	  "{\"event\":\"lost\",\"message\":\"cut\",\"pod\":\"loses\"}\n" },
	{ "frees", "outgoing port 5432 of pod 'frees' is free, and redirected now\n",
	  "{\"event\":\"freed\",\"port\":5432,\"outgoing\":true,\"pod\":\"frees\"}\n" },
	{ "garbage", "port 8080 of pod 'garbage' now reaches 127.0.0.1:3000 (tproxy, spdy)\n",
	  "{\"event\":\"ready\",\"pod\":\"garbage\",\"mechanism\"" },
};

/* Nothing of a member is told without the name of its pod, whichever way it comes. */
static void it_is_told_with_the_name_of_the_pod(void **state)
{
	const struct told_case *c = *state;
	for (int json = 0; json < 2; json++) {
		struct fixture f;
		begin(&f, json ? PG_FORMAT_JSON : PG_FORMAT_TEXT, c->part);
		await(&f.stage, has_counts, &f);
		pg_post_signal(f.post, SIGTERM);
		await(&f.stage, has_ended, &f);
		assert_int_equal(
			count_of(json ? f.stage.out : f.stage.words, json ? c->event : c->words),
			1);
		assert_int_equal(count_of(f.stage.out, "\n"),
				 count_of(f.stage.out, json ? c->part : "nothing"));
		if (json)
			assert_string_equal(f.stage.words, "");
		end(&f);
	}
}

static void garbage_counts_nothing(void **state)
{
	struct fixture f;
	(void)state;
	begin(&f, PG_FORMAT_JSON, "garbage");
	await(&f.stage, has_counts, &f);
	assert_in_range(f.post->sums.bytes_in, 0, (json_int_t)1 << 53);
	assert_in_range(f.post->sums.open, 0, 2);
	pg_post_signal(f.post, SIGTERM);
	await(&f.stage, has_ended, &f);
	assert_int_equal(count_of(f.stage.out, "\"mechanism\""),
			 1); /* not the end of a long line */
	end(&f);
}

static void a_flood_of_words_is_cut(void **state)
{
	struct fixture f;
	(void)state;
	begin(&f, PG_FORMAT_TEXT, "flood");
	await(&f.stage, has_counts, &f);
	pg_post_signal(f.post, SIGTERM);
	await(&f.stage, has_ended, &f);
	assert_true(f.post->sums.total > 0); /* its events arrived all the same */
	assert_in_range(count_of(f.stage.words, "pod 'flood': word "), 50, 1000);
	end(&f);
}

static bool wants_credential(void *ctx)
{
	struct fixture *f = ctx;
	return f->post->wants_credential;
}

static void it_asks_for_a_credential_and_gets_it_by_its_standard_input(void **state)
{
	struct fixture f;
	(void)state;
	begin(&f, PG_FORMAT_JSON, "asks");
	await(&f.stage, wants_credential, &f);
	assert_int_equal(f.post->credential, 3);
	pg_post_give_credential(f.post, "a secret\n", 9);
	assert_false(f.post->wants_credential);
	await(&f.stage, has_counts, &f);
	pg_post_signal(f.post, SIGTERM);
	await(&f.stage, has_ended, &f);
	assert_int_equal(count_of(f.stage.out, "\"got a secret\""), 1);
	assert_null(strstr(f.stage.out, "credential\"")); /* between the two of them */
	end(&f);
}

static void one_that_ends_while_it_asks_wants_nothing(void **state)
{
	struct fixture f;
	(void)state;
	begin(&f, PG_FORMAT_JSON, "asks");
	await(&f.stage, wants_credential, &f);
	pg_post_signal(f.post, SIGKILL);
	pg_post_give_credential(f.post, "too late\n", 9);
	f.post->wants_credential = true;
	await(&f.stage, has_ended, &f);
	assert_false(f.post->wants_credential);
	pg_post_give_credential(f.post, "too late\n", 9);
	end(&f);
}

static void the_same_words_of_many_are_told_once(void **state)
{
	struct fixture f;
	(void)state;
	begin(&f, PG_FORMAT_TEXT, "parks");
	assert_true(pg_news_hear(&f.news, "port 8080: parked",
				 pg_loop_now_ms(f.stage.app.loop))); /* of another one */
	await(&f.stage, has_counts, &f);
	pg_post_signal(f.post, SIGTERM);
	await(&f.stage, has_ended, &f);
	assert_int_equal(count_of(f.stage.words, "parked"), 0);
	assert_int_equal(f.news.items[0].more, 1);
	end(&f);
}

int main(int argc, char **argv)
{
	play_if_member(argc, argv);
	static const struct CMUnitTest plain[] = {
		cmocka_unit_test(programs_get_the_failure_with_its_pod),
		cmocka_unit_test(each_try_waits_twice_as_long),
		cmocka_unit_test(it_is_up_counts_and_ends_when_it_is_told_to),
		cmocka_unit_test(what_was_counted_before_a_new_start_stays),
		cmocka_unit_test(garbage_counts_nothing),
		cmocka_unit_test(a_flood_of_words_is_cut),
		cmocka_unit_test(the_same_words_of_many_are_told_once),
		cmocka_unit_test(it_asks_for_a_credential_and_gets_it_by_its_standard_input),
		cmocka_unit_test(one_that_ends_while_it_asks_wants_nothing),
	};
	struct CMUnitTest tests[PG_LEN(plain) + PG_LEN(ends) + PG_LEN(told)] = { 0 };
	size_t n = 0;
	for (size_t i = 0; i < PG_LEN(plain); i++)
		tests[n++] = plain[i];
	for (size_t i = 0; i < PG_LEN(ends); i++)
		tests[n++] = (struct CMUnitTest){ ends[i].part,
						  an_end_is_told_and_tried_again_where_it_may_pass,
						  NULL, NULL, &ends[i] };
	for (size_t i = 0; i < PG_LEN(told); i++)
		tests[n++] = (struct CMUnitTest){ told[i].part, it_is_told_with_the_name_of_the_pod,
						  NULL, NULL, &told[i] };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
