/* The peer of podgraft's tests: a server with many manners, and clients that tell what they saw. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "e2e/peers/client.h"
#include "e2e/peers/server.h"

volatile bool client_stop;

static const struct command {
	const char *name, *help;
	int (*run)(const struct call *call);
	struct call preset;
} commands[] = {
	{ "get", "[--path P]: one HTTP GET; prints the body", client_get, { .path = "/" } },
	{ "load",
	  "[--rate N --seconds S --path P --brief]: new connections, a GET each",
	  client_load,
	  { .path = "/", .rate = 100, .seconds = 10, .timeout_ms = 5000 } },
	{ "bulk-down",
	  "--bytes N [--conns N --seed X --no-verify]: N bytes in all, checked",
	  client_bulk_down,
	  { .bytes = 1 << 20, .conns = 1, .seed = 1 } },
	{ "bulk-up",
	  "--bytes N [--conns N --seed X]: N bytes in all, checked by the server",
	  client_bulk_up,
	  { .bytes = 1 << 20, .conns = 1, .seed = 1 } },
	{ "idle",
	  "--conns N: open to echo, report, hold until stdin ends, check again",
	  client_idle,
	  { .conns = 100 } },
	{ "trickle",
	  "--conns N --seconds S: one byte a second each, to echo",
	  client_trickle,
	  { .conns = 64, .seconds = 10 } },
	{ "latency",
	  "[--size N --count N]: request and answer over one connection to echo",
	  client_latency,
	  { .size = 100, .count = 1000 } },
	{ "rate",
	  "[--seconds S --count N --conns N]: new connections, so many at a time, a byte each, to "
	  "echo",
	  client_rate,
	  { .seconds = 5, .count = 1000000, .conns = 1 } },
	{ "onebyte", "[--count N]: writes of one byte to echo", client_onebyte, { .count = 1000 } },
	{ "reset-client",
	  "[--bytes N --abort]: send N, say how it ended; --abort: reset it ourselves",
	  client_reset,
	  { .bytes = 1 } },
	{ "halfclose-client",
	  "[--bytes N]: send N, FIN, compare the answer of halfclose",
	  client_halfclose,
	  { .bytes = 1000 } },
	{ "shutfirst-client",
	  "[--bytes N]: read to FIN first, then send N and close",
	  client_shutfirst,
	  { .bytes = 1000 } },
	{ "udp-client",
	  "[--size N --count N]: datagrams to udp-echo",
	  client_udp,
	  { .size = 100, .count = 10 } },
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static int help(void)
{
	puts("servers (on all addresses, or on the one of --listen ADDR):\n"
	     "  peer [--listen ADDR] MODE PORT [ARGUMENT]...\n"
	     "  peer [--listen ADDR] multi MODE:PORT[:ARGUMENT]...");
	for (size_t i = 0; i < mode_count; i++)
		printf("    %-10s %s\n", modes[i].name, modes[i].help);
	puts("clients (HOST is an address; all take --timeout-ms; JSON on stdout):\n"
	     "  peer COMMAND HOST PORT [OPTION]...");
	for (size_t i = 0; i < COMMANDS; i++)
		printf("    %-16s %s\n", commands[i].name, commands[i].help);
	return 0;
}

static int bad(const char *what)
{
	fprintf(stderr, "peer: %s: see peer help\n", what);
	return 2;
}

/* Reads "--name value" pairs and flags into the call: true when all were understood. */
static bool options(char **words, struct call *call)
{
	struct {
		const char *name;
		uint64_t *to, max;
	} numbers[] = {
		{ "--bytes", &call->bytes, UINT64_MAX },
		{ "--count", &call->count, 100000000 },
		{ "--conns", &call->conns, 60000 },
		{ "--rate", &call->rate, 100000 },
		{ "--seconds", &call->seconds, 86400 },
		{ "--size", &call->size, 65000 },
		{ "--seed", &call->seed, UINT64_MAX },
		{ "--timeout-ms", &call->timeout_ms, 3600000 },
	};

	for (; *words; words++) {
		bool known = true;

		if (strcmp(*words, "--abort") == 0)
			call->abort = true;
		else if (strcmp(*words, "--no-verify") == 0)
			call->no_verify = true;
		else if (strcmp(*words, "--brief") == 0)
			call->brief = true;
		else if (strcmp(*words, "--path") == 0 && words[1])
			call->path = *++words;
		else
			known = false;
		for (size_t i = 0; !known && i < sizeof(numbers) / sizeof(numbers[0]); i++)
			if (strcmp(*words, numbers[i].name) == 0) {
				known = parse_u64(*++words, numbers[i].max, numbers[i].to);
				break;
			}
		if (!known)
			return false;
	}
	return true;
}

static void stop(int number)
{
	(void)number;
	client_stop = true;
}

static int run_client(const struct command *command, char **words)
{
	struct sigaction on_stop = { .sa_handler = stop };
	struct call call = command->preset;

	if (!words[0] || !words[1] || !address_parse(words[0], words[1], &call.to))
		return bad("want an address and a port");
	call.host = words[0];
	call.port = words[1];
	if (call.timeout_ms == 0)
		call.timeout_ms = 30000;
	if (!options(words + 2, &call))
		return bad("an option is unknown or has a bad value");
	sigaction(SIGTERM, &on_stop, NULL);
	sigaction(SIGINT, &on_stop, NULL);
	setvbuf(stdout, NULL, _IOLBF, 0);
	raise_descriptor_limit();
	return command->run(&call);
}

int main(int argc, char **argv)
{
	const char *address = NULL;
	char spec[256] = "", *one = spec;

	(void)argc;
	argv++;
	if (*argv && strcmp(*argv, "--listen") == 0) {
		address = *++argv;
		if (!address)
			return bad("--listen wants an address");
		argv++;
	}
	if (!*argv)
		return bad("want a mode or a command");
	if (strcmp(*argv, "help") == 0 || strcmp(*argv, "--help") == 0)
		return help();
	for (size_t i = 0; i < COMMANDS; i++)
		if (strcmp(*argv, commands[i].name) == 0)
			return run_client(&commands[i], argv + 1);
	signal(SIGPIPE, SIG_IGN);
	if (strcmp(*argv, "multi") == 0) {
		int count = 0;
		while (argv[1 + count])
			count++;
		return count ? serve(address, argv + 1, count) : bad("multi wants MODE:PORT...");
	}
	for (; *argv; argv++) { /* one mode: its words are a spec with spaces */
		size_t used = strlen(spec);
		int n = snprintf(spec + used, sizeof(spec) - used, "%s%s", used ? ":" : "", *argv);
		if ((size_t)n >= sizeof(spec) - used)
			return bad("arguments too long");
	}
	return serve(address, &one, 1);
}
