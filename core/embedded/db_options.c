#include "core/embedded/db_options.h"

#define BLOCK_CACHE_BYTES (16u << 20)
#define WRITE_BUFFER_BYTES (4u << 20) /* bounds the log that an open replays */
#define WRITE_BUFFERS 3
#define FILTER_BITS_PER_KEY 10
#define INDEX_PIECE_BYTES (16u << 10) /* fewer reads of a cold lake than with RocksDB's 4 KiB */
/* Keys are hashes, so what is flushed falls everywhere into the level below, and
 * all of that is rewritten with it. With RocksDB's own 256 MiB that takes so long
 * that flushed tables pile up, each of which every read asks. */
#define FIRST_LEVEL_BYTES (32u << 20)
#define FIRST_LEVEL_TABLE_BYTES (8u << 20)
#define NEXT_LEVEL_TABLES 2 /* times as large: few open files in a large lake */
#define OPENING_THREADS 2 /* of tables; sixteen are started even for a single one */
#define READER_OPEN_FILES 4096
#define INFO_LOG_ERROR 3

/* kTolerateCorruptedTailRecords: a record that a crash has torn at the end of
 * the log is dropped, as it must be after every kill; anything wrong before
 * that refuses to open. kAbsoluteConsistency would refuse a torn tail too,
 * that is, most crashes. A log that was cut at a record's edge is found by
 * sequence.h. */
#define WAL_RECOVERY_STRICT 0
/* kPointInTimeRecovery, RocksDB's default: alone it drops synced writes behind a
 * flipped bit in silence. */
#define WAL_RECOVERY_PREFIX 2
#define WAL_RECOVERY_REST 3 /* kSkipAnyCorruptedRecords */

static rocksdb_options_t *options_new(bool create, enum db_recovery recovery)
{
	static const int modes[] = {
		[DB_WHOLE_LOG] = WAL_RECOVERY_STRICT,
		[DB_LOG_PREFIX] = WAL_RECOVERY_PREFIX,
		[DB_LOG_REST] = WAL_RECOVERY_REST,
	};
	rocksdb_options_t *o;
	rocksdb_block_based_table_options_t *table;
	rocksdb_cache_t *cache;

	rocksdb_api_load();
	o = rocks.options_create();
	table = rocks.block_based_options_create();
	cache = rocks.cache_create_lru(BLOCK_CACHE_BYTES);
	rocks.block_based_options_set_block_cache(table, cache);
	rocks.cache_destroy(cache); /* the table options hold a share */
	/* Tables that are flushed live shortly: theirs are made faster. */
	rocks.block_based_options_set_filter_policy(
		table, rocks.filterpolicy_create_ribbon_hybrid(FILTER_BITS_PER_KEY, 1));
	/* So that a large lake's filters and indexes count against the cache's bound.
	 * Indexes in pieces, because a table's whole index, a megabyte and more, is
	 * larger than what one of the cache's shards may hold: each read would read it
	 * anew. Filters whole: a piece would be looked up for each table that a read
	 * asks, and that costs more than all else of the read. */
	rocks.block_based_options_set_cache_index_and_filter_blocks(table, 1);
	rocks.block_based_options_set_index_type(
		table, rocksdb_block_based_table_index_type_two_level_index_search);
	rocks.block_based_options_set_metadata_block_size(table, INDEX_PIECE_BYTES);
	rocks.block_based_options_set_pin_top_level_index_and_filter(table, 1);
	rocks.block_based_options_set_pin_l0_filter_and_index_blocks_in_cache(table, 1);
	rocks.options_set_block_based_table_factory(o, table);
	rocks.block_based_options_destroy(table);

	rocks.options_set_create_if_missing(o, create);
	rocks.options_set_paranoid_checks(o, 1);
	rocks.options_set_wal_recovery_mode(o, modes[recovery]);
	rocks.options_set_compression(o, rocksdb_lz4_compression);
	rocks.options_set_write_buffer_size(o, WRITE_BUFFER_BYTES);
	rocks.options_set_max_write_buffer_number(o, WRITE_BUFFERS);
	rocks.options_set_max_bytes_for_level_base(o, FIRST_LEVEL_BYTES);
	rocks.options_set_target_file_size_base(o, FIRST_LEVEL_TABLE_BYTES);
	rocks.options_set_target_file_size_multiplier(o, NEXT_LEVEL_TABLES);
	rocks.options_set_max_open_files(o, -1);
	rocks.options_set_max_file_opening_threads(o, OPENING_THREADS);
	rocks.options_set_skip_stats_update_on_db_open(o, 1);
	rocks.options_set_keep_log_file_num(o, 2);
	rocks.options_set_info_log_level(o, INFO_LOG_ERROR);
	rocks.options_set_max_background_jobs(o, 2);
	rocks.options_set_disable_auto_compactions(o, 1); /* until compact_from() */
	return o;
}

/* What the C interface has no function for. A log that has been followed by
 * another is recorded in the manifest: one that is gone, or shorter than what
 * was synced, refuses to open. (The newest is not recorded; sequence.h finds
 * that.) */
static rocksdb_options_t *with_tracked_logs(rocksdb_options_t *o)
{
	rocksdb_options_t *tracked = rocks.options_create();
	char *text = NULL;

	rocks.get_options_from_string(o, "track_and_verify_wals_in_manifest=true", tracked, &text);
	if (text) { /* a library that does not know it any more */
		rocks.free(text);
		rocks.options_destroy(tracked);
		return o;
	}
	rocks.options_destroy(o);
	return tracked;
}

rocksdb_options_t *db_options_to_write(bool create, enum db_recovery recovery)
{
	return with_tracked_logs(options_new(create, recovery));
}

rocksdb_options_t *db_options_to_read(enum db_recovery recovery)
{
	rocksdb_options_t *o = options_new(false, recovery);

	if (recovery != DB_LOG_REST)
		o = with_tracked_logs(o);
	/* Without a bound RocksDB opens all tables to see whether the database is compacted
	 * to one level, and if not all of them again. */
	rocks.options_set_max_open_files(o, READER_OPEN_FILES);
	return o;
}
