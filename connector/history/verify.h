/* What a check of the lake knows of connectors: that the checkpoints and
 * publications of each branch are an unbroken account of offsets (I4). For
 * lake_fsck(). */
#ifndef TIDEMARK_HISTORY_VERIFY_H
#define TIDEMARK_HISTORY_VERIFY_H

#include "core/lake.h"

/* Looks at each branch whose head is a checkpoint or a publication. Findings
 * are of the kind "chain"; checkpoints are counted. ctx is not used. Errors:
 * only those of reading branches; what cannot be read further down is a
 * finding. */
MUST_CHECK enum status history_verify(void *ctx, struct lake *lake, struct lake_fsck_report *report,
				      struct err *err);

#endif
