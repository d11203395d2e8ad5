/* Sessions without memory, and laptops that do not keep to the rules. */
#include <dirent.h>

#include "agent/test_laptop.h"

static int count_fds(void)
{
	int n = 0;
	DIR *d = opendir("/proc/self/fd");
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* One allocation fails at one point or another of a whole life: nothing crashes, nothing is left,
 * and the next session works. */
static void every_allocation_may_fail(void **state)
{
	struct world *w = *state;
	struct laptop *l = &w->laptops[0];
	int failed = 1;
	turn(w, 20);
	end_laptop(l);
	turn(w, 20);
	pg_redirects_rest(w->redirects);
	turn(w, 20);
	int fds = count_fds();
	for (size_t nth = 0; failed && nth < 1000; nth++) {
		char byte;
		int server = -1, client = -1;
		pg_mem_fail_after(nth);
		if (begin_session(w, l) == 0 && add_lane(l, 0, NULL) == 0 &&
		    start(l, 1, PORT, "ann@laptop") == 0) {
			client = dial_from(w, w->ns.outside, POD4, PORT);
			if (client >= 0 && send(client, "x", 1, MSG_NOSIGNAL) == 1)
				arrived_at(w, &server);
			if (server >= 0)
				await(w, server, &byte, 1);
		}
		if (l->session && l->lanes[0])
			stop(l, 1);
		failed = pg_mem_failed();
		pg_mem_fail_after((size_t)-1);
		say_goodbye(l);
		turn(w, 20);
		end_laptop(l);
		for (int i = 0; i < 2; i++)
			if ((i ? server : client) >= 0)
				close(i ? server : client);
		turn(w, 20);
		assert_int_equal(pg_redirects_count(w->redirects), 0);
		empty_app(w);
		assert_int_equal(pg_connections_open(w->connections), 0);
		pg_redirects_rest(w->redirects);
		turn(w, 5);
		assert_int_equal(count_fds(), fds);
	}
	assert_false(failed);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_allocation_may_fail),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
