/* Gates that ask in SQL: which rows they see, and what becomes of the answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "connector/columnar/sql.h"
#include "tests/lib/child.h"
#include "tests/lib/gate_steps.h"
#include "tests/lib/must.h"

static struct gate_world w;

static char *program; /* of a query */

#define ASK(query) "gates=g\ngates.g.type=sql\ngates.g.query=" query "\n"

/* ---- no rows ---- */

static void test_rows(void **state)
{
	AUTO(gate_results_release) struct gate_results results = {0};
	struct err err = ERR_INIT;

	(void)state;
	GATE_WRITE(&w, NULL, 0, 0, "{\"id\":1,\"n\":5}", "{\"id\":2,\"n\":-3}", NULL);
	gate_expect(&w, ST_OK, NULL, ASK("FROM added WHERE n > 5"));
	gate_expect(&w, ST_HELD, "gate g: the query gave 1 row: {\"id\":2,\"n\":-3}",
		    ASK("FROM added WHERE n < 0"));
	gate_expect(&w, ST_HELD,
		    "the query gave 7 rows: {\"range\":0}; {\"range\":1}; {\"range\":2}; "
		    "{\"range\":3}; {\"range\":4}",
		    ASK("FROM range(7)"));
	gate_expect(&w, ST_HELD, "the query gave more than 10000 rows",
		    ASK("FROM range(100000000)"));
	gate_expect(&w, ST_HELD, "xxx...", ASK("SELECT repeat('x', 1000) AS x"));
	/* every table of the one topic */
	gate_expect(&w, ST_OK, NULL,
		    ASK("SELECT 1 FROM added a, merged m, t, \"merged:t\", target HAVING count(*) "
			"> 0"));
	gate_expect(
		&w, ST_OK, NULL,
		ASK("SELECT 1 WHERE (SELECT count(*) FROM target) <> 0 OR (SELECT count(*) FROM "
		    "merged) <> 2"));
	assert_int_equal(gate_judge(&w, ASK("FROM added WHERE n < 0"), &results, &err), ST_HELD);
	assert_string_equal(results.items[0].output, "1 rows\n");
}

static void test_tables(void **state)
{
	(void)state;
	GATE_WRITE(&w, NULL, 0, 0, "{\"id\":1}", "{\"id\":2}");
	gate_show(&w);
	GATE_WRITE(&w, NULL, 1, 0, "{\"id\":2}", "{\"id\":3}");
	gate_expect(&w, ST_HELD, "1 row: {\"id\":2}",
		    ASK("FROM added WHERE id IN (SELECT id FROM target)"));
	gate_expect(
		&w, ST_HELD, "1 row: {\"a\":2,\"m\":4,\"t\":2,\"n\":4}",
		ASK("SELECT (SELECT count(*) FROM added) AS a, (SELECT count(*) FROM merged) AS m, "
		    "(SELECT count(*) FROM target) AS t, (SELECT count(*) FROM \"merged:t\") AS "
		    "n"));
	gate_expect(&w, ST_OK, NULL,
		    ASK("FROM added WHERE id = 1") "gates.g.paths=topics/t/partition=1/\n");
	gate_expect(
		&w, ST_HELD, "{\"c\":2}",
		ASK("SELECT count(*) AS c FROM merged") "gates.g.paths=topics/t/partition=1/\n");
	gate_expect(&w, ST_NOT_FOUND,
		    "gate g could not be run: no table 'orders'; there are added, merged and "
		    "target, each also as \"added:TOPIC\", and the topics: t",
		    ASK("FROM orders"));
	gate_expect(&w, ST_NOT_FOUND, "no table 'added:orders'", ASK("FROM \"added:orders\""));
	gate_expect(&w, ST_NOT_FOUND, "no table 'lake$deadletters'; there are added",
		    ASK("FROM lake$deadletters"));
}

/* ---- one number ---- */

static void test_numbers(void **state)
{
	(void)state;
	GATE_WRITE(&w, NULL, 0, 0, "{\"id\":1}", "{\"id\":2}");
	gate_expect(&w, ST_OK, NULL, ASK("SELECT count(*) FROM added") "gates.g.min=2\n");
	gate_expect(&w, ST_HELD, "gate g: {\"n\":2} is below min=2.5",
		    ASK("SELECT count(*) AS n FROM added") "gates.g.min=2.5\n");
	gate_expect(&w, ST_HELD, "{\"a\":1.5} is above max=1",
		    ASK("SELECT avg(id) AS a FROM added") "gates.g.max=1\n");
	gate_expect(&w, ST_OK, NULL,
		    ASK("SELECT 9007199254740993 AS \"a:b\"") "gates.g.min=9007199254740993\n");
	gate_expect(&w, ST_HELD, "one number; it gave no row",
		    ASK("SELECT id FROM added WHERE id > 2") "gates.g.min=0\n");
	gate_expect(&w, ST_HELD, "one number; it gave several rows",
		    ASK("SELECT id FROM added") "gates.g.min=0\n");
	gate_expect(&w, ST_HELD, "one number; it gave {\"m\":null}",
		    ASK("SELECT max(id) AS m FROM added WHERE id > 2") "gates.g.max=0\n");
	gate_expect(&w, ST_HELD, "one number", ASK("SELECT 1, 2") "gates.g.max=3\n");
}

