/* The files that a writer has open, found by their schema's key and their folder.
 * Some may be without a row: they are kept for the next. Belongs to one thread. */
#ifndef TIDEMARK_WRITER_OPEN_FILES_H
#define TIDEMARK_WRITER_OPEN_FILES_H

#include "connector/writer/data_file.h"

struct open_files {
	struct data_file **items;
	size_t n;
	size_t cap;
	uint64_t *hashes; /* one a file, of what it is found by */
	size_t hashes_cap;
};

/* Frees the files, and what they hold. */
void open_files_release(struct open_files *files);
/* below: the folder below the place's; NULL: there. */
struct data_file *open_files_find(const struct open_files *files, int64_t key, const char *below,
				  size_t len);
/* f is the table's from now on. */
void open_files_add(struct open_files *files, struct data_file *f, int64_t key, const char *below,
		    size_t len);
/* One without a row, else the one whose last row is the oldest; there must be one. */
struct data_file *open_files_oldest(const struct open_files *files);
/* Takes f out and frees it. */
void open_files_drop(struct open_files *files, struct data_file *f);

#endif
