/* The lake's history in SQL: commits, checkpoints and files, and the dead letters that
 * checkpoints hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "connector/writer/builtin_schemas.h"
#include "connector/writer/deadletter_writer.h"
#include "tests/lib/avro_file.h"
#include "tests/lib/child.h"
#include "tests/lib/lake_steps.h"
#include "tests/lib/must.h"
#include "tests/lib/sql_steps.h"

static void test_history(void **state)
{
	struct lake_id main_head = head_of(LAKE, "main"), dev;
	char hex[LAKE_ID_HEX_BYTES];
	AUTO(freep) char *ids = NULL;

	(void)state;
	put_text(NAMED("one", "0000", "jsonl"), "{\"id\":1}\n");
	put_text("_tidemark/c.json", "{}");
	dev = head_of(LAKE, "dev~1");
	lake_id_hex(&main_head, hex);
	ids = xasprintf("%s,", hex);
	expect_rows("SELECT count(*), count(DISTINCT id), max(generation) FROM lake$commits",
		    "3,3,3\n");
	expect_rows("SELECT c.id = p.id FROM lake$commits c, \"main:lake$commits\" p WHERE "
		    "len(c.parents) = 0",
		    "true\n");
	lake_id_hex(&dev, hex);
	free(ids);
	ids = xasprintf("%s,%s\n", hex, "true");
	expect_rows("SELECT parents[1], time > TIMESTAMPTZ '2020-01-01' FROM LAKE$COMMITS ORDER BY "
		    "generation DESC LIMIT 1",
		    ids);
	expect_rows("SELECT path, size, topic, partition, first_offset, records FROM lake$files",
		    NAMED("one", "0000", "jsonl") ",9,one,0,0,\n");
	expect_rows("SELECT count(*) FROM lake$checkpoints, lake$offsets, lake$publishes", "0\n");
	expect_error("FROM lake$nothing", ST_NOT_FOUND, "there are lake$commits, lake$checkpoints");
}

/* ---- dead letters ---- */

#define COLUMNS                                                                                    \
	"topic,VARCHAR,YES,,,\npartition,INTEGER,YES,,,\noffset,BIGINT,YES,,,\n"                   \
	"timestamp,TIMESTAMP WITH TIME ZONE,YES,,,\nkey,BLOB,YES,,,\nvalue,BLOB,YES,,,\n"          \
	"headers,\"STRUCT(\"\"name\"\" VARCHAR, \"\"value\"\" BLOB)[]\",YES,,,\n"                  \
	"connector_name,VARCHAR,YES,,,\ntask_id,INTEGER,YES,,,\nstage,VARCHAR,YES,,,\n"            \
	"class_name,VARCHAR,YES,,,\nexception_class_name,VARCHAR,YES,,,\n"                         \
	"exception_message,VARCHAR,YES,,,\n"

static size_t two_headers(const struct record *r, const struct record_header **out)
{
	static const struct record_header headers[] = {{"trace", "v\xff", 2}, {"none", NULL, 0}};

	(void)r;
	*out = headers;
	return 2;
}

/* What the writer makes of so many records of partition 3 that could not be converted, each
 * with its offset as its key; committed on dev. */
static void put_letters(const char *connector, const char *topic, int64_t offset, int64_t n,
			const char *message)
{
	AUTO(deadletter_writer_freep)
	struct deadletter_writer *w = deadletter_writer_new(LAKE, connector, topic, 3, 0);
	AUTO(written_files_release) struct written_files files = {NULL, 0, 0};
	AUTO(lake_txn_freep) struct lake_txn *txn = NULL;
	const struct poison poison = {.stage = "VALUE_CONVERTER",
				      .component = "AvroConverter",
				      .class_name = "DataException"};
	struct lake_id head = head_of(LAKE, "dev"), id;

	for (int64_t i = offset; i < offset + n; i++) {
		AUTO(freep) char *key = xasprintf("%d", (int)i);
		const struct record r = {.topic = topic,
					 .partition = 3,
					 .offset = i,
					 .timestamp_ms = i % 2 ? -1 : 1500 + i,
					 .key = key,
					 .key_len = strlen(key),
					 .value = i % 2 ? NULL : "\xff{",
					 .value_len = i % 2 ? 0 : 2,
					 .headers = two_headers};

		MUST(deadletter_writer_append(w, &r, 1, &poison, message, &err));
	}
	MUST(deadletter_writer_finish(w, &files, &err));
	assert_int_equal(files.n, 1);
	MUST(lake_txn_begin(LAKE, &head, &txn, &err));
	MUST(lake_txn_put(txn, files.items[0].path, MOVE(files.items[0].upload),
			  files.items[0].content_type, &files.items[0].meta, &err));
	MUST(lake_txn_commit(txn, "dev", &head, "letters", &id, &err));
}

