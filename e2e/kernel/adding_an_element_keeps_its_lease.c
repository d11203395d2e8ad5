/* Belief: the kernel takes an element out of a set when its time-out has passed; adding it once
 * more does not prolong that, removing and adding it in one transaction does, and adding, removing
 * and adding works for an element that has expired as well as for one that has not. */
#include "e2e/kernel/belief.h"

enum { LEASE_MS = 1200 };

static bool is_there(void)
{
	return sh("nft get element inet belief s '{ 80 }' >/dev/null 2>&1") == 0;
}

int main(void)
{
	static const char add[] = "add element inet belief s { 80 timeout 1200ms }";
	BELIEVE(new_ns() >= 0);
	BELIEVE(nft("table inet belief { set s { type inet_service; flags timeout; }; }") == 0);
	BELIEVE(nft(add) == 0);
	BELIEVE(is_there());
	poll(NULL, 0, LEASE_MS + 100);
	BELIEVE(!is_there());

	BELIEVE(nft(add) == 0);
	poll(NULL, 0, LEASE_MS / 2);
	BELIEVE(nft(add) == 0);
	poll(NULL, 0, LEASE_MS / 2 + 100);
	BELIEVE(!is_there());

	BELIEVE(nft(add) == 0);
	poll(NULL, 0, LEASE_MS / 2);
	BELIEVE(nft("delete element inet belief s { 80 }; "
		    "add element inet belief s { 80 timeout 1200ms }") == 0);
	poll(NULL, 0, LEASE_MS / 2 + 100);
	BELIEVE(is_there());
	poll(NULL, 0, LEASE_MS);
	BELIEVE(!is_there());

	for (int i = 0; i < 2; i++)
		BELIEVE(nft("add element inet belief s { 80 timeout 1200ms }; "
			    "delete element inet belief s { 80 }; "
			    "add element inet belief s { 80 timeout 1200ms }") == 0);
	BELIEVE(is_there());
	return 0;
}
