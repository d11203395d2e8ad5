#pragma once
#include <stddef.h>

/* What the windows of streams may borrow to grow (window.h). One for all lanes of a laptop's
 * session, or of an agent; zeros but for `bytes` are one that nobody has borrowed from. */
struct pg_pool {
	size_t bytes; /* to be lent, all together */
	size_t lent;
};
