/* import: a plain folder into a branch, as one commit. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "connector/cli/command.h"
#include "connector/cli/folder_walk.h"
#include "connector/cli/progress.h"
#include "core/base/clock.h"

#define PROGRESS_EVERY_US 250000

struct import {
	struct lake *lake;
	const char *dir;
	int dir_fd;
	const char *branch;
	const char *prefix; /* "" or ending with a slash */
	const char *message;
	const struct lake_meta *meta;
	struct folder_walk files;
	struct lake_txn *txn;
	struct lake_id base; /* of txn */
	struct lake_progress progress;
	int64_t started_us;
	int64_t shown_us; /* INT64_MAX: nothing is shown */
};

/* What was uploaded is dropped, and its files removed, as after any error. */
static volatile sig_atomic_t stopped;

static void on_signal(int signal)
{
	(void)signal;
	stopped = 1;
}

static void catch_signals(void)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

static char *target_of(const struct import *im, const struct walked *file)
{
	return xasprintf("%s%s", im->prefix, file->path);
}

/* ---- before anything is changed ---- */

static enum status check_protection(const struct import *im, struct err *err)
{
	AUTO(freep) char *by = NULL;
	bool is_protected = false;
	enum status st = lake_branch_protection(im->lake, im->branch, &is_protected, &by, err);

	if (st != ST_OK || !is_protected)
		return st;
	return err_set(err, ST_PROTECTED,
		       "branch '%s' %s%s%s and refuses imports; use another branch, and merge it",
		       im->branch, by && by[0] ? "belongs to the connector '" : "is protected",
		       by ? by : "", by && by[0] ? "'" : "");
}

static enum status check_names(const struct import *im, struct err *err)
{
	for (size_t i = 0; i < im->files.n; i++) {
		AUTO(freep) char *path = target_of(im, &im->files.files[i]);
		enum status st = lake_path_check(path, err);

		if (st != ST_OK)
			return err_wrap(err, st, "%s/%s", im->dir, im->files.files[i].path);
	}
	return ST_OK;
}

static enum status look(struct import *im, bool skip, struct err *err)
{
	const char *lake = strchr(lake_url(im->lake), ':') + 1; /* file:/folder */
	struct stat own;
	bool known = stat(lake, &own) == 0;
	struct lake_id head;
	enum status st = lake_ref_get(im->lake, LAKE_BRANCH, im->branch, &head, err);

	if (st == ST_OK)
		st = check_protection(im, err);
	if (st == ST_OK)
		st = folder_walk(im->dir, skip, known ? &own : NULL, &im->files, err);
	if (st == ST_OK && im->files.n == 0)
		st = err_set(err, ST_EMPTY, "there are no files in %s", im->dir);
	return st == ST_OK ? check_names(im, err) : st;
}

/* ---- one file ---- */

static bool unchanged(const struct stat *a, const struct stat *b)
{
	return a->st_size == b->st_size && a->st_ino == b->st_ino && a->st_dev == b->st_dev &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	       a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* A file's times go by the kernel's tick: a write in the tick of the one before
 * leaves no trace in them. So reading begins in a later tick than the last
 * write. False: it was written to again. */
static bool settled(int fd, const struct stat *before)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	struct timespec now;
	struct stat st = *before;

	while (clock_gettime(CLOCK_REALTIME_COARSE, &now) == 0 && unchanged(&st, before) &&
	       now.tv_sec == st.st_ctim.tv_sec && now.tv_nsec <= st.st_ctim.tv_nsec)
		if (nanosleep(&pause, NULL) < 0 || fstat(fd, &st) < 0)
			break; /* what is wrong shows in the read */
	return unchanged(&st, before);
}

static void show(struct import *im)
{
	struct clock *clock = clock_system();
	int64_t now_us = im->shown_us == INT64_MAX ? 0 : clock->mono_us(clock);

	if (now_us < im->shown_us || im->shown_us == INT64_MAX)
		return;
	im->shown_us = now_us + PROGRESS_EVERY_US;
	cli_progress_line(&im->progress, im->started_us);
}

