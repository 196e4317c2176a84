/* The files that gates look at: those of the connector's roots, without its
 * documents (`_tidemark/`). Private to connector/gates. */
#ifndef TIDEMARK_GATES_GATE_FILES_H
#define TIDEMARK_GATES_GATE_FILES_H

#include "connector/gates/gates.h"

/* Does the gate look at this path? Without `paths`: at data, not at dead
 * letters. A path that has one of *?[ is a glob, whose * takes slashes too;
 * else it is a prefix. */
bool gate_wants(const struct gate_config *gate, const char *path);
bool is_dead_letter(const char *path);

struct gate_file {
	struct lake_entry entry;
	bool added; /* new or changed against the target's head */
};

void gate_file_release(struct gate_file *file);

struct gate_files;
/* all: every file of the merged result; else what is added. */
struct gate_files *gate_files_new(const struct gate_subject *subject, bool all);
/* Root by root, in byte order; ST_END after the last. */
MUST_CHECK enum status gate_files_next(struct gate_files *files, struct gate_file *out,
				       struct err *err);
void gate_files_free(struct gate_files *files);
AUTO_DESTRUCTOR(struct gate_files, gate_files_free)

#endif
