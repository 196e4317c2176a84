/* The plain files below a folder, and what is not followed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "connector/cli/folder_walk.h"
#include "tests/lib/must.h"
#include "tests/lib/tempdir.h"

static char *folder;

static void write_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT, 0666);

	assert_true(fd >= 0);
	close(fd);
}

static int enter(void **state)
{
	(void)state;
	folder = tempdir_new();
	if (chdir(folder) < 0)
		return -1;
	return mkdir("in", 0777) || mkdir("in/a", 0777);
}

static int leave(void **state)
{
	(void)state;
	if (chdir("/") < 0)
		return -1;
	tempdir_remove(&folder);
	return 0;
}

/* A folder that becomes a link after the walk is not gone through. */
static void test_link_in_the_way(void **state)
{
	struct folder_walk w = {.n = 0};
	int dir_fd, fd = -1;

	(void)state;
	write_file("in/a/file");
	MUST(folder_walk("in", false, NULL, &w, &err));
	assert_int_equal(w.n, 1);
	assert_string_equal(w.files[0].path, "a/file");
	dir_fd = open("in", O_RDONLY | O_DIRECTORY);
	MUST(folder_walk_read("in", dir_fd, w.files[0].path, &fd, &err));
	close(fd);
	assert_int_equal(rename("in/a", "in/elsewhere"), 0);
	assert_int_equal(symlink("elsewhere", "in/a"), 0);
	MUST_SAY(ST_IO, "in/a/file", folder_walk_read("in", dir_fd, w.files[0].path, &fd, &err));
	close(dir_fd);
	folder_walk_release(&w);
	/* The walk itself refuses it, or leaves it out. */
	w = (struct folder_walk){.n = 0};
	MUST_SAY(ST_USAGE, "symbolic link", folder_walk("in", false, NULL, &w, &err));
	folder_walk_release(&w);
	w = (struct folder_walk){.n = 0};
	MUST(folder_walk("in", true, NULL, &w, &err));
	assert_int_equal(w.n, 1);
	assert_int_equal(w.skipped, 1);
	folder_walk_release(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_link_in_the_way, enter, leave),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
