/* Named places where a test build can be made to die as by kill -9:
 * TIDEMARK_KILL_AT=name:n dies at the n-th time (from 1) that `name` is
 * passed. TIDEMARK_KILL_TRACE=FILE appends each name as it is passed, so that
 * a test can list them all. In a release build a kill point is nothing. */
#ifndef TIDEMARK_BASE_KILLPOINT_H
#define TIDEMARK_BASE_KILLPOINT_H

/* Test builds alone have these two. */
void kill_point_passed(const char *name);
/* Called as each kill point is passed, before it may kill; NULL: nothing. */
void kill_point_set_hook(void (*hook)(const char *name, void *ctx), void *ctx);

#ifdef TIDEMARK_TEST_BUILD
#define KILL_POINT(name) kill_point_passed(name)
#else
#define KILL_POINT(name) ((void)0)
#endif

#endif
