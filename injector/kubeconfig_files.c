#include "injector/kubeconfig_files.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "injector/read_file.h"
#include "injector/yaml_doc.h"
#include "proto/base/mem.h"

static int no_memory(struct pg_err *err)
{
	return pg_fail(err, -ENOMEM, "read the kubeconfig");
}

char *pg_kube_resolve(const char *dir, const char *path)
{
	if (path[0] == '/')
		return pg_strdup(path);
	return pg_asprintf("%s/%s", dir, path);
}

static char *folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	if (!slash)
		return pg_strdup(".");
	return slash == path ? pg_strdup("/") : pg_strndup(path, (size_t)(slash - path));
}

/* "clusters" for "cluster": the list of the file that holds entries of a kind. */
static const json_t *entries_of(const struct pg_kube_file *file, const char *kind)
{
	char key[16];
	snprintf(key, sizeof(key), "%ss", kind);
	return json_object_get(file->root, key);
}

/* An entry without a name has the name "", as for kubectl. NULL: not text. */
static const char *name_of(const json_t *item)
{
	const json_t *name = json_object_get(item, "name");
	return name && !json_is_null(name) ? json_string_value(name) : "";
}

static int bad_file(const char *path, struct pg_err *err)
{
	pg_wrap(err, "kubeconfig %s", path);
	return pg_hint(err, PG_CLUSTER, "correct the file, or name another one with --kubeconfig");
}

static int refuse(const char *path, struct pg_err *err, const char *what)
{
	pg_fail(err, -EINVAL, "%s", what);
	return bad_file(path, err);
}

static int check_entries(const struct pg_kube_file *file, const char *kind, struct pg_err *err)
{
	const json_t *list = entries_of(file, kind);
	char text[300];
	size_t i;
	json_t *item;
	snprintf(text, sizeof(text), "%ss must be a list of entries whose name is text", kind);
	if (list && !json_is_array(list) && !json_is_null(list))
		return refuse(file->path, err, text);
	json_array_foreach(list, i, item)
	{
		const json_t *content = json_object_get(item, kind);
		if (!json_is_object(item) || !name_of(item))
			return refuse(file->path, err, text);
		if (content && !json_is_object(content) && !json_is_null(content)) {
			snprintf(text, sizeof(text), "%s '%.200s' must be a mapping", kind,
				 name_of(item));
			return refuse(file->path, err, text);
		}
		for (size_t j = 0; j < i; j++) {
			if (strcmp(name_of(json_array_get(list, j)), name_of(item)) != 0)
				continue;
			snprintf(text, sizeof(text), "%s '%.200s' is there twice", kind,
				 name_of(item));
			return refuse(file->path, err, text);
		}
	}
	return 0;
}

/* Absent or equal. */
static bool says(const json_t *root, const char *key, const char *want)
{
	const json_t *value = json_object_get(root, key);
	return !value || json_is_null(value) ||
	       (json_is_string(value) && strcmp(json_string_value(value), want) == 0);
}

static int check_file(const struct pg_kube_file *file, struct pg_err *err)
{
	const json_t *current = json_object_get(file->root, "current-context");
	if (!json_is_object(file->root))
		return refuse(file->path, err, "this is no mapping, so no kubeconfig");
	if (!says(file->root, "kind", "Config") || !says(file->root, "apiVersion", "v1"))
		return refuse(file->path, err, "this is not of kind Config, apiVersion v1");
	if (current && !json_is_string(current) && !json_is_null(current))
		return refuse(file->path, err, "current-context must be text (put it in quotes)");
	int rc = check_entries(file, "cluster", err);
	if (rc == 0)
		rc = check_entries(file, "user", err);
	return rc < 0 ? rc : check_entries(file, "context", err);
}

static int parse_file(struct pg_kube_file *file, const struct pg_buf *text, struct pg_err *err)
{
	json_t *root = NULL;
	int rc = pg_yaml_parse(pg_buf_str(text), text->len, &root, err);
	if (rc < 0)
		return bad_file(file->path, err);
	if (!root || json_is_null(root)) { /* an empty file is an empty configuration */
		json_decref(root);
		root = json_object();
	}
	file->root = root;
	return root ? check_file(file, err) : no_memory(err);
}

/* Reads `path` into the next slot. -ENOENT is for the caller to judge. */
static int add_file(struct pg_kube_files *f, const char *path, struct pg_err *err)
{
	struct pg_kube_file *file = &f->files[f->count];
	struct pg_buf text = PG_BUF_INIT(PG_KUBE_FILE_BYTES_MAX);
	int rc = pg_read_file(path, &text, err);
	if (rc < 0) {
		pg_buf_fini(&text);
		if (rc == -ENOENT)
			return rc;
		pg_wrap(err, "kubeconfig");
		return pg_hint(
			err, PG_CLUSTER,
			"check the file's permissions, or name another one with --kubeconfig");
	}
	f->count++;
	file->path = pg_strdup(path);
	file->dir = folder_of(path);
	rc = file->path && file->dir ? parse_file(file, &text, err) : no_memory(err);
	pg_buf_fini(&text);
	return rc;
}

