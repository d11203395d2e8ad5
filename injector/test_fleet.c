#include "injector/fleet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <sys/resource.h>

#include "injector/test_members.h"

struct fixture {
	struct stage stage;
	struct pg_fleet fleet;
	size_t want; /* of what is awaited */
};

static void begin(struct fixture *f, enum pg_format format)
{
	open_stage(&f->stage, format);
	pg_fleet_init(&f->fleet, &f->stage.app);
}

/* The pod called `part`, of the uid `uid`: '+' it can be used, '?' not yet, '-' it is gone. */
static void tell(struct fixture *f, char what, const char *part, const char *uid)
{
	struct pg_pod_change change = { .is_gone = what == '-', .is_usable = what == '+' };
	struct pg_err err;
	snprintf(change.name, sizeof(change.name), "%s", part);
	snprintf(change.uid, sizeof(change.uid), "%s", uid);
	assert_int_equal(pg_fleet_take(&f->fleet, &change, &err), 0);
	assert_int_equal(pg_fleet_fill(&f->fleet, &err), 0);
}

static bool are_up(void *ctx)
{
	struct fixture *f = ctx;
	return pg_fleet_up(&f->fleet) == f->want;
}

static bool are_members(void *ctx)
{
	struct fixture *f = ctx;
	return pg_fleet_members(&f->fleet) == f->want;
}

static bool are_there(void *ctx)
{
	struct fixture *f = ctx;
	return f->fleet.count == f->want;
}

static void await_up(struct fixture *f, size_t want)
{
	f->want = want;
	await(&f->stage, are_up, f);
}

static void end(struct fixture *f)
{
	pg_fleet_leave(&f->fleet, SIGTERM);
	f->want = 0;
	await(&f->stage, are_members, f);
	pg_fleet_fini(&f->fleet);
	close_stage(&f->stage);
}

static void pods_that_come_are_redirected_once_each(void **state)
{
	struct fixture f;
	(void)state;
	begin(&f, PG_FORMAT_JSON);
	tell(&f, '?', "a", "1");
	assert_int_equal(f.fleet.count, 0);
	tell(&f, '+', "a", "1");
	tell(&f, '+', "a", "1");
	tell(&f, '+', "b", "2");
	await_up(&f, 2);
	assert_int_equal(f.fleet.count, 2);
	assert_int_equal(pg_fleet_tick(&f.fleet, NULL), 0);
	assert_int_equal(pg_fleet_tick(&f.fleet, NULL), 0);
	assert_int_equal(count_of(f.stage.out, "{\"event\":\"pods\",\"up\":2,\"pods\":2,"
					       "\"left_alone\":0}"),
			 1);
	end(&f);
}

static void pods_that_go_are_dropped_and_what_they_counted_stays(void **state)
{
	struct fixture f;
	(void)state;
	begin(&f, PG_FORMAT_TEXT);
	tell(&f, '+', "a", "1");
	tell(&f, '+', "b", "2");
	await_up(&f, 2);
	tell(&f, '-', "a", "1");
	tell(&f, '-', "a", "1"); /* a second signal would cut */
	tell(&f, '-', "never-seen", "9");
	f.want = 1;
	await(&f.stage, are_there, &f);
	assert_string_equal(f.fleet.posts[0]->name, "b");
	assert_int_equal(f.fleet.gone.total, 6);
	assert_int_equal(count_of(f.stage.words, "pod 'a' is gone\n"), 1);
	assert_null(strstr(f.stage.words, "not redirected"));
	end(&f);
}

static void one_that_comes_again_by_the_same_name_is_another(void **state)
{
	struct fixture f;
	(void)state;
	begin(&f, PG_FORMAT_TEXT);
	tell(&f, '+', "web-0", "1");
	await_up(&f, 1);
	tell(&f, '+', "web-0", "2");
	tell(&f, '-', "web-0", "1");
	f.want = 1;
	await(&f.stage, are_there, &f);
	assert_string_equal(f.fleet.posts[0]->uid, "2");
	await_up(&f, 1);
	end(&f);
}

static bool is_up_again(void *ctx)
{
	struct fixture *f = ctx;
	return f->fleet.posts[0]->is_up && f->fleet.posts[0]->before.total > 0;
}

