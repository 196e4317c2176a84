/* What tests of the lake do again and again; each fails the test that calls it
 * where the lake does not do its part. */
#ifndef TIDEMARK_TESTS_LAKE_STEPS_H
#define TIDEMARK_TESTS_LAKE_STEPS_H

#include "core/lake.h"

/* One lake for all tests of a program, in a folder of its own: a group's setup and teardown. */
extern struct lake *group_lake;
int group_lake_open(void **state);
int group_lake_close(void **state);

/* Makes or opens the lake in dir, and owns it. */
struct lake *open_lake(const char *dir);
struct lake_id head_of(struct lake *lake, const char *ref);
/* Bytes that differ from call to call by seed; the caller frees them. */
char *noise(size_t len, uint64_t seed);
/* One object, committed by a transaction on the branch's head. */
struct lake_id commit_bytes(struct lake *lake, const char *branch, const char *path,
			    const void *data, size_t len);
void assert_content(struct lake *lake, const char *ref, const char *path, const void *data,
		    size_t len);
/* Stages a text. */
void stage(struct lake *lake, const char *branch, const char *path, const char *text);
/* From main. */
void make_branch(struct lake *lake, const char *name);

#endif
