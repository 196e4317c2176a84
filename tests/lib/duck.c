#include "tests/lib/duck.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "connector/columnar/duckdb_api.h"
#include "tests/lib/must.h"

void duck_ask(struct buf *out, const char *fmt, ...)
{
	AUTO(freep) char *sql = NULL;
	const struct duckdb_api *duck;
	duckdb_database db;
	duckdb_connection con;
	duckdb_result result;
	duckdb_data_chunk chunk;
	duckdb_string_t *cell;
	va_list args;

	va_start(args, fmt);
	assert_true(vasprintf(&sql, fmt, args) >= 0);
	va_end(args);
	MUST(duckdb_api_load(&duck, &err));
	assert_int_equal(duck->open_ext(NULL, &db, NULL, NULL), DuckDBSuccess);
	assert_int_equal(duck->connect(db, &con), DuckDBSuccess);
	if (duck->query(con, sql, &result) != DuckDBSuccess)
		fail_msg("%s: %s", sql, duck->result_error(&result));
	chunk = duck->fetch_chunk(result);
	assert_non_null(chunk);
	assert_int_equal(duck->data_chunk_get_size(chunk), 1);
	cell = duck->vector_get_data(duck->data_chunk_get_vector(chunk, 0));
	buf_clear(out);
	if (cell->value.inlined.length <= 12)
		buf_add(out, cell->value.inlined.inlined, cell->value.inlined.length);
	else
		buf_add(out, cell->value.pointer.ptr, cell->value.pointer.length);
	duck->destroy_data_chunk(&chunk);
	duck->destroy_result(&result);
	duck->disconnect(&con);
	duck->close(&db);
}
