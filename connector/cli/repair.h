/* `fsck --repair`: makes the lake's metadata whole again, of what can be read. */
#ifndef TIDEMARK_CLI_REPAIR_H
#define TIDEMARK_CLI_REPAIR_H

#include "connector/cli/command.h"

/* Prints what is wrong, what stays, what is lost and what a check says of the
 * result, then asks (`yes` answers) and does it. ST_OK also where nothing was to
 * be repaired; ST_DAMAGED where damage stays; ST_FAILED where nobody said yes, and
 * nothing was changed; ST_BUSY where a process owns the lake. */
MUST_CHECK enum status cli_repair(const struct cli *cli, bool quick, bool yes, struct err *err);

#endif
