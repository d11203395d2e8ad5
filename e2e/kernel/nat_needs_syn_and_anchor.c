/* Belief: a NAT redirect that matches more than SYN resets connections that exist, because
 * conntrack takes them for new ones; one that matches SYN alone spares them. Connections that it
 * took die with the last NAT rule of the namespace, and live on beside any rule with NAT in it, be
 * it one that no packet matches, or one whose set is empty. */
#include "e2e/kernel/belief.h"

#define TABLE(rule)                                                                 \
	"table ip belief { set ports { type inet_service; elements = { 8080 }; }; " \
	"chain c { type nat hook prerouting priority -101; " rule "; }; }"

static const char any_packet[] = TABLE("tcp dport @ports redirect to :18080");
static const char syn_only[] =
	TABLE("tcp flags & (fin|syn|rst|ack) == syn tcp dport @ports redirect to :18080");

int main(void)
{
	struct netns ns;
	struct pair old, taken;
	BELIEVE(netns_make(&ns) == 0);
	int app = listen_at("0.0.0.0", 8080), ours = listen_at("0.0.0.0", 18080);

	BELIEVE(connect_pair(&ns, app, &old));
	BELIEVE(nft(any_packet) == 0);
	BELIEVE(alive(old.client, old.server) < 0);
	BELIEVE(nft("delete table ip belief") == 0);

	BELIEVE(connect_pair(&ns, app, &old));
	BELIEVE(nft(syn_only) == 0);
	BELIEVE(alive(old.client, old.server) == 0);
	BELIEVE(connect_pair(&ns, ours, &taken));

	BELIEVE(nft("delete element ip belief ports { 8080 }") == 0);
	BELIEVE(alive(taken.client, taken.server) == 0);
	BELIEVE(alive(old.client, old.server) == 0);
	BELIEVE(nft("delete table ip belief") == 0);
	BELIEVE(alive(taken.client, taken.server) < 0);
	BELIEVE(alive(old.client, old.server) == 0);
	return 0;
}