/* The same table where there is none of them, or only in another ref. */
static void test_no_deadletters(void **state)
{
	(void)state;
	expect_rows("DESCRIBE lake$deadletters", COLUMNS);
	expect_rows("FROM lake$deadletters", "");
	expect_rows("SELECT count(*), max(\"offset\") FROM lake$deadletters WHERE stage = 'x'",
		    "0,\n");
	put_letters("sales", "orders", 0, 1, "odd");
	expect_rows("DESCRIBE lake$deadletters", COLUMNS);
	expect_rows("SELECT count(*) FROM lake$deadletters", "1\n");
	expect_rows("DESCRIBE \"main:lake$deadletters\"", COLUMNS);
	expect_rows("FROM \"main:lake$deadletters\"", "");
	expect_rows("SELECT topic FROM lake$deadletters EXCEPT SELECT topic FROM "
		    "\"main:lake$deadletters\"",
		    "orders\n");
}

static void test_deadletters(void **state)
{
	(void)state;
	put_letters("sales", "orders", 10, 2, "it is \xff odd");
	put_letters("sales", "_own.events", 4000, 700, "no number");
	put_letters("returns", "orders", 10, 3, "no number");
	put_text(NAMED("orders", "0000", "jsonl"), "{\"id\":1}\n");

	expect_rows("SELECT connector_name, topic, stage, exception_message, count(*) FROM "
		    "lake$deadletters GROUP BY ALL ORDER BY ALL",
		    "returns,orders,VALUE_CONVERTER,no number,3\n"
		    "sales,_own.events,VALUE_CONVERTER,no number,700\n"
		    "sales,orders,VALUE_CONVERTER,it is \xef\xbf\xbd odd,2\n");
	expect_rows("SELECT * EXCLUDE (headers), headers[1].name, headers[1].value, "
		    "headers[2].value FROM LAKE$DEADLETTERS WHERE connector_name = 'sales' AND "
		    "topic = 'orders' ORDER BY \"offset\"",
		    "orders,3,10,1970-01-01T00:00:01.51Z,10,\\xFF{,sales,1,VALUE_CONVERTER,"
		    "AvroConverter,"
		    "DataException,it is \xef\xbf\xbd odd,trace,v\\xFF,\n"
		    "orders,3,11,,11,,sales,1,VALUE_CONVERTER,AvroConverter,DataException,"
		    "it is \xef\xbf\xbd odd,trace,v\\xFF,\n");
	expect_rows("SELECT sum(decode(key)::INTEGER - \"offset\"), count(value) FROM "
		    "lake$deadletters",
		    "0,353\n");
	/* before, and what came between */
	expect_rows("SELECT count(*) FROM \"dev~2:lake$deadletters\"", "702\n");
	expect_rows("SELECT DISTINCT connector_name FROM (FROM lake$deadletters EXCEPT ALL FROM "
		    "\"dev~2:lake$deadletters\")",
		    "returns\n");
	expect_rows("SELECT count(*) FROM lake$deadletters d JOIN lake$files f ON f.path LIKE "
		    "'_deadletters/' || d.connector_name || '/' || d.topic || '/%'",
		    "705\n");
}

/* Letters of a schema that has grown: what both have is in the columns of today's. */
static void test_other_deadletters(void **state)
{
	static const char schema[] =
		RECORD(THREE(FIELD("topic", "\"string\""), FIELD("offset", "\"long\""),
			     FIELD("cluster", "\"string\"")));
	static const char *const values[] = {"{\"topic\":\"new\",\"offset\":5,\"cluster\":\"c\"}",
					     NULL};
	AUTO(buf_release) struct buf file = BUF_INIT;

	(void)state;
	avro_file_write(schema, CODEC_NULL, values, 1, &file);
	put_bytes("_deadletters/sales/new/new+0+0000000005.avro", file.data, file.len);
	expect_rows("SELECT topic, \"offset\", stage, cluster FROM lake$deadletters", "new,5,,c\n");
	put_letters("sales", "orders", 10, 1, "odd");
	expect_rows("SELECT topic, \"offset\", stage, cluster FROM lake$deadletters ORDER BY topic",
		    "new,5,,c\norders,10,VALUE_CONVERTER,\n");
}

#define SUITE(test)                                                                                \
	{                                                                                          \
		test(test_history), test(test_no_deadletters), test(test_deadletters)              \
	}

int main(void)
{
	AUTO(freep) char *program = child_program_path("tidemark-sql");
	const struct CMUnitTest remote[] = SUITE(SQL_TEST_REMOTE);
	const struct CMUnitTest embedded[] = SUITE(SQL_TEST);
	const struct CMUnitTest rest[] = {SQL_TEST(test_other_deadletters)};
	int failed;

	sql_use_program(program);
	/* The socket's first: its owners are forked before RocksDB has threads. */
	failed = cmocka_run_group_tests_name("through the socket", remote, NULL, NULL);
	failed += cmocka_run_group_tests_name("embedded", embedded, NULL, NULL);
	return failed + cmocka_run_group_tests_name("schemas", rest, NULL, NULL);
}