static bool has_path(const struct pg_kube_files *f, const char *path)
{
	for (size_t i = 0; i < f->count; i++)
		if (strcmp(f->files[i].path, path) == 0)
			return true;
	return false;
}

static int note_missing(struct pg_kube_files *f, const char *path, struct pg_err *err)
{
	char *all = f->missing ? pg_asprintf("%s, %s", f->missing, path) : pg_strdup(path);
	if (!all)
		return no_memory(err);
	free(f->missing);
	f->missing = all;
	return 0;
}

/* The files of a list such as "a:b::c", in order, each once. */
static int add_list(struct pg_kube_files *f, const char *list, struct pg_err *err)
{
	while (*list) {
		size_t n = strcspn(list, ":");
		pg_auto_free char *path = pg_strndup(list, n);
		list += n + (list[n] == ':');
		if (!path)
			return no_memory(err);
		if (n == 0 || has_path(f, path))
			continue;
		if (f->count == PG_KUBE_FILES_MAX) {
			pg_fail(err, -E2BIG, "KUBECONFIG names over %d files.", PG_KUBE_FILES_MAX);
			return pg_hint(err, PG_USER, "shorten KUBECONFIG, or give --kubeconfig");
		}
		int rc = add_file(f, path, err);
		if (rc == -ENOENT)
			rc = note_missing(f, path, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int add_named(struct pg_kube_files *f, const char *path, struct pg_err *err)
{
	int rc = add_file(f, path, err);
	if (rc != -ENOENT)
		return rc;
	pg_wrap(err, "--kubeconfig");
	return pg_hint(err, PG_USER, "name a file that exists, or leave --kubeconfig away");
}

static int add_default(struct pg_kube_files *f, struct pg_err *err)
{
	const char *home = getenv("HOME");
	if (!home || !*home)
		return 0;
	pg_auto_free char *path = pg_asprintf("%s/.kube/config", home);
	if (!path)
		return no_memory(err);
	int rc = add_file(f, path, err);
	return rc == -ENOENT ? note_missing(f, path, err) : rc;
}

int pg_kube_files_load(const char *flag, struct pg_kube_files *out, struct pg_err *err)
{
	const char *list = getenv("KUBECONFIG");
	struct pg_kube_files f = { .count = 0 };
	int rc;
	if (flag && *flag)
		rc = add_named(&f, flag, err);
	else if (list && *list)
		rc = add_list(&f, list, err);
	else
		rc = add_default(&f, err);
	if (rc < 0)
		pg_kube_files_fini(&f);
	else
		*out = f;
	return rc;
}

void pg_kube_files_fini(struct pg_kube_files *f)
{
	for (size_t i = 0; i < f->count; i++) {
		free(f->files[i].path);
		free(f->files[i].dir);
		json_decref(f->files[i].root);
	}
	free(f->missing);
	*f = (struct pg_kube_files){ .count = 0 };
}

const char *pg_kube_files_context(const struct pg_kube_files *f)
{
	for (size_t i = 0; i < f->count; i++) {
		const char *name =
			json_string_value(json_object_get(f->files[i].root, "current-context"));
		if (name && *name)
			return name;
	}
	return "";
}

bool pg_kube_files_find(const struct pg_kube_files *f, const char *kind, const char *name,
			struct pg_kube_entry *out)
{
	for (size_t i = 0; i < f->count; i++) {
		size_t at;
		json_t *item;
		json_array_foreach(entries_of(&f->files[i], kind), at, item)
		{
			if (strcmp(name_of(item), name) != 0)
				continue;
			*out = (struct pg_kube_entry){
				.file = &f->files[i],
				.kind = kind,
				.name = name_of(item),
				.map = json_object_get(item, kind),
			};
			return true;
		}
	}
	return false;
}

void pg_kube_files_names(const struct pg_kube_files *f, const char *kind, char *out, size_t size)
{
	size_t used = 0;
	out[0] = '\0';
	for (size_t i = 0; i < f->count; i++) {
		size_t at;
		json_t *item;
		json_array_foreach(entries_of(&f->files[i], kind), at, item)
		{
			int n = snprintf(out + used, size - used, "%s%s", used > 0 ? ", " : "",
					 name_of(item));
			if (n < 0 || (size_t)n >= size - used)
				return;
			used += (size_t)n;
		}
	}
}