static void one_that_is_meant_again_before_its_podgraft_has_ended_gets_another(void **state)
{
	struct fixture f;
	(void)state;
	begin(&f, PG_FORMAT_TEXT);
	tell(&f, '+', "web-0", "1");
	await_up(&f, 1);
	tell(&f, '-', "web-0", "1");
	tell(&f, '+', "web-0", "1");
	await(&f.stage, is_up_again, &f);
	assert_int_equal(f.fleet.count, 1);
	assert_false(f.fleet.posts[0]->is_gone);
	assert_null(strstr(f.stage.words, "not redirected"));
	tell(&f, '-', "web-0", "1");
	tell(&f, '+', "web-0", "1");
	tell(&f, '-', "web-0", "1");
	f.want = 0;
	await(&f.stage, are_there, &f);
	end(&f);
}

static void a_pod_that_is_gone_after_its_podgraft_failed_is_dropped_at_once(void **state)
{
	struct fixture f;
	(void)state;
	begin(&f, PG_FORMAT_TEXT);
	tell(&f, '+', "hopeless", "1");
	f.want = 0;
	await(&f.stage, are_members, &f);
	tell(&f, '-', "hopeless", "1");
	assert_int_equal(f.fleet.count, 0);
	end(&f);
}

static void one_that_cannot_be_redirected_stops_no_other(void **state)
{
	struct fixture f;
	(void)state;
	begin(&f, PG_FORMAT_TEXT);
	tell(&f, '+', "hopeless", "1");
	tell(&f, '+', "good", "2");
	await_up(&f, 1);
	f.want = 1;
	await(&f.stage, are_members, &f);
	assert_int_equal(pg_fleet_settled(&f.fleet), 2);
	assert_int_equal(pg_fleet_tick(&f.fleet, NULL), 0);
	assert_int_equal(count_of(f.stage.words,
				  "warning: pod 'hopeless' is not redirected: no way. (try)\n"),
			 1);
	end(&f);
}

static void one_that_was_killed_is_started_again_when_it_is_due(void **state)
{
	struct fixture f;
	(void)state;
	begin(&f, PG_FORMAT_TEXT);
	tell(&f, '+', "good", "1");
	tell(&f, '+', "other", "2");
	await_up(&f, 2);
	assert_int_equal(pg_fleet_tick(&f.fleet, NULL), 0);
	pg_post_signal(f.fleet.posts[0], SIGKILL);
	f.want = 1;
	await(&f.stage, are_members, &f);
	assert_int_equal(pg_fleet_tick(&f.fleet, NULL), 0);
	assert_int_equal(pg_fleet_members(&f.fleet), 1); /* not before its time */
	f.fleet.posts[0]->again_ms = pg_loop_now_ms(f.stage.app.loop);
	assert_int_equal(pg_fleet_tick(&f.fleet, NULL), 0);
	await_up(&f, 2);
	end(&f);
}