static enum status read_all(struct import *im, int fd, const char *file, struct lake_upload *up,
			    struct err *err)
{
	for (;;) {
		void *room = NULL;
		size_t len = 0;
		ssize_t n;
		enum status st = lake_upload_reserve(up, 1, &room, &len, err);

		if (st != ST_OK)
			return st;
		if (stopped)
			return err_set(err, ST_INTERRUPTED, "stopped; nothing was imported");
		n = read(fd, room, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(err, errno, "cannot read %s/%s", im->dir, file);
		if (n == 0)
			return ST_OK;
		lake_upload_advance(up, (size_t)n);
		im->progress.bytes += (uint64_t)n;
		show(im);
	}
}

/* A file that was written to while it was read is of no one moment. A clone is. */
static enum status upload_file(struct import *im, int fd, const char *file, struct lake_upload *up,
			       struct err *err)
{
	struct stat before, after;
	bool cloned = false, still;
	enum status st;

	if (fstat(fd, &before) < 0)
		return err_errno(err, errno, "cannot look at %s/%s", im->dir, file);
	if (!S_ISREG(before.st_mode))
		return err_set(err, ST_FAILED, "%s/%s is no plain file any more", im->dir, file);
	st = lake_upload_defer(up, err);
	if (st == ST_OK)
		st = lake_upload_clone(up, fd, &cloned, err);
	if (st != ST_OK || cloned) {
		im->progress.bytes += cloned ? lake_upload_size(up) : 0;
		return st;
	}
	still = settled(fd, &before);
	st = read_all(im, fd, file, up, err);
	if (st != ST_OK)
		return st;
	if (!still || fstat(fd, &after) < 0 || !unchanged(&before, &after) ||
	    lake_upload_size(up) != (uint64_t)after.st_size)
		return err_set(
			err, ST_FAILED,
			"%s/%s changed while it was read; import it when nobody writes to it",
			im->dir, file);
	return ST_OK;
}

static enum status import_file(struct import *im, const struct walked *file, struct err *err)
{
	AUTO(lake_upload_freep) struct lake_upload *up = NULL;
	AUTO(freep) char *path = target_of(im, file);
	AUTO(closep) int fd = -1;
	enum status st = folder_walk_read(im->dir, im->dir_fd, file->path, &fd, err);

	if (st == ST_OK)
		st = lake_upload_open(im->lake, &up, err);
	if (st == ST_OK)
		st = upload_file(im, fd, file->path, up, err);
	if (st == ST_OK)
		st = lake_upload_finish(up, err);
	if (st == ST_OK)
		st = lake_txn_put(im->txn, path, up, NULL, NULL, err);
	if (st != ST_OK)
		return st;
	(void)MOVE(up);
	im->progress.objects++;
	show(im);
	return ST_OK;
}

/* ---- the commit ---- */

static enum status same_tree(struct lake *lake, const struct lake_id *a, const struct lake_id *b,
			     bool *out, struct err *err)
{
	AUTO(lake_commit_release) struct lake_commit x = {.n_parents = 0};
	AUTO(lake_commit_release) struct lake_commit y = {.n_parents = 0};
	enum status st = lake_commit_read(lake, a, &x, err);

	if (st == ST_OK)
		st = lake_commit_read(lake, b, &y, err);
	if (st == ST_OK)
		*out = lake_id_equal(&x.tree, &y.tree);
	return st;
}

static enum status prepare(void *ctx, struct lake *lake, const struct lake_id *head,
			   struct lake_id *out, struct err *err)
{
	struct import *im = ctx;
	bool same = false;
	enum status st = ST_OK;

	if (!lake_id_equal(head, &im->base))
		st = lake_txn_rebase(im->txn, head, err);
	if (st != ST_OK)
		return st;
	im->base = *head;
	lake_txn_set_message(im->txn, im->message);
	for (size_t i = 0; i < im->meta->n; i++)
		lake_txn_set_meta(im->txn, im->meta->items[i].key, im->meta->items[i].value);
	st = lake_txn_prepare(im->txn, out, err);
	if (st == ST_OK)
		st = same_tree(lake, head, out, &same, err);
	if (st == ST_OK && same)
		st = err_set(err, ST_EMPTY, "branch '%s' holds all of it already", im->branch);
	return st;
}

static enum status import_all(struct import *im, struct lake_id *id, struct err *err)
{
	struct clock *clock = clock_system();
	enum status st = lake_ref_get(im->lake, LAKE_BRANCH, im->branch, &im->base, err);

