/* A lake for tests of SQL, with a branch dev that is asked, and folders in which nothing may
 * stay. Each function fails the test that calls it where the lake or DuckDB does not do its
 * part. One world a process. */
#ifndef TIDEMARK_TESTS_SQL_STEPS_H
#define TIDEMARK_TESTS_SQL_STEPS_H

#include "connector/columnar/sql_refs.h"
#include "tests/lib/lake_fixture.h"

struct sql_world {
	struct lake_fixture fixture;
	char *temp; /* TMPDIR of the queries: nothing may stay in it */
	char *outside; /* what a query must never reach: secret.csv, and nothing else */
};

extern struct sql_world sql_world;
#define LAKE (sql_world.fixture.lake)

/* cmocka's set-ups and tear-down of a test; the last looks at both folders. */
int sql_world_embedded(void **state);
int sql_world_socket(void **state);
int sql_world_close(void **state);
#define SQL_TEST(f) cmocka_unit_test_setup_teardown(f, sql_world_embedded, sql_world_close)
#define SQL_TEST_REMOTE(f) cmocka_unit_test_setup_teardown(f, sql_world_socket, sql_world_close)
size_t count_entries(const char *folder);

/* ---- asking ---- */

/* Appends the answer, at the ref. */
enum status run_query(struct sql_query q, const char *at, struct buf *out, struct err *err);
/* As CSV, at dev. */
enum status ask_csv(const char *query, struct buf *out, struct err *err);
/* Asserts the rows as CSV, without the line of names. */
void expect_rows(const char *query, const char *rows);
/* And that nothing was answered. */
void expect_error(const char *query, enum status st, const char *says);
/* The query with the text in the place of each @; the caller's. */
char *fill_in(const char *query, const char *text);

/* ---- files of dev ---- */

void put_bytes(const char *path, const void *data, size_t len);
void put_text(const char *path, const char *text);
/* Appends the file that DuckDB makes of a SELECT; options: of its COPY. */
void copy_select(const char *select, const char *options, struct buf *out);
void put_copy(const char *path, const char *select, const char *options);
/* With the schema's name in the metadata, and the fields that its folders were made of, as the
 * writer does it. fields NULL: of none. */
void put_routed(const char *path, const char *schema_name, const char *fields, const void *data,
		size_t len);
void put_named(const char *path, const char *schema_name, const void *data, size_t len);
/* A Parquet file as the writer does it: the schema's name beside it, its text within. */
void put_parquet(const char *path, const char *schema_name, const char *schema, const char *select);

#define NAMED(topic, offset, end) "topics/" topic "/partition=0/" topic "+0+000000" offset "." end

/* Schemas. */
#define RECORD(fields) "{\"type\":\"record\",\"name\":\"R\",\"fields\":[" fields "]}"
#define FIELD(name, type) "{\"name\":\"" name "\",\"type\":" type "}"
#define MILLIS "{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}"
#define JSON "{\"type\":\"string\",\"logicalType\":\"json\"}"
#define TWO(a, b) a "," b
#define THREE(a, b, c) TWO(a, TWO(b, c))

#endif
