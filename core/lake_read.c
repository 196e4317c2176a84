/* Reading objects and differences: checks, and dispatch to the backend. */
#include <stdlib.h>

#include "core/base/file.h"
#include "core/lake_backend.h"

enum status lake_stat(struct lake *lake, const struct lake_id *commit, const char *path,
		      struct lake_entry *out, struct err *err)
{
	return lake->ops->stat(lake, commit, path, out, err);
}

enum status lake_list_open(struct lake *lake, const struct lake_id *commit, const char *prefix,
			   struct lake_list **out, struct err *err)
{
	return lake->ops->list_open(lake, commit, prefix ? prefix : "", out, err);
}

enum status lake_list_next(struct lake_list *list, struct lake_entry *out, struct err *err)
{
	return list->lake->ops->list_next(list, out, err);
}

enum status lake_list_seek(struct lake_list *list, const char *key, struct err *err)
{
	return list->lake->ops->list_seek(list, key, err);
}

void lake_list_close(struct lake_list *list)
{
	if (list)
		list->lake->ops->list_close(list);
}

enum status lake_object_open(struct lake *lake, const struct lake_id *commit, const char *path,
			     struct lake_object **out, struct err *err)
{
	return lake->ops->object_open(lake, commit, path, out, err);
}

uint64_t lake_object_size(const struct lake_object *object)
{
	return object->size;
}

const char *lake_object_path(const struct lake_object *object)
{
	return object->path;
}

enum status lake_object_read(struct lake_object *object, uint64_t offset, void *data, size_t len,
			     size_t *n_out, struct err *err)
{
	return object->lake->ops->object_read(object, offset, data, len, n_out, err);
}

enum status lake_object_copy(struct lake_object *object, int fd, struct err *err)
{
	const size_t step = 1u << 20;
	AUTO(freep) char *data = NULL;
	uint64_t offset = 0;

	if (object->lake->ops->object_copy)
		return object->lake->ops->object_copy(object, fd, err);
	data = xmalloc(step);
	while (offset < object->size) {
		size_t n = 0;
		enum status st = lake_object_read(object, offset, data, step, &n, err);

		if (st == ST_OK)
			st = fd_write_all(fd, data, n, "the copy of an object", err);
		if (st != ST_OK)
			return st;
		offset += n;
	}
	return ST_OK;
}

void lake_object_close(struct lake_object *object)
{
	if (object)
		object->lake->ops->object_close(object);
}

enum status lake_read(struct lake *lake, const struct lake_id *commit, const char *path, size_t max,
		      struct buf *out, struct err *err)
{
	AUTO(lake_object_closep) struct lake_object *object = NULL;
	size_t n = 0;
	size_t size;
	enum status st = lake_object_open(lake, commit, path, &object, err);

	if (st != ST_OK)
		return st;
	if (object->size > max)
		return err_set(err, ST_FAILED, "'%s' has %llu bytes, more than %zu", path,
			       (unsigned long long)object->size, max);
	size = (size_t)object->size;
	buf_reserve(out, size);
	st = lake_object_read(object, 0, out->data + out->len, size, &n, err);
	if (st != ST_OK) {
		out->data[out->len] = '\0';
		return st;
	}
	out->len += n;
	out->data[out->len] = '\0';
	return ST_OK;
}

enum status lake_diff_open(struct lake *lake, const struct lake_id *a, const struct lake_id *b,
			   const char *prefix, struct lake_diff **out, struct err *err)
{
	const struct lake_span span = {.prefix = prefix ? prefix : "", .from = "", .until = ""};

	return lake->ops->diff_open(lake, a, b, &span, out, err);
}

enum status lake_diff_open_between(struct lake *lake, const struct lake_id *a,
				   const struct lake_id *b, const char *from, const char *until,
				   struct lake_diff **out, struct err *err)
{
	const struct lake_span span = {.prefix = "", .from = from, .until = until ? until : ""};

	return lake->ops->diff_open(lake, a, b, &span, out, err);
}

enum status lake_diff_count(struct lake *lake, const struct lake_id *a, const struct lake_id *b,
			    const char *prefix, uint64_t limit, uint64_t *out, struct err *err)
{
	return lake->ops->diff_count(lake, a, b, prefix, limit, out, err);
}

enum status lake_diff_next(struct lake_diff *diff, struct lake_diff_entry *out, struct err *err)
{
	return diff->lake->ops->diff_next(diff, out, err);
}

void lake_diff_close(struct lake_diff *diff)
{
	if (diff)
		diff->lake->ops->diff_close(diff);
}

/* ---- holds ---- */

/* A difference of the commit from itself: every backend keeps what it compares for
 * as long as it is open, at the owner too. */
enum status lake_hold(struct lake *lake, const struct lake_id *commit, struct lake_hold **out,
		      struct err *err)
{
	struct lake_diff *diff;
	enum status st = lake_diff_open(lake, commit, commit, "", &diff, err);

	if (st == ST_OK)
		*out = (struct lake_hold *)diff;
	return st;
}

void lake_hold_release(struct lake_hold *hold)
{
	lake_diff_close((struct lake_diff *)hold);
}

void lake_open_reserve(struct lake *lake)
{
	if (lake->ops->open_reserve)
		lake->ops->open_reserve(lake);
}

enum status lake_free_bytes(struct lake *lake, uint64_t *out, struct err *err)
{
	return lake->ops->free_bytes(lake, out, err);
}

/* ---- gc ---- */

uint64_t lake_gc_freed_bytes(const struct lake_gc_report *report)
{
	return report->commits.freed_bytes + report->nodes.freed_bytes + report->small.freed_bytes +
	       report->files.freed_bytes + report->temp_bytes;
}

enum status lake_gc(struct lake *lake, const struct lake_gc_options *options,
		    struct lake_gc_report *out, struct err *err)
{
	if (options->history_retain_ms < 0 || options->reflog_retain_ms < 0 ||
	    options->grace_ms < 0)
		return err_set(err, ST_USAGE, "gc: a time to retain is negative");
	return lake->ops->gc(lake, options, out, err);
}

enum status lake_check_expired(struct lake *lake, const struct lake_id *shown,
			       const struct lake_id *wanted, struct err *err)
{
	return lake->ops->check_expired(lake, shown, wanted, err);
}
