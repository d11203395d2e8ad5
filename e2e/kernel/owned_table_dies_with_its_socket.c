/* Belief: a table with the owner flag is gone when its owner's netlink socket is, however that
 * comes about, and before anybody can have noticed the death: after waitpid() of a killed owner it
 * is not listed any more. A child that inherited the socket keeps the table. Others can neither
 * change the table nor make one of its name, and a flush of everything passes it by. */
#include <signal.h>
#include <sys/prctl.h>

#include "agent/nft_table.h"
#include "e2e/kernel/belief.h"

static bool is_listed(void)
{
	char text[4096];
	ruleset(text, sizeof(text));
	return strstr(text, "table inet belief") != NULL;
}

static struct pg_nft *own(void)
{
	struct pg_err err = { 0 };
	struct pg_nft *n = NULL;
	BELIEVE(pg_nft_open(&n, &err) == 0);
	pg_nft_begin(n);
	pg_nft_add_table(n, "belief", PG_NFT_OWNED, NULL);
	BELIEVE(pg_nft_commit(n, NULL, &err) == 0);
	return n;
}

/* A process that owns the table, and when `heir` is set has a child with the same socket. */
static pid_t start_owner(pid_t *heir)
{
	int ready[2];
	pid_t child = 0;
	BELIEVE(pipe(ready) == 0);
	pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		own();
		if (heir)
			child = fork();
		if (heir && child == 0)
			for (int i = 0; i < 100; i++) /* ends by itself, whatever happens */
				poll(NULL, 0, 100);
		else if (write(ready[1], &child, sizeof(child)) == sizeof(child))
			for (;;)
				pause();
		_exit(0);
	}
	BELIEVE(read(ready[0], &child, sizeof(child)) == sizeof(child));
	close(ready[0]);
	close(ready[1]);
	if (heir)
		*heir = child;
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

int main(void)
{
	pid_t heir;
	BELIEVE(new_ns() >= 0);
	for (int i = 0; i < 20; i++) {
		pid_t owner = start_owner(NULL);
		BELIEVE(is_listed());
		end(owner);
		BELIEVE(!is_listed());
	}

	struct pg_nft *n = own();
	BELIEVE(nft("flush ruleset") == 0);
	BELIEVE(is_listed());
	BELIEVE(sh("nft delete table inet belief 2>/dev/null") != 0);
	BELIEVE(sh("nft add chain inet belief c 2>/dev/null") != 0);
	pg_nft_close(n);
	BELIEVE(!is_listed());

	pid_t owner = start_owner(&heir);
	end(owner);
	BELIEVE(is_listed());
	kill(heir, SIGKILL); /* no child of ours: its end is seen by the table's */
	for (int i = 0; i < 50 && is_listed(); i++)
		poll(NULL, 0, 20);
	BELIEVE(!is_listed());
	return 0;
}
