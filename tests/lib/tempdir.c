#include "tests/lib/tempdir.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/base/file.h"

char *tempdir_new(void)
{
	const char *base = getenv("TIDEMARK_TEST_DIR");
	char *dir;

	if (!base)
		base = getenv("TMPDIR");
	dir = xasprintf("%s/tidemark-test-XXXXXX", base ? base : "/tmp");
	if (!mkdtemp(dir)) {
		perror(dir);
		abort();
	}
	return dir;
}

void tempdir_remove(char **dir)
{
	struct err err = ERR_INIT;

	if (*dir && dir_remove_all(*dir, &err) != ST_OK)
		fprintf(stderr, "%s\n", err.text);
	free(*dir);
	*dir = NULL;
}

void folder_copy(const char *from, const char *to)
{
	AUTO(freep) char *command = xasprintf("rm -rf '%s' && cp -a '%s' '%s'", to, from, to);

	if (system(command) != 0)
		abort();
}
