/* Repair: what can be read of a damaged lake, made into another one beside it,
 * which then takes its place.
 *
 * That other lake is the folder repair/ in the damaged one: FORMAT, SEQUENCE and
 * meta/ of its own, and blobs/ a link to the objects of the damaged one. So it can be
 * opened and checked like any other before anything is changed. Applying names
 * it damaged-TIME/ and exchanges what is wrong of those three, one by one, so
 * that the folder then holds the old ones. Nothing of the old lake is deleted. */
#ifndef TIDEMARK_EMBEDDED_REPAIR_H
#define TIDEMARK_EMBEDDED_REPAIR_H

#include "core/embedded/db.h"
#include "core/lake.h"

/* The contract of lake_repair_prepare(), of a folder. */
MUST_CHECK enum status embedded_repair_prepare(const char *folder, bool salvage,
					       struct lake_repair **out,
					       struct lake_repair_report *report, struct err *err);

/* ---- between repair.c and salvage.c ---- */

/* Reads every key and every table of the metadata. *clean_out: all could be
 * read; else why_out (may be NULL) says what could not, the caller's. */
void salvage_check(struct db *db, const char *path, bool *clean_out, char **why_out);
/* Copies into the empty `to` what can be read of `from`: counts keys and gaps. The
 * reflog's index is made anew. */
MUST_CHECK enum status salvage_copy(struct db *from, struct db *to,
				    struct lake_repair_report *report, struct err *err);
/* Puts the number of the last write, where it is lost, and each ref whose commit is gone or
 * that is not where its reflog has it: to the newest commit there that is left;
 * a ref without any is dropped. Adds to report->refs. */
MUST_CHECK enum status salvage_mend(struct db *db, struct lake_repair_report *report,
				    struct err *err);
/* The reflog's readable entries behind `kept`, newest first; its error is no
 * matter: what cannot be read is not listed. */
void salvage_lost(struct db *db, uint64_t kept, struct lake_reflog *out);

#endif
