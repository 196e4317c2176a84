/* The report of a check as JSON, for both ends. */
#ifndef TIDEMARK_REMOTE_WIRE_CHECK_H
#define TIDEMARK_REMOTE_WIRE_CHECK_H

#include "core/remote/wire.h"

json_t *wire_report(const struct lake_fsck_report *report);
json_t *wire_backup(const struct lake_backup_report *report);
MUST_CHECK bool wire_get_backup(const json_t *object, struct lake_backup_report *report);
/* report must be empty. */
MUST_CHECK bool wire_get_report(const json_t *object, struct lake_fsck_report *report);

#endif