	im->progress = (struct lake_progress){
		.what = "import", .total_objects = im->files.n, .total_bytes = im->files.bytes};
	im->shown_us = cli_progress_wanted() ? 0 : INT64_MAX;
	im->started_us = clock->mono_us(clock);
	catch_signals();
	if (st == ST_OK)
		st = lake_txn_begin(im->lake, &im->base, &im->txn, err);
	for (size_t i = 0; st == ST_OK && i < im->files.n; i++) {
		st = import_file(im, &im->files.files[i], err);
		if (st == ST_OK && stopped)
			st = err_set(err, ST_INTERRUPTED, "stopped; nothing was imported");
	}
	if (st == ST_OK)
		st = cli_advance(im->lake, im->branch, "import", prepare, im, id, err);
	if (im->shown_us != INT64_MAX)
		cli_progress_wipe();
	lake_txn_free(im->txn);
	return st;
}

/* ---- the command ---- */

static void print_done(const struct cli *cli, const struct import *im, const struct lake_id *id)
{
	char hex[LAKE_ID_SHORT_BYTES];

	if (cli->json) {
		cli_json_line(json_pack("{s:o,s:I,s:I,s:I}", "commit", cli_json_id(id), "files",
					(json_int_t)im->progress.objects, "bytes",
					(json_int_t)im->progress.bytes, "skipped",
					(json_int_t)im->files.skipped));
		return;
	}
	lake_id_short(id, hex);
	printf("imported %" PRIu64 " files (%" PRIu64 " bytes) into %s as %s\n",
	       im->progress.objects, im->progress.bytes, im->branch, hex);
	if (im->files.skipped)
		printf("left out %" PRIu64 " links and special files\n", im->files.skipped);
}

static enum status import(struct cli *cli, struct import *im, bool skip, struct err *err)
{
	AUTO(closep) int dir_fd = -1;
	struct lake_id id;
	enum status st = cli_lake(cli, &im->lake, err);

	if (st == ST_OK)
		st = look(im, skip, err);
	if (st != ST_OK)
		return st;
	im->dir_fd = dir_fd = open(im->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0)
		return err_errno(err, errno, "cannot open the folder %s", im->dir);
	st = import_all(im, &id, err);
	if (st == ST_OK)
		print_done(cli, im, &id);
	return st;
}

static enum status run(struct cli *cli, int n, char **args, struct err *err)
{
	AUTO(cli_args_release) struct cli_args a = {.n = 0};
	AUTO(cli_list_release) struct cli_list pairs = {.n = 0};
	AUTO(lake_meta_release) struct lake_meta meta = LAKE_META_INIT;
	AUTO(freep) char *branch = NULL;
	AUTO(freep) char *prefix = NULL;
	AUTO(freep) char *folder = NULL;
	AUTO(freep) char *message = NULL;
	struct import im = {.meta = &meta};
	bool skip = false;
	const struct cli_option options[] = {
		{"message", 'm', CLI_TEXT, &im.message},
		{"meta", 0, CLI_LIST, &pairs},
		{"skip-special", 0, CLI_FLAG, &skip},
	};
	enum status st = cli_parse(cli, n, args, options, ARRAY_SIZE(options), 2, 2, &a, err);

	if (st == ST_OK)
		st = cli_meta(&pairs, &meta, err);
	if (st == ST_OK)
		st = cli_split(a.items[1], false, &branch, &prefix, err);
	if (st != ST_OK)
		return st;
	folder = prefix[0] && prefix[strlen(prefix) - 1] != '/' ? xasprintf("%s/", prefix)
								: xstrdup(prefix);
	if (!im.message)
		im.message = message = xasprintf("Import %s", a.items[0]);
	im.dir = a.items[0];
	im.branch = branch;
	im.prefix = folder;
	st = import(cli, &im, skip, err);
	folder_walk_release(&im.files);
	return st;
}

const struct command command_import = {
	.name = "import",
	.usage = "DIR BRANCH[:PREFIX] [-m TEXT] [--meta K=V]... [--skip-special]",
	.summary = "takes a plain folder into a branch, as one commit",
	.help = "Each file's path is PREFIX, a slash, and its path below DIR. What is there is "
		"replaced;\nother paths stay. Symbolic links and special files are refused, or "
		"left "
		"out with\n--skip-special; empty folders leave nothing. A file that changes while "
		"it "
		"is read\nends the import. Until the commit nothing is seen. Protected branches "
		"refuse "
		"it, as\nthey refuse put. The data are shared with DIR where the file system can "
		"do "
		"that.\n",
	.run = run,
};
