#include "agent/nft_watch.h"

#include <errno.h>
#include <sys/socket.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

int pg_nft_watch_open(int *fd_out, struct pg_err *err)
{
	int group = NFNLGRP_NFTABLES;
	struct sockaddr_nl us = { .nl_family = AF_NETLINK };
	pg_auto_close int fd =
		socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_NETFILTER);
	if (fd < 0 || bind(fd, (struct sockaddr *)&us, sizeof(us)) < 0 ||
	    setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0)
		return pg_fail(err, -errno, "watch the pod's nf_tables rules");
	*fd_out = pg_take_fd(&fd);
	return 0;
}

static bool is_about_tables(const struct nlmsghdr *nlh)
{
	unsigned type = NFNL_MSG_TYPE(nlh->nlmsg_type);
	return NFNL_SUBSYS_ID(nlh->nlmsg_type) == NFNL_SUBSYS_NFTABLES &&
	       (type == NFT_MSG_NEWTABLE || type == NFT_MSG_DELTABLE);
}

bool pg_nft_watch_read(int fd)
{
	_Alignas(struct nlmsghdr) char buf[16 << 10];
	bool changed = false;
	for (;;) {
		ssize_t got = recv(fd, buf, sizeof(buf), MSG_DONTWAIT | MSG_TRUNC);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 && errno != ENOBUFS)
			return changed;
		if (got < 0 || (size_t)got > sizeof(buf)) {
			changed = true; /* the kernel had no room for some, or we for all of one */
			continue;
		}
		int left = (int)got;
		for (const struct nlmsghdr *nlh = (const void *)buf; mnl_nlmsg_ok(nlh, left);
		     nlh = mnl_nlmsg_next(nlh, &left))
			changed = changed || is_about_tables(nlh);
	}
}
