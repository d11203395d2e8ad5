#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "proto/base/err.h"

/* The kubeconfig files of one run, and checked access to their entries. Nothing is merged in
 * memory: the first file that has an entry holds it as a whole, so every entry knows its file. */
enum { PG_KUBE_FILES_MAX = 64, PG_KUBE_FILE_BYTES_MAX = 8 << 20, PG_KUBE_PEM_BYTES_MAX = 1 << 20 };

struct pg_kube_file {
	char *path;
	char *dir; /* of `path`, for relative paths in it */
	json_t *root;
};

struct pg_kube_files {
	struct pg_kube_file files[PG_KUBE_FILES_MAX];
	size_t count;
	char *missing; /* paths that do not exist, for a message; NULL: none */
};

/* An entry of clusters, users or contexts. Borrowed from the files. */
struct pg_kube_entry {
	const struct pg_kube_file *file; /* NULL: there is no such entry, everything is absent */
	const char *kind;                /* "cluster", "user", "context" */
	const char *name;
	json_t *map; /* may be NULL: an entry without content */
};

/* Finds and reads: the file `flag` alone when not NULL, else those of KUBECONFIG, else
 * $HOME/.kube/config. Files that do not exist are skipped unless named by the flag. */
int pg_kube_files_load(const char *flag, struct pg_kube_files *out, struct pg_err *err);
void pg_kube_files_fini(struct pg_kube_files *f);

/* The first current-context that is set, borrowed; "" when none is. */
const char *pg_kube_files_context(const struct pg_kube_files *f);

/* The entry `name` of kind "cluster", "user" or "context". False: in no file. */
bool pg_kube_files_find(const struct pg_kube_files *f, const char *kind, const char *name,
			struct pg_kube_entry *out);

/* "a, b, c": the names of all entries of a kind, cut where `size` ends. */
void pg_kube_files_names(const struct pg_kube_files *f, const char *kind, char *out, size_t size);

/* Fails with "kubeconfig FILE: KIND 'NAME': " before the message, class PG_CLUSTER. -EINVAL. */
int pg_kube_bad(const struct pg_kube_entry *e, struct pg_err *err, const char *fmt, ...)
	PG_PRINTF(3, 4);

/* Members. Absent, null and "" all give NULL or false, and 0; another type fails. What comes out
 * in a char ** is owned, and replaces (frees) what was there. */
int pg_kube_text(const struct pg_kube_entry *e, const char *key, char **out, struct pg_err *err);
int pg_kube_bool(const struct pg_kube_entry *e, const char *key, bool *out, struct pg_err *err);
/* A list of texts, NULL-terminated; NULL when absent or empty. */
int pg_kube_list(const struct pg_kube_entry *e, const char *key, char ***out, struct pg_err *err);
/* A path, made relative to the file that holds it. */
int pg_kube_path(const struct pg_kube_entry *e, const char *key, char **out, struct pg_err *err);
/* A PEM text from `key` (names a file) or `key`-data (base64). Both: an error. */
int pg_kube_pem(const struct pg_kube_entry *e, const char *key, char **out, struct pg_err *err);
/* The content of a PEM file that a flag names. */
int pg_kube_pem_file(const char *path, char **out, struct pg_err *err);
/* A member that is a mapping or a list; NULL when absent. */
int pg_kube_member(const struct pg_kube_entry *e, const char *key, bool is_list, json_t **out,
		   struct pg_err *err);

/* `path` as seen from the folder `dir`. Owned; NULL: out of memory. */
char *pg_kube_resolve(const char *dir, const char *path);

void pg_kube_strings_free(char **list);
