/* Belief: a tproxy rule on a port leaves connections alone that existed before it, those that it
 * took live on when it goes, and without a listener behind it the app is reached; all of this
 * without conntrack. A listener that is not transparent is no listener to it. */
#include "e2e/kernel/belief.h"

static const char rules[] =
	"table ip belief { chain c { type filter hook prerouting priority -150; "
	"tcp dport 8080 tproxy to 127.0.0.1:18080; }; }";

static int transparent_listener(int on)
{
	struct sockaddr_storage a = { 0 };
	socklen_t len = sock_address(&a, "127.0.0.1", 18080);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), reuse = 1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof(reuse));
	setsockopt(fd, IPPROTO_IP, IP_TRANSPARENT, &on, sizeof(on));
	BELIEVE(bind(fd, (struct sockaddr *)&a, len) == 0 && listen(fd, 8) == 0);
	return fd;
}

int main(void)
{
	struct netns ns;
	struct pair old, taken, later;
	char where[PG_ADDR_TEXT];
	struct sockaddr_storage a = { 0 };
	socklen_t len = sizeof(a);
	BELIEVE(netns_make(&ns) == 0);
	int app = listen_at("0.0.0.0", 8080);
	BELIEVE(connect_pair(&ns, app, &old));

	int ours = transparent_listener(1);
	BELIEVE(nft(rules) == 0);
	BELIEVE(alive(old.client, old.server) == 0);
	BELIEVE(connect_pair(&ns, ours, &taken));
	BELIEVE(getsockname(taken.server, (struct sockaddr *)&a, &len) == 0);
	BELIEVE(strcmp(sock_text(&a, where), POD4 ":8080") == 0);

	close(ours);
	BELIEVE(connect_pair(&ns, app, &later)); /* fails open by itself */
	BELIEVE(alive(taken.client, taken.server) == 0);
	int deaf = transparent_listener(0);
	BELIEVE(connect_pair(&ns, app, &later));
	close(deaf);

	BELIEVE(nft("delete table ip belief") == 0);
	BELIEVE(alive(old.client, old.server) == 0);
	BELIEVE(alive(taken.client, taken.server) == 0);
	BELIEVE(alive(later.client, later.server) == 0);
	return 0;
}
