/* The plain files below a folder. */
#ifndef TIDEMARK_CLI_FOLDER_WALK_H
#define TIDEMARK_CLI_FOLDER_WALK_H

#include <sys/stat.h>

#include "core/base/base.h"
#include "core/base/err.h"

struct walked {
	char *path; /* below the folder */
	uint64_t bytes;
};

struct folder_walk {
	struct walked *files; /* by path, byte order */
	size_t n;
	size_t cap;
	uint64_t bytes;
	uint64_t skipped; /* what is neither file nor folder */
};

/* Symbolic links, sockets and the like: ST_USAGE names the first, or they are
 * left out and counted where `skip` is set. never: a folder that dir must
 * not be and not hold (NULL: any may); ST_USAGE. */
MUST_CHECK enum status folder_walk(const char *dir, bool skip, const struct stat *never,
				   struct folder_walk *out, struct err *err);
void folder_walk_release(struct folder_walk *w);

/* Opens a file that was found below dir, which is open as dir_fd. No link is
 * followed on the way, also where a folder has become one since. *fd_out is the
 * caller's to close. */
MUST_CHECK enum status folder_walk_read(const char *dir, int dir_fd, const char *path, int *fd_out,
					struct err *err);

#endif
