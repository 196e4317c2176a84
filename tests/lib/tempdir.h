/* A folder of its own for a test, removed at the end of it. */
#ifndef TIDEMARK_TESTS_TEMPDIR_H
#define TIDEMARK_TESTS_TEMPDIR_H

#include "core/base/base.h"

/* Makes one under $TIDEMARK_TEST_DIR, $TMPDIR or /tmp; the caller frees it. */
char *tempdir_new(void);
/* Removes the folder and frees its name; for AUTO. */
void tempdir_remove(char **dir);
/* Puts a copy of the folder `from` in the place of `to`, whatever is there. */
void folder_copy(const char *from, const char *to);

#endif
