/* The files of records that checkpoints add, against the offsets that they
 * account for. */
#ifndef TIDEMARK_HISTORY_VERIFY_FILES_H
#define TIDEMARK_HISTORY_VERIFY_FILES_H

#include "connector/history/checkpoint.h"

/* What a checkpoint says that it read. */
struct checkpoint_account {
	struct ranges ranges;
	struct losses lost;
	uint64_t records;
	uint64_t deadletters;
	bool cut; /* it takes files out: `lost` are their rows (cut.h) */
};

void checkpoint_account_release(struct checkpoint_account *a);
MUST_CHECK enum status checkpoint_account_read(struct lake *lake, const struct lake_id *id,
					       struct checkpoint_account *out, struct err *err);

/* Do the offsets of the files that cp adds to old lie in its ranges, and do rows
 * add up? false: why has the reason. */
MUST_CHECK bool verify_added_files(struct lake *lake, const struct checkpoint *old,
				   const struct checkpoint *cp, const struct checkpoint_account *a,
				   char *why, size_t why_bytes);
/* Is no offset in two files of the head? */
MUST_CHECK bool verify_head_files(struct lake *lake, const struct lake_id *head, char *why,
				  size_t why_bytes);

#endif
