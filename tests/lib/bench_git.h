/* A bare git repository beside which the store is measured. */
#ifndef TIDEMARK_TESTS_BENCH_GIT_H
#define TIDEMARK_TESTS_BENCH_GIT_H

#include <stdio.h>

struct git;
struct git *git_new(const char *folder);
void git_free(struct git *g);
/* What is written to it goes to `git fast-import`, until git_import_end(). */
FILE *git_import_begin(struct git *g);
/* from: NULL for a first commit. What follows are its other parents and files. */
void git_import_commit(struct git *g, const char *branch, long long time_s, const char *from);
void git_import_end(struct git *g);
/* A first commit of many files, tree by tree (fast-import looks through all names
 * of a folder for each file): git_tree_file() for each file of a folder, then an
 * empty line; end commits the folders as `stem`=00000 and so on. */
FILE *git_trees_begin(struct git *g);
void git_tree_file(FILE *in, const char *name);
void git_trees_end(struct git *g, const char *branch, const char *stem, unsigned n);
/* Runs git with the arguments (NULL ends them); its us, with the process. */
double git_run(const struct git *g, const char *const *args);

#endif