/* Descriptors run out for a moment. */
static void one_whose_podgraft_cannot_be_started_is_tried_again(void **state)
{
	struct fixture f;
	struct rlimit was, few;
	int fds[64], n = 0;
	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	few = (struct rlimit){ .rlim_cur = PG_LEN(fds), .rlim_max = was.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	begin(&f, PG_FORMAT_TEXT);
	tell(&f, '+', "good", "1");
	await_up(&f, 1);
	assert_int_equal(pg_fleet_tick(&f.fleet, NULL), 0);
	pg_loop_many_files(f.stage.app.loop, false);
	while ((fds[n] = dup(STDOUT_FILENO)) >= 0)
		n++;
	tell(&f, '+', "late", "2");
	while (n > 0)
		close(fds[--n]);
	assert_int_equal(pg_fleet_members(&f.fleet), 1);
	assert_int_equal(pg_fleet_settled(&f.fleet), 2);
	assert_int_equal(count_of(f.stage.words, "pod 'late' is not redirected: start another "
						 "podgraft: Too many open files; trying again\n"),
			 1);
	f.fleet.posts[1]->again_ms = pg_loop_now_ms(f.stage.app.loop);
	assert_int_equal(pg_fleet_tick(&f.fleet, NULL), 0);
	await_up(&f, 2);
	end(&f);
	setrlimit(RLIMIT_NOFILE, &was);
}

static void when_none_can_be_it_fails_in_the_words_of_one(void **state)
{
	struct fixture f;
	struct pg_err err = { .code = 0 };
	(void)state;
	begin(&f, PG_FORMAT_TEXT);
	tell(&f, '+', "refused", "1");
	tell(&f, '+', "refused", "2");
	f.want = 0;
	await(&f.stage, are_members, &f);
	assert_int_equal(pg_fleet_tick(&f.fleet, &err), -EIO);
	assert_string_equal(err.what, "none of 2 pods is redirected: no way");
	assert_string_equal(err.hint, "try");
	assert_int_equal(pg_err_exit(&err), 3);
	end(&f);
}

/* All are given up, for example by `podgraft undo`: but one that goes may fail before we know. */
static void when_none_is_left_for_ten_seconds_it_fails(void **state)
{
	struct fixture f;
	struct pg_err err = { .code = 0 };
	(void)state;
	begin(&f, PG_FORMAT_TEXT);
	f.fleet.was_up = true;
	tell(&f, '+', "hopeless", "1");
	f.want = 0;
	await(&f.stage, are_members, &f);
	assert_int_equal(pg_fleet_tick(&f.fleet, &err), 0);
	assert_true(f.fleet.idle_ms > 0);
	f.fleet.idle_ms -= 9900;
	assert_int_equal(pg_fleet_tick(&f.fleet, &err), 0);
	f.fleet.idle_ms -= 200;
	assert_int_equal(pg_fleet_tick(&f.fleet, &err), -EIO);
	end(&f);
}

/* Full but for `room` pods. */
static void occupy(struct fixture *f, size_t room)
{
	const struct pg_pod_change idle = { .name = "idle", .uid = "x" };
	while (f->fleet.count < PG_FLEET_MAX - room)
		f->fleet.posts[f->fleet.count++] = pg_post_new(&f->fleet.config, &idle);
}

static void take(struct fixture *f, const char *uid)
{
	struct pg_pod_change change = { .name = "late", .is_usable = true };
	struct pg_err err;
	snprintf(change.uid, sizeof(change.uid), "%s", uid);
	assert_int_equal(pg_fleet_take(&f->fleet, &change, &err), 0);
}

static void more_pods_than_it_takes_are_told_before_any_of_them_starts(void **state)
{
	struct fixture f;
	struct pg_err err;
	(void)state;
	begin(&f, PG_FORMAT_TEXT);
	occupy(&f, 1);
	take(&f, "1");
	take(&f, "2");
	take(&f, "2");
	take(&f, "3");
	assert_string_equal(f.stage.words, "");
	assert_int_equal(pg_fleet_members(&f.fleet), 0);
	assert_int_equal(pg_fleet_fill(&f.fleet, &err), 0);
	assert_string_equal(f.stage.words,
			    "warning: there are 258 pods, and one podgraft redirects 256 at a "
			    "time: 2 are left alone until others go; -l chooses fewer\n");
	assert_int_equal(pg_fleet_members(&f.fleet), 1);
	assert_non_null(pg_fleet_find(&f.fleet, "1"));
	await_up(&f, 1);
	end(&f);
}

static void who_was_left_alone_takes_the_place_of_who_goes(void **state)
{
	struct fixture f;
	(void)state;
	begin(&f, PG_FORMAT_JSON);
	occupy(&f, 0);
	tell(&f, '+', "late", "1");
	tell(&f, '+', "later", "2");
	tell(&f, '+', "latest", "3");
	pg_fleet_show(&f.fleet, "redirecting");
	assert_int_equal(count_of(f.stage.out, "\"pods\":259,\"left_alone\":3}"), 1);
	tell(&f, '-', "late", "1"); /* before its turn */
	tell(&f, '?', "latest", "3");
	assert_int_equal(f.fleet.queued, 1);
	tell(&f, '-', "idle", "x");
	assert_int_equal(f.fleet.count, PG_FLEET_MAX);
	assert_string_equal(f.fleet.posts[PG_FLEET_MAX - 1]->name, "later");
	await_up(&f, 1);
	pg_fleet_show(&f.fleet, "redirecting");
	assert_int_equal(count_of(f.stage.out, "\"up\":1,\"pods\":256,\"left_alone\":0}"), 1);
	end(&f);
}

/* Pods of a roll-out come one by one. */
static void it_is_told_again_when_they_become_more_but_not_for_each(void **state)
{
	struct fixture f;
	(void)state;
	begin(&f, PG_FORMAT_TEXT);
	occupy(&f, 0);
	tell(&f, '+', "a", "1");
	tell(&f, '+', "b", "2");
	tell(&f, '+', "c", "3");
	assert_int_equal(count_of(f.stage.words, "there are"), 1);
	assert_int_equal(count_of(f.stage.words, "there are 257 pods"), 1);
	f.fleet.warnings = (struct pg_quota){ 0 }; /* ten seconds later */
	assert_int_equal(pg_fleet_fill(&f.fleet, NULL), 0);
	assert_int_equal(pg_fleet_fill(&f.fleet, NULL), 0);
	assert_int_equal(count_of(f.stage.words, "there are"), 2);
	assert_int_equal(count_of(f.stage.words, ": 3 are left alone"), 1);
	end(&f);
}

static void its_end_counts_all_that_each_of_them_counted(void **state)
{
	struct fixture f;
	(void)state;
	begin(&f, PG_FORMAT_JSON);
	tell(&f, '+', "a", "1");
	tell(&f, '+', "b", "2");
	await_up(&f, 2);
	tell(&f, '-', "a", "1");
	f.want = 1;
	await(&f.stage, are_there, &f);
	pg_fleet_leave(&f.fleet, SIGTERM);
	f.want = 0;
	await(&f.stage, are_members, &f);
	pg_fleet_fini(&f.fleet);
	pg_fleet_say_ended(&f.fleet);
	assert_int_equal(count_of(f.stage.out,
				  "{\"event\":\"ended\",\"connections\":12,\"refused\":4,"
				  "\"laptop\":8,\"app\":2,\"probes\":8}\n"),
			 1);
	close_stage(&f.stage);
}

static void once_it_leaves_nobody_is_started(void **state)
{
	struct fixture f;
	(void)state;
	begin(&f, PG_FORMAT_TEXT);
	tell(&f, '+', "a", "1");
	await_up(&f, 1);
	pg_fleet_leave(&f.fleet, SIGINT);
	tell(&f, '+', "b", "2");
	assert_int_equal(f.fleet.count, 1);
	end(&f);
}

static void what_several_say_is_told_once_and_counted(void **state)
{
	struct fixture f;
	(void)state;
	begin(&f, PG_FORMAT_TEXT);
	tell(&f, '+', "parks", "1");
	tell(&f, '+', "parks", "2");
	tell(&f, '+', "parks", "3");
	await_up(&f, 3);
	pg_fleet_leave(&f.fleet, SIGTERM);
	f.want = 0;
	await(&f.stage, are_members, &f); /* so all is said */
	f.fleet.news.items[0].since_ms -= PG_NEWS_MS;
	assert_int_equal(pg_fleet_tick(&f.fleet, &(struct pg_err){ 0 }), -EIO);
	assert_int_equal(count_of(f.stage.words, "warning: pod 'parks': port 8080: parked\n"), 1);
	assert_int_equal(count_of(f.stage.words, "warning: 2 times more: port 8080: parked\n"), 1);
	end(&f);
}

int main(int argc, char **argv)
{
	play_if_member(argc, argv);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pods_that_come_are_redirected_once_each),
		cmocka_unit_test(pods_that_go_are_dropped_and_what_they_counted_stays),
		cmocka_unit_test(one_that_comes_again_by_the_same_name_is_another),
		cmocka_unit_test(
			one_that_is_meant_again_before_its_podgraft_has_ended_gets_another),
		cmocka_unit_test(a_pod_that_is_gone_after_its_podgraft_failed_is_dropped_at_once),
		cmocka_unit_test(one_that_cannot_be_redirected_stops_no_other),
		cmocka_unit_test(one_that_was_killed_is_started_again_when_it_is_due),
		cmocka_unit_test(one_whose_podgraft_cannot_be_started_is_tried_again),
		cmocka_unit_test(when_none_can_be_it_fails_in_the_words_of_one),
		cmocka_unit_test(when_none_is_left_for_ten_seconds_it_fails),
		cmocka_unit_test(more_pods_than_it_takes_are_told_before_any_of_them_starts),
		cmocka_unit_test(who_was_left_alone_takes_the_place_of_who_goes),
		cmocka_unit_test(it_is_told_again_when_they_become_more_but_not_for_each),
		cmocka_unit_test(its_end_counts_all_that_each_of_them_counted),
		cmocka_unit_test(once_it_leaves_nobody_is_started),
		cmocka_unit_test(what_several_say_is_told_once_and_counted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
