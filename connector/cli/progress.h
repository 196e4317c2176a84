/* A line on the terminal that says how far a long operation is: objects, bytes,
 * rate, time left. */
#ifndef TIDEMARK_CLI_PROGRESS_H
#define TIDEMARK_CLI_PROGRESS_H

#include "core/lake.h"

struct cli_progress;
/* Asks the lake some times a second, on a thread of its own. NULL where show is
 * not set. */
struct cli_progress *cli_progress_start(struct lake *lake, bool show);
/* Wipes the line. NULL is fine. */
void cli_progress_stop(struct cli_progress *p);
AUTO_DESTRUCTOR(struct cli_progress, cli_progress_stop)

/* Is stderr a terminal? */
bool cli_progress_wanted(void);
/* One such line; started_us: when it began, by the system's clock. */
void cli_progress_line(const struct lake_progress *p, int64_t started_us);
void cli_progress_wipe(void);

#endif
