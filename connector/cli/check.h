/* Checking a lake in a child process, and what it prints: `fsck`, and the end of
 * `restore`. */
#ifndef TIDEMARK_CLI_CHECK_H
#define TIDEMARK_CLI_CHECK_H

#include "connector/cli/command.h"

/* Prints findings and the summary. ST_DAMAGED where there is damage; the other
 * errors are those of opening the lake. Not where this process has it open. */
MUST_CHECK enum status cli_check(const struct cli *cli, bool quick, struct err *err);

/* The same of an open lake, in this process. */
MUST_CHECK enum status cli_check_lake(const struct cli *cli, struct lake *lake, bool quick,
				      bool progress, struct err *err);

#endif
