/* What a query needs besides the lake: a folder of its own for objects that are no
 * files (small ones, history), and holds on the commits whose files it reads.
 *
 * The folder is `tidemark-sql-XXXXXX` in $TMPDIR, locked by flock as long as its
 * owner lives; one that nobody locks is left of a dead process, and the next
 * workspace removes it. Belongs to one thread. */
#ifndef TIDEMARK_COLUMNAR_SQL_WORKSPACE_H
#define TIDEMARK_COLUMNAR_SQL_WORKSPACE_H

#include <jansson.h>

#include "core/lake.h"

struct sql_workspace;

MUST_CHECK enum status sql_workspace_open(struct sql_workspace **out, struct err *err);
/* Removes the folder and lets the commits go. */
void sql_workspace_close(struct sql_workspace *w);
AUTO_DESTRUCTOR(struct sql_workspace, sql_workspace_close)
const char *sql_workspace_folder(const struct sql_workspace *w); /* its life */

/* Once for each commit: keeps it until the close. */
MUST_CHECK enum status sql_workspace_hold(struct sql_workspace *w, struct lake *lake,
					  const struct lake_id *commit, struct err *err);
/* The local path of an object's bytes: its own file, or a copy in the folder; valid
 * until the close. The commit must be held. */
MUST_CHECK enum status sql_workspace_file(struct sql_workspace *w, struct lake *lake,
					  const struct lake_id *commit, const char *path,
					  const char **out, struct err *err);
/* A file in the folder with these bytes. name: what messages call it. */
MUST_CHECK enum status sql_workspace_put(struct sql_workspace *w, const char *name,
					 const void *data, size_t len, const char **out,
					 struct err *err);
/* Local paths in err's text become the lake's. */
void sql_workspace_translate(const struct sql_workspace *w, struct err *err);

#endif