/* ---- what there is not ---- */

static void test_nothing(void **state)
{
	AUTO(gate_results_release) struct gate_results results = {0};

	(void)state;
	MUST(gate_judge(&w, ASK("FROM added WHERE id < 0"), &results, &err));
	assert_string_equal(results.items[0].output, "no file of records yet: nothing to ask\n");
	GATE_WRITE(&w, NULL, 0, 0, "{\"id\":1}");
	gate_show(&w);
	/* nothing is added, and what would be has columns all the same */
	gate_expect(&w, ST_OK, NULL, ASK("FROM added WHERE id > 0"));
	gate_expect(&w, ST_USAGE, "nothing", ASK("SELECT nothing FROM added"));
}

static void test_avro(void **state)
{
	static const char schema[] = "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":"
				     "\"id\",\"type\":\"long\"},"
				     "{\"name\":\"s\",\"type\":\"string\"}]}";
	const struct gate_format avro = {.format = FORMAT_AVRO, .schema = schema};

	(void)state;
	GATE_WRITE(&w, &avro, 0, 0, "{\"id\":1,\"s\":\"a\"}", NULL, "{\"id\":2,\"s\":\"b\"}");
	gate_expect(&w, ST_HELD, "2 rows: {\"id\":1,\"s\":\"a\"}; {\"id\":2,\"s\":\"b\"}",
		    ASK("FROM added ORDER BY id"));
}

/* ---- ends and mistakes ---- */

static void test_ends(void **state)
{
	(void)state;
	GATE_WRITE(&w, NULL, 0, 0, "{\"id\":1}");
	gate_expect(&w, ST_HELD, "no verdict within 300 ms",
		    ASK("SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE (a.range * "
			"b.range) % 7 = 3") "gates.g.timeout.ms=300\n");
	gate_expect(&w, ST_USAGE, "gates.g.query=COPY added TO '/tmp/x': only one SELECT",
		    ASK("COPY added TO '/tmp/x'"));
	gate_expect(&w, ST_USAGE, "in the place of a table", ASK("FROM read_csv('/etc/passwd')"));
	gate_expect(&w, ST_USAGE, "gates.g.query=SELECT FROM WHERE: ", ASK("SELECT FROM WHERE"));
	gate_expect(&w, ST_USAGE, "give one SELECT over added, merged and target",
		    ASK("SELECT count(* FROM added"));
	/* where it cannot be judged, the gate says so when it runs */
	sql_use_program("/bin/false");
	gate_expect(&w, ST_FAILED,
		    "gate g could not be run: the query's process ended with exit code 1",
		    ASK("SELECT FROM WHERE"));
	sql_use_program(program);
	setenv("TIDEMARK_KILL_AT", "sql.run:1", 1);
	gate_expect(&w, ST_FAILED, "gate g could not be run: the query's process was killed",
		    ASK("FROM added"));
	unsetenv("TIDEMARK_KILL_AT");
	gate_expect(
		&w, ST_FAILED, "more memory than it may have",
		ASK("SELECT array_agg(md5(range::VARCHAR)) FROM range(3000000)") "gates.g.memory."
										 "max.bytes=32 "
										 "MiB\n");
	gate_expect(&w, ST_USAGE, "gates.g.memory.max.bytes",
		    ASK("SELECT 1") "gates.g.memory.max.bytes=1\n");
	gate_expect(&w, ST_USAGE, "gates.g.query is not set", "gates=g\ngates.g.type=sql\n");
	gate_expect(&w, ST_USAGE, "gates.g.query", ASK(" ; "));
	gate_expect(&w, ST_USAGE, "gates.g.min=x: give a number",
		    ASK("SELECT 1") "gates.g.min=x\n");
	gate_expect(&w, ST_USAGE, "gates.g.min=3: it is above max",
		    ASK("SELECT 1") "gates.g.min=3\ngates.g.max=2\n");
	gate_expect(&w, ST_USAGE, "gates.g.scope", ASK("SELECT 1") "gates.g.scope=all\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		GATE_TEST(test_rows, &w),    GATE_TEST(test_tables, &w),
		GATE_TEST(test_numbers, &w), GATE_TEST(test_nothing, &w),
		GATE_TEST(test_avro, &w),    GATE_TEST(test_ends, &w),
	};

	program = child_program_path("tidemark-sql");
	sql_use_program(program);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
