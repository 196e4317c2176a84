/* DuckDB's C API, loaded when it is first needed: a command that needs neither
 * Parquet nor SQL does not pay for a library of 70 MB. The functions that are
 * used stand in one list here; duck->open_ext is duckdb_open_ext, with the
 * prototype and the documentation of duckdb.h (1.5.5). */
#ifndef TIDEMARK_COLUMNAR_DUCKDB_API_H
#define TIDEMARK_COLUMNAR_DUCKDB_API_H

#include <duckdb.h>

#include "core/base/buf.h"
#include "core/base/err.h"

/* clang-format off */
#define DUCKDB_FUNCTIONS(X) \
	X(library_version) X(free) X(vector_size) \
	/* databases */ \
	X(create_config) X(set_config) X(destroy_config) X(open_ext) X(close) X(connect) \
	X(disconnect) X(interrupt) X(query) X(destroy_result) X(result_error) \
	X(result_error_type) X(column_count) X(column_name) X(column_logical_type) \
	X(rows_changed) \
	/* statements and their results */ \
	X(extract_statements) X(extract_statements_error) X(prepare_extracted_statement) \
	X(destroy_extracted) X(prepare) X(prepare_error) X(destroy_prepare) \
	X(prepared_statement_type) X(prepared_statement_column_count) \
	X(prepared_statement_column_name) X(prepared_statement_column_type) \
	X(prepared_statement_column_logical_type) \
	X(bind_varchar_length) X(execute_prepared) \
	X(pending_prepared_streaming) X(pending_error) X(execute_pending) X(destroy_pending) \
	X(fetch_chunk) \
	/* values */ \
	X(create_varchar_length) X(create_int64) X(get_varchar) X(get_int64) X(destroy_value) \
	X(get_list_size) X(get_list_child) \
	/* types */ \
	X(create_logical_type) X(create_decimal_type) X(create_enum_type) X(create_list_type) \
	X(create_map_type) X(create_struct_type) X(destroy_logical_type) X(get_type_id) \
	X(logical_type_get_alias) X(logical_type_set_alias) X(decimal_width) X(decimal_scale) \
	X(decimal_internal_type) X(enum_internal_type) X(enum_dictionary_size) \
	X(enum_dictionary_value) X(list_type_child_type) X(array_type_child_type) \
	X(array_type_array_size) X(map_type_key_type) X(map_type_value_type) \
	X(struct_type_child_count) X(struct_type_child_name) X(struct_type_child_type) \
	X(union_type_member_count) X(union_type_member_name) X(union_type_member_type) \
	/* vectors */ \
	X(create_data_chunk) X(destroy_data_chunk) X(data_chunk_get_vector) \
	X(data_chunk_get_column_count) X(data_chunk_get_size) X(data_chunk_set_size) \
	X(data_chunk_reset) X(vector_get_column_type) X(vector_get_data) X(vector_get_validity) \
	X(vector_ensure_validity_writable) X(vector_reference_vector) \
	X(list_vector_get_child) X(list_vector_get_size) X(list_vector_set_size) \
	X(list_vector_reserve) X(struct_vector_get_child) X(array_vector_get_child) \
	X(unsafe_vector_assign_string_element_len) \
	/* table functions */ \
	X(create_table_function) X(destroy_table_function) X(table_function_set_name) \
	X(table_function_add_parameter) X(table_function_set_extra_info) \
	X(table_function_set_bind) X(table_function_set_init) X(table_function_set_local_init) \
	X(table_function_set_function) X(table_function_supports_projection_pushdown) \
	X(register_table_function) X(bind_get_extra_info) X(bind_add_result_column) \
	X(bind_get_parameter) X(bind_set_bind_data) X(bind_set_cardinality) X(bind_set_error) \
	X(init_get_bind_data) X(init_get_column_count) X(init_get_column_index) \
	X(init_set_init_data) X(init_set_max_threads) X(init_set_error) \
	X(function_get_extra_info) X(function_get_bind_data) X(function_get_init_data) \
	X(function_get_local_init_data) X(function_set_error) \
	/* names that are no tables */ \
	X(add_replacement_scan) X(replacement_scan_set_function_name) \
	X(replacement_scan_add_parameter) X(replacement_scan_set_error)
/* clang-format on */

struct duckdb_api {
#define X(name) __typeof__(&duckdb_##name) name;
	DUCKDB_FUNCTIONS(X)
#undef X
};

/* Loads the library once for the process; any thread. ST_FAILED says where it
 * was looked for and what to do. *out lives as long as the process. */
MUST_CHECK enum status duckdb_api_load(const struct duckdb_api **out, struct err *err);

/* 'text', "name": appended as SQL. */
void sql_add_text(struct buf *out, const char *text);
void sql_add_identifier(struct buf *out, const char *name);

#endif
