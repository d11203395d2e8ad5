#include "injector/owner.h"

#include <stdbool.h>
#include <stdio.h>
#include <uv.h>

#include "proto/base/err.h"

void pg_owner_name(char out[PG_OWNER_MAX + 1])
{
	char host[64] = "";
	size_t host_len = sizeof(host);
	uv_passwd_t user;
	bool known = uv_os_get_passwd(&user) == 0;
	uv_os_gethostname(host, &host_len);
	snprintf(out, PG_OWNER_MAX + 1, "%.30s@%.32s", known ? user.username : "somebody", host);
	pg_sanitize(out);
	if (known)
		uv_os_free_passwd(&user);
}
