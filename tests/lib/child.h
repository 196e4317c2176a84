/* Running this test program again as a child, with other arguments, or the
 * tidemark that was built with it: a child may die, and a parent never has
 * threads when it forks. */
#ifndef TIDEMARK_TESTS_CHILD_H
#define TIDEMARK_TESTS_CHILD_H

#include "core/base/buf.h"

/* argv ends with NULL and leaves out the program itself; env: "K=V" strings
 * that are set in the child, ending with NULL (may be NULL). Its output and
 * errors are appended to out, where that is not NULL. Returns what waitpid
 * says of it. */
int child_run(const char *const *argv, const char *const *env, struct buf *out);
/* A program (`tidemark`) that was built with this test; the caller's. */
char *child_program_path(const char *name);
int child_tidemark(const char *const *argv, const char *const *env, struct buf *out);

#endif
