#include "tests/lib/lake_fixture.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/file.h"

/* NDEBUG or not: a fixture that fails must not go on. */
static void must(enum status st, const struct err *err)
{
	if (st == ST_OK)
		return;
	fprintf(stderr, "fixture: %s: %s\n", status_name(st), err->text);
	abort();
}

enum status lake_fixture_call(void *ctx, const char *method, const char *in, struct buf *out,
			      struct err *err)
{
	(void)ctx;
	if (strcmp(method, "echo") == 0) {
		buf_adds(out, in);
		return ST_OK;
	}
	if (strcmp(method, "owner") == 0) {
		buf_addf(out, "%d", (int)getpid());
		return ST_OK;
	}
	return err_set(err, ST_HELD, "held: %s", in);
}

void lake_fixture_own(const char *folder, int ready_fd, int stop_fd)
{
	const struct lake_options options = {
		.access = LAKE_OWN, .create = true, .committer = "owner"};
	struct err err = ERR_INIT;
	struct lake *lake = NULL;
	char c;

	must(lake_open(folder, &options, &lake, &err), &err);
	must(lake_serve(lake, lake_fixture_call, NULL, &err), &err);
	if (write(ready_fd, "r", 1) != 1)
		abort();
	while (read(stop_fd, &c, 1) > 0)
		continue;
	lake_close(lake);
}

/* A program of its own: RocksDB's threads do not survive a fork, and the test may
 * have used it. build/<mode>/tests/KIND/test_x -> build/<mode>/tests/tools/ */
static _Noreturn void become_owner(const char *folder, int ready_fd, int stop_fd)
{
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	AUTO(freep) char *program = NULL;
	AUTO(freep) char *ready = xasprintf("%d", ready_fd);
	AUTO(freep) char *stop = xasprintf("%d", stop_fd);

	self[n > 0 ? n : 0] = '\0';
	for (int i = 0; i < 2 && strrchr(self, '/'); i++)
		*strrchr(self, '/') = '\0';
	program = xasprintf("%s/tools/lake_owner", self);
	execl(program, program, folder, ready, stop, (char *)NULL);
	perror(program);
	_exit(127);
}

void lake_fixture_start_owner(struct lake_fixture *f)
{
	int ready[2], stop[2];
	char c;

	if (pipe(ready) < 0 || pipe(stop) < 0)
		abort();
	fflush(NULL);
	f->owner = fork();
	if (f->owner < 0)
		abort();
	if (f->owner == 0) {
		close(ready[0]);
		close(stop[1]);
		become_owner(f->folder, ready[1], stop[0]);
	}
	close(ready[1]);
	close(stop[0]);
	f->stop_fd = stop[1];
	if (read(ready[0], &c, 1) != 1)
		abort();
	close(ready[0]);
}

void lake_fixture_stop_owner(struct lake_fixture *f)
{
	int status;

	close(f->stop_fd);
	if (waitpid(f->owner, &status, 0) != f->owner || status != 0) {
		fprintf(stderr, "fixture: the owner ended with status %d\n", status);
		abort();
	}
	f->owner = 0;
}

void lake_fixture_open(struct lake_fixture *f, enum lake_way way, size_t name_bytes)
{
	const struct lake_options options = {
		.access = way == LAKE_EMBEDDED ? LAKE_OWN : LAKE_ANY,
		.create = way == LAKE_EMBEDDED,
		.committer = "tester",
	};
	const char *tmp = getenv("TMPDIR");
	struct err err = ERR_INIT;

	*f = (struct lake_fixture){.stop_fd = -1};
	f->top = xasprintf("%s/tidemark-lake-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(f->top))
		abort();
	f->folder = xasprintf("%s/%0*d", f->top, (int)name_bytes, 1);
	if (way == LAKE_SOCKET)
		lake_fixture_start_owner(f);
	must(lake_open(f->folder, &options, &f->lake, &err), &err);
}

void lake_fixture_close(struct lake_fixture *f)
{
	struct err err = ERR_INIT;

	lake_close(f->lake);
	if (f->owner)
		lake_fixture_stop_owner(f);
	must(dir_remove_all(f->top, &err), &err);
	free(f->folder);
	free(f->top);
}
