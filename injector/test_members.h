#pragma once
/* For the tests of post.c and fleet.c: the member that they start is the test's own program, which
 * plays the part that is its pod's name. Include after cmocka.h. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "injector/cli.h"

#define READY                                                                                 \
	"{\"event\":\"ready\",\"pod\":\"p\",\"mechanism\":\"tproxy\",\"transport\":\"spdy\"," \
	"\"redirects\":[{\"port\":8080,\"local\":\"127.0.0.1:3000\"}]}"
#define STATUS "{\"event\":\"status\",\"open\":2,\"total\":5,\"bytes_in\":1000,\"bytes_out\":2000}"
#define COUNTS "{\"event\":\"counts\",\"laptop\":3,\"app\":1,\"probes\":4}"
#define ERROR(class)                                                                               \
	"{\"error\":{\"message\":\"no way.\",\"hint\":\"try\",\"class\":\"" class "\",\"code\":3}" \
										  "}"

static void say(const char *line)
{
	printf("%s\n", line);
	fflush(stdout);
}

/* Until it is told to end, by one of `signals`. */
static int stay(const sigset_t *signals)
{
	int signo;
	sigwait(signals, &signo);
	say("{\"event\":\"ended\",\"connections\":6,\"refused\":2,\"laptop\":4,\"app\":1,"
	    "\"probes\":4}");
	return 0;
}

static void write_garbage(void)
{
	static char much[200 << 10];
	static const char little[] = "\0\xff{\"event\":\n[]\nnull\n{\"event\":7}\n\n";
	memset(much, '[', sizeof(much));
	fwrite(little, 1, sizeof(little) - 1, stdout);
	fwrite(much, 1, sizeof(much), stdout); /* one line, and it ends like an event */
	say(READY);
	say("{\"event\":\"status\",\"open\":-5,\"total\":9e99,\"bytes_in\":9223372036854775807}");
	say("{\"event\":\"ready\",\"redirects\":{\"port\":[]}}");
}

static void flood(void)
{
	for (int i = 0; i < 5000; i++) {
		say("{\"event\":\"connection\",\"port\":5432}");
		fprintf(stderr, "word %d\n", i);
	}
}

/* Asks for a credential, and warns of what it got. */
static void ask_for_credential(void)
{
	char got[64] = "";
	say("{\"event\":\"credential\",\"after\":3}");
	if (fgets(got, sizeof(got), stdin))
		got[strcspn(got, "\n")] = '\0';
	printf("{\"event\":\"warning\",\"message\":\"got %s\"}\n", got);
}

static int play(const char *part)
{
	sigset_t signals;
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (strcmp(part, "refused") == 0)
		return say(ERROR("cluster")), 3;
	if (strcmp(part, "hopeless") == 0)
		return say(ERROR("target")), 4;
	if (strcmp(part, "mute") == 0)
		return 7;
	if (strcmp(part, "killed") == 0)
		raise(SIGKILL);
	if (strcmp(part, "garbage") == 0)
		write_garbage();
	if (strcmp(part, "flood") == 0)
		flood();
	if (strcmp(part, "asks") == 0)
		ask_for_credential();
	say(READY);
	say(STATUS);
	say(COUNTS);
	if (strcmp(part, "parks") == 0)
		say("{\"event\":\"warning\",\"message\":\"port 8080: parked\"}");
	if (strcmp(part, "frees") == 0)
		say("{\"event\":\"freed\",\"port\":5432,\"outgoing\":true}");
	if (strcmp(part, "talks") == 0)
		fprintf(stderr, "a \x1b[31mword\nof two lines, the last without an end");
	if (strcmp(part, "loses") == 0)
		say("{\"event\":\"lost\",\"message\":\"cut\"}");
	if (strcmp(part, "dies") == 0)
		return say(ERROR("link")), 5;
	if (strcmp(part, "leaves") == 0)
		return 0;
	return stay(&signals);
}

/* To be called first in main(): does not return in a member. */
static void play_if_member(int argc, char **argv)
{
	for (int i = 1; i + 1 < argc; i++)
		if (strcmp(argv[i], "--only") == 0)
			exit(play(argv[i + 1]));
}

/* An app without a cluster, whose words and results are files in memory. */
struct stage {
	struct pg_app app;
	char *out, *words;
	size_t out_len, words_len;
};

static void open_stage(struct stage *s, enum pg_format format)
{
	static char words[][12] = { "podgraft", "redirect", "deploy/web", "--", "cat" };
	static char *argv[] = { words[0], words[1], words[2], words[3], words[4], NULL };
	*s = (struct stage){ .app = { .argv = argv } };
	s->app.loop = pg_loop_new(NULL);
	assert_non_null(s->app.loop);
	pg_output_init(&s->app.out, format, false, 0);
	s->app.out.results = open_memstream(&s->out, &s->out_len);
	s->app.out.words = s->app.out.log.to = open_memstream(&s->words, &s->words_len);
	fflush(s->app.out.results); /* so that there are texts, though empty */
	fflush(s->app.out.words);
	s->app.out.live = s->app.out.colour = false;
}

static void close_stage(struct stage *s)
{
	pg_loop_free(s->app.loop);
	pg_output_fini(&s->app.out);
	fclose(s->app.out.results);
	fclose(s->app.out.words);
	free(s->out);
	free(s->words);
}

/* Runs the loop until `condition` holds, ten seconds at most. */
static void await(struct stage *s, bool (*condition)(void *ctx), void *ctx)
{
	const bool never = false;
	uint64_t end = pg_loop_now_ms(s->app.loop) + 10000;
	while (!condition(ctx)) {
		assert_true(pg_loop_now_ms(s->app.loop) < end);
		pg_loop_wait(s->app.loop, &never, pg_loop_now_ms(s->app.loop) + 5);
	}
}

/* How often `text` stands in what was written. */
static size_t count_of(const char *in, const char *text)
{
	size_t n = 0;
	for (const char *at = in; at && (at = strstr(at, text)); at += strlen(text))
		n++;
	return n;
}
