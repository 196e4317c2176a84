/* The gate that asks a command, in a folder of its own. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "connector/gates/gate_files.h"
#include "connector/gates/gate_run.h"
#include "connector/gates/shell.h"
#include "core/base/file.h"

/* A folder of the gate's own: the list of changes, and the files where it asks
 * for them. */
struct workspace {
	char *dir;
	char *changes;
	char *files; /* NULL: not asked for */
};

static void workspace_remove(struct workspace *w)
{
	if (w->dir)
		(void)!dir_remove_all(w->dir, NULL);
	free(w->dir);
	free(w->changes);
	free(w->files);
}

static enum status write_changes(const struct gate_run *run, const struct workspace *w,
				 struct err *err)
{
	const struct gate_subject *s = run->subject;
	AUTO(buf_release) struct buf text = BUF_INIT;
	AUTO(closep) int fd = -1;
	enum status st = ST_OK;

	for (size_t i = 0; st == ST_OK && i < s->roots->n; i++) {
		AUTO(lake_diff_closep) struct lake_diff *diff = NULL;
		struct lake_diff_entry entry;

		st = lake_diff_open(s->lake, &s->target_head, &s->merged, s->roots->items[i], &diff,
				    err);
		while (st == ST_OK && (st = lake_diff_next(diff, &entry, err)) == ST_OK) {
			if (run->gate->paths.n == 0 || gate_wants(run->gate, entry.path))
				buf_addf(&text, "%s\t%s\n", lake_change_name(entry.change),
					 entry.path);
			free(entry.path);
		}
		if (st == ST_END)
			st = ST_OK;
	}
	if (st != ST_OK)
		return st;
	fd = open(w->changes, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_errno(err, errno, "cannot create %s", w->changes);
	return fd_write_all(fd, buf_str(&text), text.len, w->changes, err);
}

/* A copy under the folder, by the path that it has in the lake. */
static enum status copy_file(const struct gate_run *run, const char *folder, const char *path,
			     struct err *err)
{
	const struct gate_subject *s = run->subject;
	AUTO(lake_object_closep) struct lake_object *object = NULL;
	AUTO(freep) char *to = xasprintf("%s/%s", folder, path);
	AUTO(closep) int fd = -1;
	char *slash = strrchr(to, '/');
	enum status st;

	*slash = '\0';
	st = dir_create_all(to, err);
	*slash = '/';
	if (st == ST_OK)
		st = lake_object_open(s->lake, &s->merged, path, &object, err);
	if (st != ST_OK)
		return st;
	fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_errno(err, errno, "cannot create %s", to);
	return lake_object_copy(object, fd, err);
}

static enum status copy_files(const struct gate_run *run, const struct workspace *w,
			      struct err *err)
{
	AUTO(gate_files_freep)
	struct gate_files *files = gate_files_new(run->subject, run->gate->all);
	struct gate_file file;
	enum status st = dir_create_all(w->files, err);

	while (st == ST_OK && (st = gate_files_next(files, &file, err)) == ST_OK) {
		st = gate_time(run, err);
		if (st == ST_OK &&
		    (run->gate->paths.n == 0 || gate_wants(run->gate, file.entry.path)))
			st = copy_file(run, w->files, file.entry.path, err);
		gate_file_release(&file);
	}
	return st == ST_END ? ST_OK : st;
}

static enum status workspace_make(const struct gate_run *run, struct workspace *w, struct err *err)
{
	const char *top = getenv("TMPDIR");
	AUTO(freep) char *dir = xasprintf("%s/tidemark-gate-XXXXXX", top && *top ? top : "/tmp");
	enum status st;

	if (!mkdtemp(dir))
		return err_errno(err, errno, "cannot create %s", dir);
	w->dir = MOVE(dir);
	w->changes = xasprintf("%s/changes", w->dir);
	w->files = run->gate->files ? xasprintf("%s/files", w->dir) : NULL;
	st = write_changes(run, w, err);
	return st == ST_OK && w->files ? copy_files(run, w, err) : st;
}

/* The gate's variables; NULL-terminated. */
static void make_variables(const struct gate_subject *s, const struct workspace *w, char *list[6])
{
	char merged[LAKE_ID_HEX_BYTES], target[LAKE_ID_HEX_BYTES];

	lake_id_hex(&s->merged, merged);
	lake_id_hex(&s->target_head, target);
	list[0] = xasprintf("TIDEMARK_LAKE=%s", lake_url(s->lake));
	list[1] = xasprintf("TIDEMARK_REF=%s", merged);
	list[2] = xasprintf("TIDEMARK_TARGET_HEAD=%s", target);
	list[3] = xasprintf("TIDEMARK_CHANGES=%s", w->changes);
	list[4] = w->files ? xasprintf("TIDEMARK_FILES=%s", w->files) : NULL;
	list[5] = NULL;
}

static enum status run_in(struct gate_run *run, const struct workspace *w, struct err *err)
{
	char *variables[6];
	const struct shell_command command = {
		.command = run->gate->command,
		.variables = variables,
		.timeout_ms = run->gate->timeout_ms,
		.stop = run->subject->stop,
	};
	enum status st;

	make_variables(run->subject, w, variables);
	st = shell_run(&command, &run->output, err);
	for (char **v = variables; *v; v++)
		free(*v);
	return st == ST_BUSY ? err_set(err, ST_HELD, "no verdict within %" PRId64 " ms",
				       run->gate->timeout_ms)
			     : st;
}

enum status gate_run_command(struct gate_run *run, struct err *err)
{
	AUTO(workspace_remove) struct workspace w = {.dir = NULL};
	enum status st = workspace_make(run, &w, err);

	return st == ST_OK ? run_in(run, &w, err) : st;
}
