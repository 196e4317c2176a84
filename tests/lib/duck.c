#include "tests/lib/duck.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "connector/columnar/duckdb_api.h"
#include "tests/lib/must.h"

static duckdb_database db;
static duckdb_connection con;

static void open_once(const struct duckdb_api *duck)
{
	if (con)
		return;
	assert_int_equal(duck->open_ext(NULL, &db, NULL, NULL), DuckDBSuccess);
	assert_int_equal(duck->connect(db, &con), DuckDBSuccess);
}

/* Runs the statements; cell NULL: whatever they answer. */
__attribute__((format(printf, 2, 0))) static void run(struct buf *cell, const char *fmt,
						      va_list args)
{
	AUTO(freep) char *sql = NULL;
	const struct duckdb_api *duck;
	duckdb_result result;
	duckdb_data_chunk chunk = NULL;

	assert_true(vasprintf(&sql, fmt, args) >= 0);
	MUST(duckdb_api_load(&duck, &err));
	open_once(duck);
	if (duck->query(con, sql, &result) != DuckDBSuccess)
		fail_msg("%s: %s", sql, duck->result_error(&result));
	if (cell) {
		const duckdb_string_t *text;

		chunk = duck->fetch_chunk(result);
		assert_non_null(chunk);
		assert_int_equal(duck->data_chunk_get_size(chunk), 1);
		text = duck->vector_get_data(duck->data_chunk_get_vector(chunk, 0));
		buf_clear(cell);
		if (text->value.inlined.length <= 12)
			buf_add(cell, text->value.inlined.inlined, text->value.inlined.length);
		else
			buf_add(cell, text->value.pointer.ptr, text->value.pointer.length);
		duck->destroy_data_chunk(&chunk);
	}
	duck->destroy_result(&result);
}

void duck_ask(struct buf *out, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	run(out, fmt, args);
	va_end(args);
}

void duck_run(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	run(NULL, fmt, args);
	va_end(args);
}

/* `_kafka` as tests/lib/row_lines.c has it. */
#define KAFKA                                                                                      \
	"coalesce(value::VARCHAR, 'null') || ' ' || _kafka.topic || ' ' || _kafka.partition || "   \
	"' ' || _kafka.\"offset\" || ' ' || epoch_ms(_kafka.\"timestamp\") || ' ' || "             \
	"coalesce(hex(_kafka.key), 'null') || ' ' || "                                             \
	"array_to_string(list_transform(_kafka.headers, "                                          \
	"lambda h: h.name || '=' || coalesce(hex(h.value), 'null')), ',')"

static const char *row_of(const struct buf *columns)
{
	if (strcmp(buf_str(columns), "value") == 0)
		return "coalesce(value::VARCHAR, 'null')";
	if (strcmp(buf_str(columns), "value,_kafka") == 0)
		return KAFKA;
	return "to_json(t)::VARCHAR";
}

void duck_lines(const struct buf *parquet, struct buf *lines_out, struct buf *columns_out)
{
	char path[] = "/tmp/tidemark-duck.XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, parquet->data, parquet->len), parquet->len);
	close(fd);
	duck_ask(columns_out,
		 "SELECT string_agg(column_name, ',') FROM (DESCRIBE FROM read_parquet('%s'))",
		 path);
	duck_ask(lines_out,
		 "SELECT string_agg(%s || chr(10), '' ORDER BY file_row_number) FROM "
		 "read_parquet('%s', file_row_number=true) t",
		 row_of(columns_out), path);
	unlink(path);
}
