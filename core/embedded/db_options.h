/* How RocksDB is set: its caches, levels and filters, and what it does with damage in
 * its logs. Private to db.c. */
#ifndef TIDEMARK_EMBEDDED_DB_OPTIONS_H
#define TIDEMARK_EMBEDDED_DB_OPTIONS_H

#include "core/embedded/db.h"
#include "core/embedded/rocksdb_api.h"

/* For rocks.open(); the caller's. */
rocksdb_options_t *db_options_to_write(bool create, enum db_recovery recovery);
/* For rocks.open_for_read_only() and rocks.repair_db(); the caller's. */
rocksdb_options_t *db_options_to_read(enum db_recovery recovery);

#endif
