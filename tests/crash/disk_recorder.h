/* Records what this process does to the files below one folder (tests/lib/disk_model.h),
 * RocksDB's calls among them: it takes the place of the C library's functions that change
 * files. So it is linked to the programs that lose power, and to no other. Below that
 * folder nothing is really synced: that is of no use where all is thrown away. */
#ifndef TIDEMARK_TESTS_DISK_RECORDER_H
#define TIDEMARK_TESTS_DISK_RECORDER_H

#include "tests/lib/disk_model.h"

/* From now on, for as long as the process lives; root: its real path, which stays the
 * caller's. */
void disk_record(const char *root, struct disk_journal *journal);

#endif
