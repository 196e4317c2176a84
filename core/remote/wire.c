#include "core/remote/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

enum status wire_socket_path(const char *folder, int *dir_fd_out, char **path_out, struct err *err)
{
	AUTO(freep) char *path = xasprintf("%s/" WIRE_SOCKET, folder);
	int fd;

	if (strlen(path) < sizeof(((struct sockaddr_un *)0)->sun_path)) {
		*dir_fd_out = -1;
		*path_out = MOVE(path);
		return ST_OK;
	}
	fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(err, errno, "cannot open the folder %s", folder);
	*dir_fd_out = fd;
	*path_out = xasprintf("/proc/self/fd/%d/" WIRE_SOCKET, fd);
	return ST_OK;
}

/* ---- to JSON ---- */

json_t *wire_text(const char *text)
{
	AUTO(buf_release) struct buf hex = BUF_INIT;
	json_t *j = json_string(text);

	if (j)
		return j;
	buf_add_hex(&hex, text, strlen(text));
	return json_pack("{s:s}", "hex", buf_str(&hex));
}

json_t *wire_id(const struct lake_id *id)
{
	char hex[LAKE_ID_HEX_BYTES];

	lake_id_hex(id, hex);
	return json_string(hex);
}

/* Pairs, not an object: a key may be no UTF-8. */
json_t *wire_meta(const struct lake_meta *meta)
{
	json_t *list = json_array();

	for (size_t i = 0; i < meta->n; i++) {
		json_array_append_new(list, wire_text(meta->items[i].key));
		json_array_append_new(list, wire_text(meta->items[i].value));
	}
	return list;
}

json_t *wire_entry(const struct lake_entry *entry)
{
	return json_pack("{s:o,s:I,s:s,s:o,s:o}", "path", wire_text(entry->path), "size",
			 (json_int_t)entry->size, "checksum", entry->checksum, "content_type",
			 wire_text(entry->content_type), "meta", wire_meta(&entry->meta));
}

json_t *wire_diff_entry(const struct lake_diff_entry *entry)
{
	return json_pack("{s:s,s:o}", "change", lake_change_name(entry->change), "path",
			 wire_text(entry->path));
}

json_t *wire_error(enum status st, const struct err *err)
{
	return json_pack("{s:s,s:o}", "status", status_name(st), "text", wire_text(err->text));
}

/* ---- from JSON ---- */

static bool unhex(const char *hex, char **out)
{
	size_t len = strlen(hex) / 2;
	AUTO(freep) char *text = xmalloc(len + 1);

	for (size_t i = 0; i < len; i++) {
		const char pair[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
		char *end;

		text[i] = (char)strtoul(pair, &end, 16);
		if (*end || text[i] == '\0')
			return false;
	}
	text[len] = '\0';
	*out = MOVE(text);
	return true;
}

static bool text_of(const json_t *j, char **out)
{
	const char *hex;

	if (json_is_string(j)) {
		*out = xstrdup(json_string_value(j));
		return true;
	}
	hex = json_string_value(json_object_get(j, "hex"));
	return hex && unhex(hex, out);
}

bool wire_get_text(const json_t *object, const char *name, char **out)
{
	return text_of(json_object_get(object, name), out);
}

static bool id_of(const json_t *j, struct lake_id *out)
{
	const char *hex = json_string_value(j);

	return hex && lake_id_parse(hex, out);
}

bool wire_get_id(const json_t *object, const char *name, struct lake_id *out)
{
	return id_of(json_object_get(object, name), out);
}

bool wire_get_u64(const json_t *object, const char *name, uint64_t *out)
{
	const json_t *j = json_object_get(object, name);

	if (!json_is_integer(j) || json_integer_value(j) < 0)
		return false;
	*out = (uint64_t)json_integer_value(j);
	return true;
}

bool wire_get_bool(const json_t *object, const char *name, bool *out)
{
	const json_t *j = json_object_get(object, name);

	*out = json_is_true(j);
	return json_is_boolean(j);
}

bool wire_get_meta(const json_t *object, const char *name, struct lake_meta *out)
{
	AUTO(lake_meta_release) struct lake_meta meta = LAKE_META_INIT;
	const json_t *list = json_object_get(object, name);

	if (!json_is_array(list) || json_array_size(list) % 2)
		return false;
	for (size_t i = 0; i < json_array_size(list); i += 2) {
		AUTO(freep) char *key = NULL;
		AUTO(freep) char *value = NULL;

		if (!text_of(json_array_get(list, i), &key) ||
		    !text_of(json_array_get(list, i + 1), &value))
			return false;
		lake_meta_set(&meta, key, value);
	}
	*out = meta;
	meta = (struct lake_meta)LAKE_META_INIT;
	return true;
}

bool wire_get_entry(const json_t *entry, struct lake_entry *out)
{
	AUTO(lake_entry_release) struct lake_entry e = {.path = NULL};

	if (!wire_get_text(entry, "path", &e.path) || !wire_get_u64(entry, "size", &e.size) ||
	    !wire_get_text(entry, "checksum", &e.checksum) ||
	    !wire_get_text(entry, "content_type", &e.content_type) ||
	    !wire_get_meta(entry, "meta", &e.meta))
		return false;
	*out = e;
	e = (struct lake_entry){.path = NULL};
	return true;
}

bool wire_get_diff_entry(const json_t *entry, struct lake_diff_entry *out)
{
	const char *change = json_string_value(json_object_get(entry, "change"));

	for (int c = LAKE_ADDED; change && c <= LAKE_CHANGED; c++)
		if (strcmp(change, lake_change_name((enum lake_change)c)) == 0) {
			out->change = (enum lake_change)c;
			return wire_get_text(entry, "path", &out->path);
		}
	return false;
}

bool wire_get_ids(const json_t *object, const char *name, struct lake_id **out, size_t *n_out)
{
	const json_t *list = json_object_get(object, name);
	size_t n = json_array_size(list);
	AUTO(freep) struct lake_id *ids = xcalloc(n, sizeof(*ids));

	if (!json_is_array(list))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!id_of(json_array_get(list, i), &ids[i]))
			return false;
	*out = MOVE(ids);
	*n_out = n;
	return true;
}

enum status wire_get_error(const json_t *object, struct err *err)
{
	AUTO(freep) char *text = NULL;
	const char *name = json_string_value(json_object_get(object, "status"));
	enum status st = name ? status_by_name(name) : ST_FAILED;

	if (!wire_get_text(object, "text", &text))
		text = xstrdup("the lake's owner gave no reason");
	return err_set(err, st == ST_OK ? ST_FAILED : st, "%s", text);
}

const char *wire_kind_name(enum lake_ref_kind kind)
{
	return kind == LAKE_TAG ? "tag" : "branch";
}

bool wire_kind_by_name(const char *name, enum lake_ref_kind *out)
{
	bool tag = name && strcmp(name, "tag") == 0;

	*out = tag ? LAKE_TAG : LAKE_BRANCH;
	return tag || (name && strcmp(name, "branch") == 0);
}
