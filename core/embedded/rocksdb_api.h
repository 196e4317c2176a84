/* RocksDB's C API, loaded when a lake's metadata is first opened: rocks.open is
 * rocksdb_open, with the prototype and the documentation of rocksdb/c.h. Private to
 * core/embedded. */
#ifndef TIDEMARK_EMBEDDED_ROCKSDB_API_H
#define TIDEMARK_EMBEDDED_ROCKSDB_API_H

#include <rocksdb/c.h>

/* clang-format off */
#define ROCKSDB_FUNCTIONS(X) \
	X(approximate_sizes) X(block_based_options_create) X(block_based_options_destroy) \
	X(block_based_options_set_block_cache) \
	X(block_based_options_set_cache_index_and_filter_blocks) \
	X(block_based_options_set_filter_policy) X(block_based_options_set_index_type) \
	X(block_based_options_set_metadata_block_size) \
	X(block_based_options_set_pin_l0_filter_and_index_blocks_in_cache) \
	X(block_based_options_set_pin_top_level_index_and_filter) X(cache_create_lru) \
	X(cache_destroy) X(checkpoint_create) X(checkpoint_object_create) \
	X(checkpoint_object_destroy) X(close) X(compact_range_opt) X(compactoptions_create) \
	X(compactoptions_destroy) X(compactoptions_set_exclusive_manual_compaction) \
	X(create_default_env) X(create_iterator) X(delete) X(env_destroy) \
	X(env_lower_thread_pool_cpu_priority) X(filterpolicy_create_ribbon_hybrid) X(flush_wal) \
	X(free) X(get_options_from_string) X(get_pinned) X(iter_destroy) X(iter_get_error) \
	X(iter_key) X(iter_next) X(iter_prev) X(iter_seek) X(iter_seek_to_first) \
	X(iter_seek_to_last) X(iter_valid) X(iter_value) X(livefiles) X(livefiles_count) \
	X(livefiles_destroy) X(livefiles_name) X(open) X(open_for_read_only) X(options_create) \
	X(options_destroy) X(options_set_block_based_table_factory) X(options_set_compression) \
	X(options_set_create_if_missing) X(options_set_disable_auto_compactions) \
	X(options_set_info_log_level) \
	X(options_set_keep_log_file_num) X(options_set_max_background_jobs) \
	X(options_set_max_bytes_for_level_base) X(options_set_max_file_opening_threads) \
	X(options_set_max_open_files) \
	X(options_set_max_write_buffer_number) X(options_set_paranoid_checks) \
	X(options_set_skip_stats_update_on_db_open) X(options_set_target_file_size_base) \
	X(options_set_target_file_size_multiplier) X(options_set_wal_recovery_mode) \
	X(options_set_write_buffer_size) X(pinnableslice_destroy) X(pinnableslice_value) X(property_value) \
	X(put) X(readoptions_create) X(readoptions_destroy) X(readoptions_set_fill_cache) \
	X(readoptions_set_iterate_lower_bound) X(readoptions_set_iterate_upper_bound) \
	X(readoptions_set_verify_checksums) X(repair_db) X(set_options) X(write) X(writebatch_clear) \
	X(writebatch_create) X(writebatch_delete) X(writebatch_destroy) X(writebatch_put) \
	X(writeoptions_create) X(writeoptions_destroy) X(writeoptions_set_sync)
/* clang-format on */

struct rocksdb_api {
#define X(name) __typeof__(&rocksdb_##name) name;
	ROCKSDB_FUNCTIONS(X)
#undef X
};

extern struct rocksdb_api rocks;

/* Before any of them is used; any thread. */
void rocksdb_api_load(void);

#endif
