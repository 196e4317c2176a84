/* A git repository beside a lake, to compare with: every file is binary. Renames
 * are not looked for, but by git_peer_merge() (git 2.39's merge-tree reads no
 * such setting). Objects are written by this process; merging and finding
 * bases is git's own work, by processes that live long where git can do that.
 * Whatever fails ends the test's process with the reason. */
#ifndef TIDEMARK_TESTS_GIT_PEER_H
#define TIDEMARK_TESTS_GIT_PEER_H

#include "core/base/buf.h"

#define GIT_HEX_BYTES 41

struct git_id {
	char hex[GIT_HEX_BYTES];
};

struct git_file {
	const char *path;
	struct git_id blob;
};

struct git_peer;
/* Makes a repository below a temporary folder. */
struct git_peer *git_peer_new(void);
void git_peer_free(struct git_peer *g);

struct git_id git_peer_blob(struct git_peer *g, const void *data, size_t len);
/* files in any order, none of them a folder of another. */
struct git_id git_peer_tree(struct git_peer *g, const struct git_file *files, size_t n);
struct git_id git_peer_commit(struct git_peer *g, const struct git_id *tree,
			      const struct git_id *parents, size_t n, int64_t time_s);

/* The files of a tree, path after path; file.path lives until the next call. */
size_t git_peer_list(struct git_peer *g, const struct git_id *tree, const struct git_file **out);

struct git_merge {
	bool clean;
	struct git_id tree; /* in a conflict: with git's idea of what to show */
	const char **conflicts; /* each path once; live until the next merge */
	size_t n;
};
/* `git merge-tree` of two commits. */
struct git_merge git_peer_merge(struct git_peer *g, const struct git_id *ours,
				const struct git_id *theirs);
/* `git merge-base --all`, in git's order. */
size_t git_peer_bases(struct git_peer *g, const struct git_id *a, const struct git_id *b,
		      struct git_id *out, size_t max);
/* `git merge -s recursive -X ours|theirs` with these bases, in a work tree.
 * False where git leaves conflicts all the same. */
bool git_peer_merge_strategy(struct git_peer *g, const char *side, const struct git_id *bases,
			     size_t n, const struct git_id *ours, const struct git_id *theirs,
			     struct git_id *tree_out);

#endif
