#include "agent/procfs.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "proto/base/num.h"

/* The pure half: texts of proc(5) to values. */

/* The `index`th field, from 0, of the words in `text`; NULL when there are fewer. */
static const char *word(const char *text, size_t n, unsigned index, size_t *len_out)
{
	const char *end = text + n;
	for (;;) {
		while (text < end && (*text == ' ' || *text == '\t'))
			text++;
		const char *start = text;
		while (text < end && *text != ' ' && *text != '\t' && *text != '\n')
			text++;
		if (text == start)
			return NULL;
		if (index-- == 0) {
			*len_out = (size_t)(text - start);
			return start;
		}
	}
}

static int word_u32(const char *text, size_t n, unsigned index, uint32_t *out)
{
	size_t len;
	uint64_t v;
	const char *w = word(text, n, index, &len);
	if (!w || pg_parse_u64n(w, len, 0, UINT32_MAX, &v) < 0)
		return -EPROTO;
	*out = (uint32_t)v;
	return 0;
}

int pg_procfs_stat(const char *text, size_t n, uint32_t *ppid_out, char name_out[PG_COMM_MAX + 1])
{
	const char *open = memchr(text, '(', n);
	const char *close = memrchr(text, ')', n);
	if (!open || !close || close < open)
		return -EPROTO;
	size_t rest = n - (size_t)(close + 1 - text);
	if (word_u32(close + 1, rest, 1, ppid_out) < 0)
		return -EPROTO;
	size_t len = pg_min((size_t)(close - open - 1), PG_COMM_MAX);
	memcpy(name_out, open + 1, len);
	name_out[len] = '\0';
	return 0;
}

int pg_procfs_uid(const char *text, size_t n, uint32_t *uid_out)
{
	static const char key[] = "Uid:";
	const size_t key_len = sizeof(key) - 1;
	while (n >= key_len) {
		const char *end = memchr(text, '\n', n);
		size_t line = end ? (size_t)(end - text) : n;
		if (line >= key_len && memcmp(text, key, key_len) == 0)
			return word_u32(text + key_len, line - key_len, 1, uid_out);
		if (!end)
			break;
		text += line + 1;
		n -= line + 1;
	}
	return -EPROTO;
}

static bool is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

/* True when the digits that begin at text[at] are a container's own, not those of its monitor
 * ("libpod-conmon-ID", "crio-conmon-ID"). */
static bool is_containers(const char *text, size_t at)
{
	static const char monitor[] = "conmon-";
	const size_t len = sizeof(monitor) - 1;
	return at < len || memcmp(text + at - len, monitor, len) != 0;
}

int pg_procfs_container(const char *text, size_t n, char id_out[PG_CONTAINER_ID + 1])
{
	const char *found = NULL;
	for (size_t at = 0; at < n;) {
		size_t run = 0;
		while (at + run < n && is_hex(text[at + run]))
			run++;
		bool alone = (at == 0 || !isalnum((unsigned char)text[at - 1])) &&
			     (at + run == n || !isalnum((unsigned char)text[at + run]));
		if (run == PG_CONTAINER_ID && alone && is_containers(text, at))
			found = text + at;
		at += run + 1;
	}
	if (!found)
		return -ENOENT;
	memcpy(id_out, found, PG_CONTAINER_ID);
	id_out[PG_CONTAINER_ID] = '\0';
	return 0;
}

int pg_procfs_socket(const char *text, size_t n, uint32_t *inode_out)
{
	static const char lead[] = "socket:[";
	const size_t len = sizeof(lead) - 1;
	uint64_t v;
	if (n <= len || memcmp(text, lead, len) != 0 || text[n - 1] != ']' ||
	    pg_parse_u64n(text + len, n - len - 1, 0, UINT32_MAX, &v) < 0)
		return -EINVAL;
	*inode_out = (uint32_t)v;
	return 0;
}

const char *pg_process_argument(const struct pg_process *p, size_t *at)
{
	if (*at >= p->command_len)
		return NULL;
	const char *argument = p->command + *at;
	*at += strlen(argument) + 1;
	return argument;
}

int pg_socket_owner_compare(const void *a, const void *b)
{
	const struct pg_socket_owner *x = a, *y = b;
	return (x->inode > y->inode) - (x->inode < y->inode);
}
