#include "connector/gates/gate_files.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "connector/writer/deadletter_writer.h"

#define DOCUMENTS "_tidemark/"

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

bool is_dead_letter(const char *path)
{
	return begins(path, DEADLETTER_FOLDER);
}

bool gate_wants(const struct gate_config *gate, const char *path)
{
	if (gate->paths.n == 0)
		return !is_dead_letter(path);
	for (size_t i = 0; i < gate->paths.n; i++) {
		const char *p = gate->paths.items[i];

		if (strpbrk(p, "*?[") ? fnmatch(p, path, 0) == 0 : begins(path, p))
			return true;
	}
	return false;
}

void gate_file_release(struct gate_file *file)
{
	lake_entry_release(&file->entry);
}

struct gate_files {
	const struct gate_subject *subject;
	bool all;
	size_t root; /* the next */
	struct lake_diff *diff; /* of the root before; NULL: none is open */
	struct lake_list *list; /* with all */
	struct lake_diff_entry change; /* read ahead with all; path NULL: none */
};

struct gate_files *gate_files_new(const struct gate_subject *subject, bool all)
{
	struct gate_files *f = xcalloc(1, sizeof(*f));

	f->subject = subject;
	f->all = all;
	return f;
}

static void end_root(struct gate_files *f)
{
	lake_diff_close(MOVE(f->diff));
	lake_list_close(MOVE(f->list));
	free(MOVE(f->change.path));
}

void gate_files_free(struct gate_files *f)
{
	if (!f)
		return;
	end_root(f);
	free(f);
}

/* The next path that is there and differs; ST_END. */
static enum status next_change(struct gate_files *f, struct err *err)
{
	enum status st;

	free(MOVE(f->change.path));
	while ((st = lake_diff_next(f->diff, &f->change, err)) == ST_OK &&
	       f->change.change == LAKE_REMOVED)
		free(MOVE(f->change.path));
	if (st != ST_OK)
		f->change.path = NULL;
	return st;
}

static enum status next_root(struct gate_files *f, struct err *err)
{
	const struct gate_subject *s = f->subject;
	const char *root;
	enum status st;

	end_root(f);
	while (f->root < s->roots->n && begins(s->roots->items[f->root], DOCUMENTS))
		f->root++;
	if (f->root == s->roots->n)
		return ST_END;
	root = s->roots->items[f->root++];
	st = lake_diff_open(s->lake, &s->target_head, &s->merged, root, &f->diff, err);
	if (st == ST_OK && f->all) {
		st = lake_list_open(s->lake, &s->merged, root, &f->list, err);
		if (st == ST_OK)
			st = next_change(f, err);
		if (st == ST_END)
			st = ST_OK;
	}
	return st;
}

static enum status next_listed(struct gate_files *f, struct gate_file *out, struct err *err)
{
	enum status st = lake_list_next(f->list, &out->entry, err);

	if (st != ST_OK)
		return st;
	out->added = f->change.path && strcmp(f->change.path, out->entry.path) == 0;
	if (out->added)
		st = next_change(f, err);
	if (st == ST_OK || st == ST_END)
		return ST_OK;
	gate_file_release(out);
	return st;
}

static enum status next_added(struct gate_files *f, struct gate_file *out, struct err *err)
{
	enum status st = next_change(f, err);

	out->added = true;
	return st == ST_OK ? lake_stat(f->subject->lake, &f->subject->merged, f->change.path,
				       &out->entry, err)
			   : st;
}

enum status gate_files_next(struct gate_files *f, struct gate_file *out, struct err *err)
{
	enum status st;

	for (;;) {
		if (!f->diff && (st = next_root(f, err)) != ST_OK)
			return st;
		*out = (struct gate_file){.added = false};
		st = f->all ? next_listed(f, out, err) : next_added(f, out, err);
		if (st != ST_END)
			return st;
		end_root(f);
	}
}
