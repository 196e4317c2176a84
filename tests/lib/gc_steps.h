/* A lake with a clock of its own, for tests of gc: one a process. Each function fails the test
 * that calls it where the lake does not do its part. Only where kill points are. */
#ifndef TIDEMARK_TESTS_GC_STEPS_H
#define TIDEMARK_TESTS_GC_STEPS_H

#include "core/lake.h"
#include "tests/lib/gc_model.h"
#include "tests/lib/virtual_clock.h"

#define DAY_MS (24LL * 3600 * 1000)
#define LARGE 20000 /* bytes of an object that is a file of its own */

extern struct lake *gc_lake;
extern char *gc_dir; /* its folder */
extern struct virtual_clock gc_clock;

int gc_set_up(void **state);
int gc_tear_down(void **state);
#define GC_TEST(name) cmocka_unit_test_setup_teardown(name, gc_set_up, gc_tear_down)
void gc_reopen(void);
void pass_days(int n);
int64_t gc_now_ms(void);

extern const struct lake_gc_options gc_defaults;
extern const struct lake_gc_options
	gc_strict; /* nothing but refs, staged changes, what is in use */
extern const struct lake_gc_options gc_retain_7; /* history for seven days, all else for one */

struct lake_gc_report gc_collect(const struct lake_gc_options *options);
/* The same, with act done on its thread when it first passes the kill point `at`. */
struct lake_gc_report gc_collect_with(const struct lake_gc_options *options, const char *at,
				      void (*act)(void));
/* Closes the lake, asks the model, and opens it again. */
struct gc_model_count gc_check(const struct lake_gc_options *options);

struct lake_id commit_noise(const char *branch, const char *path, size_t len, uint64_t seed);
void delete_ref(enum lake_ref_kind kind, const char *name);
void make_ref(enum lake_ref_kind kind, const char *name, const struct lake_id *to);
enum status read_at(const struct lake_id *id, const char *path, struct err *err);
bool is_there(const struct lake_id *id);
/* A commit of a large and a small object on a branch that is gone again. */
struct lake_id orphan(uint64_t seed);

/* A commit that gc may free, or whose objects expire. */
extern struct lake_id gc_garbage;
void bring_back(void); /* as branch "back" */
void build_on_garbage(void); /* a commit on it, as branch "built" */
/* All that the branches name can be read. */
void everything_is_whole(void);

#endif
