/* Gates on a line of checkpoints: what they look at, what they conclude, and
 * what is kept of it. (The gates that read records: test_gate_fields.c; that ask in SQL:
 * test_gate_sql.c; that ask elsewhere: test_gate_webhook.c.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/file.h"
#include "tests/lib/gate_steps.h"
#include "tests/lib/must.h"

static struct gate_world w;

#define COMMAND(text) "gates=g\ngates.g.type=command\ngates.g.command=" text "\n"
#define GATE(type) "gates=g\ngates.g.type=" type "\n"

/* ---- command ---- */

static void test_command(void **state)
{
	AUTO(gate_results_release) struct gate_results results = {0};
	struct err err = ERR_INIT;

	(void)state;
	GATE_WRITE(&w, NULL, 0, 0, "1", "2");
	gate_expect(&w, ST_OK, NULL, COMMAND("true"));
	gate_expect(&w, ST_HELD, "gate g: too bad",
		    COMMAND("echo first; echo too bad; echo; exit 1"));
	gate_expect(&w, ST_HELD, "gate g: exit code 7", COMMAND("exit 7"));
	gate_expect(&w, ST_HELD, "gate g: ended by signal 15", COMMAND("kill $$"));
	gate_expect(&w, ST_HELD, "no verdict within 50 ms",
		    COMMAND("sleep 60") "gates.g.timeout.ms=50");
	assert_int_equal(gate_judge(&w, COMMAND("echo said; printf '\\\\377\\\\000x'; exit 0"),
				    &results, &err),
			 ST_OK);
	assert_int_equal(results.n, 1);
	assert_int_equal(results.items[0].verdict, GATE_PASSED);
	assert_string_equal(results.items[0].reason, "");
	assert_string_equal(results.items[0].output, "said\n? x");
}

static void test_command_is_given(void **state)
{
	(void)state;
	GATE_WRITE(&w, NULL, 0, 0, "\"old\"");
	gate_show(&w);
	GATE_WRITE(&w, NULL, 0, 1, "\"new\"");
	GATE_WRITE(&w, NULL, 1, 0, "\"other\"");
	gate_expect(&w, ST_OK, NULL,
		    COMMAND("test $(grep -c '^added.topics/t/' $TIDEMARK_CHANGES) = 2"));
	gate_expect(&w, ST_HELD, "exit code", COMMAND("test -n \"$TIDEMARK_FILES\""));
	gate_expect(&w, ST_HELD, "gate g: \"new\" \"other\"",
		    COMMAND("cd $TIDEMARK_FILES; cat $(find . -type f | sort) | xargs -d '\\\\n' "
			    "echo; exit 1") "gates.g.files=true");
	gate_expect(&w, ST_HELD, "gate g: \"old\" \"new\" \"other\"",
		    COMMAND("cd $TIDEMARK_FILES; cat $(find . -type f | sort) | xargs -d '\\\\n' "
			    "echo; exit 1") "gates.g.files=true\ngates.g.scope=all");
	gate_expect(&w, ST_HELD, "gate g: 1 topics/t/partition=1/t+1+0000000000.jsonl",
		    COMMAND("cd $TIDEMARK_FILES; echo $(wc -l <$TIDEMARK_CHANGES) $(find * -type "
			    "f); exit 1") "gates.g.files=true\ngates.g.paths=topics/*=1/*");
	/* neither its files nor its output may be altered through the folder */
	gate_expect(&w, ST_OK, NULL,
		    COMMAND("echo spoilt > $TIDEMARK_FILES/topics/t/partition=1/"
			    "t+1+0000000000.jsonl") "gates.g.files=true");
	gate_expect(&w, ST_HELD, "other",
		    COMMAND("cat $TIDEMARK_FILES/topics/t/partition=1/*; exit 1") "gates.g.files="
										  "true");
}

static void test_stop(void **state)
{
	(void)state;
	w.stop = true;
	gate_expect(&w, ST_INTERRUPTED, NULL, COMMAND("true"));
	w.stop = false;
}

/* ---- several ---- */

static void test_several(void **state)
{
	static const char text[] =
		"gates=a,b,c,d,e\n"
		"gates.a.type=command\ngates.a.command=echo fine\n"
		"gates.b.type=command\ngates.b.command=sleep 0.2; echo B; false\n"
		"gates.c.type=command\ngates.c.command=echo C; false\n"
		"gates.d.type=file_size\ngates.d.max=1GiB\n"
		"gates.e.type=file_size\ngates.e.min=1GiB\n";
	AUTO(gate_results_release) struct gate_results results = {0};
	AUTO(buf_release) struct buf json = BUF_INIT;
	struct err err = ERR_INIT;
	const char *verdict, *reason, *output;
	json_int_t ms;
	json_t *array;

	(void)state;
	GATE_WRITE(&w, NULL, 0, 0, "1");
	/* the first in order, though others were sooner */
	assert_int_equal(gate_judge(&w, text, &results, &err), ST_HELD);
	assert_string_equal(err.text, "gate b: B");
	assert_int_equal(results.n, 5);
	assert_int_equal(results.items[0].verdict, GATE_PASSED);
	assert_int_equal(results.items[2].verdict, GATE_REFUSED);
	assert_int_equal(results.items[3].verdict, GATE_PASSED);
	assert_int_equal(results.items[4].verdict, GATE_REFUSED);
	gate_results_json(&results, &json);
	array = json_loads(buf_str(&json), 0, NULL);
	assert_int_equal(json_array_size(array), 5);
	assert_int_equal(json_unpack(json_array_get(array, 1), "{s:s,s:s,s:I,s:s}", "verdict",
				     &verdict, "reason", &reason, "ms", &ms, "output", &output),
			 0);
	assert_string_equal(verdict, "refused");
	assert_string_equal(reason, "B");
	assert_string_equal(output, "B");
	assert_true(ms >= 200);
	json_decref(array);

	/* the monotone alone */
	w.steering = true;
	gate_expect(&w, ST_HELD, "gate e", text);
	gate_results_release(&results);
	(void)!gate_judge(&w, text, &results, &err);
	assert_int_equal(results.n, 2);
	w.steering = false;
}

static void test_much_output(void **state)
{
	AUTO(gate_results_release) struct gate_results results = {0};
	AUTO(buf_release) struct buf json = BUF_INIT;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(gate_judge(&w, COMMAND("seq 100000; echo the end"), &results, &err),
			 ST_OK);
	assert_true(strlen(results.items[0].output) <= 128 << 10);
	gate_results_json(&results, &json);
	assert_true(json.len < 4096);
	assert_non_null(strstr(buf_str(&json), "the end"));
}

/* ---- row_count, file_size ---- */

static void test_row_count(void **state)
{
	(void)state;
	GATE_WRITE(&w, NULL, 0, 0, "1", "2", "3");
	gate_show(&w);
	GATE_WRITE(&w, NULL, 0, 3, "1", "2");
	GATE_WRITE(&w, NULL, 1, 0, "1", "2", NULL);
	gate_expect(&w, ST_OK, NULL, GATE("row_count") "gates.g.min=5\ngates.g.max=5");
	gate_expect(&w, ST_HELD, "gate g: 5 rows are fewer than min=6",
		    GATE("row_count") "gates.g.min=6");
	gate_expect(&w, ST_HELD, "gate g: 5 rows are more than max=4",
		    GATE("row_count") "gates.g.max=4");
	gate_expect(&w, ST_OK, NULL,
		    GATE("row_count") "gates.g.scope=all\ngates.g.min=8\ngates.g.max=8");
	gate_expect(&w, ST_OK, NULL,
		    GATE("row_count") "gates.g.paths=topics/t/partition=0/\ngates.g.min=2\n"
				      "gates.g.max=2");
	gate_write_raw(&w, "topics/t/readme", 1, 3, 4, NULL, "x", 1);
	gate_expect(&w, ST_HELD, "topics/t/readme is no file of records",
		    GATE("row_count") "gates.g.min=0");
}

static void test_row_count_change(void **state)
{
	static const uint64_t odd[] = {4, 100, 3}, even[] = {3, 100, 5, 1};

	(void)state;
	GATE_WRITE(&w, NULL, 0, 0, "1", "2", "3", "4", "5", "6");
	gate_expect(&w, ST_OK, NULL, GATE("row_count") "gates.g.max.change=0");
	memcpy(w.history, odd, sizeof(odd));
	w.n_history = 3;
	gate_expect(&w, ST_OK, NULL, GATE("row_count") "gates.g.max.change=0.5");
	gate_expect(&w, ST_OK, NULL, GATE("row_count") "gates.g.max.change=50%");
	gate_expect(&w, ST_HELD, "gate g: 6 rows, where the median of the last 3 publishes is 4",
		    GATE("row_count") "gates.g.max.change=0.49");
	memcpy(w.history, even, sizeof(even));
	w.n_history = 4;
	gate_expect(&w, ST_HELD, "publishes is 4:", GATE("row_count") "gates.g.max.change=0.4");
	gate_expect(&w, ST_HELD, "last 1 publishes is 3:",
		    GATE("row_count") "gates.g.max.change=0.5\ngates.g.max.change.publishes=1");
	w.history[0] = 60; /* too few as well as too many */
	gate_expect(&w, ST_HELD, "is 60:",
		    GATE("row_count") "gates.g.max.change=0.5\ngates.g.max.change.publishes=1");
	w.n_history = 0;
}

static void test_file_size(void **state)
{
	(void)state;
	GATE_WRITE(&w, NULL, 0, 0, "1"); /* 2 bytes */
	gate_show(&w);
	GATE_WRITE(&w, NULL, 0, 1, "100"); /* 4 */
	GATE_WRITE(&w, NULL, 0, 2, "10000"); /* 6 */
	gate_expect(&w, ST_OK, NULL, GATE("file_size") "gates.g.min=4\ngates.g.max=6");
	gate_expect(&w, ST_HELD,
		    "gate g: topics/t/partition=0/t+0+0000000001.jsonl has 4 bytes, fewer than "
		    "min=5",
		    GATE("file_size") "gates.g.min=5");
	gate_expect(&w, ST_HELD, "t+0+0000000002.jsonl has 6 bytes, more than max=5",
		    GATE("file_size") "gates.g.max=5");
	gate_expect(&w, ST_HELD, "t+0+0000000000.jsonl has 2 bytes",
		    GATE("file_size") "gates.g.min=4\ngates.g.scope=all");
}

/* ---- offsets ---- */

static void test_offsets(void **state)
{
	(void)state;
	GATE_WRITE(&w, NULL, 0, 0, "1", "-", "3"); /* not looked at once it is shown */
	gate_show(&w);
	GATE_WRITE(&w, NULL, 0, 3, "4", "5");
	GATE_WRITE(&w, NULL, 1, 0, "1");
	gate_expect(&w, ST_OK, NULL, GATE("offsets"));
	gate_expect(&w, ST_HELD, "1 offsets are in no file, the first is t:0:1",
		    GATE("offsets") "gates.g.scope=all");
	gate_expect(&w, ST_OK, NULL, GATE("offsets") "gates.g.scope=all\ngates.g.max.missing=1");
	GATE_WRITE(&w, NULL, 1, 1, "2", "-");
	GATE_WRITE(&w, NULL, 1, 3, "-", "5");
	gate_expect(&w, ST_HELD, "2 offsets are in no file, the first is t:1:2", GATE("offsets"));
	gate_expect(&w, ST_HELD, "max.missing=1", GATE("offsets") "gates.g.max.missing=1");
	gate_expect(&w, ST_OK, NULL, GATE("offsets") "gates.g.max.missing=2");
	gate_expect(&w, ST_OK, NULL, GATE("offsets") "gates.g.paths=topics/t/partition=0/");
	gate_expect(&w, ST_HELD, "t:1:2", GATE("offsets") "gates.g.paths=topics/t/partition=1/");
	gate_show(&w);
	GATE_WRITE(&w, NULL, 0, 5, "6", "-"); /* behind the last row */
	gate_expect(&w, ST_HELD, "1 offsets are in no file, the first is t:0:6", GATE("offsets"));
}

/* Files in the folders of another partitioner: a partition counts as a whole where one of
 * its files is among the paths. */
static void test_offsets_in_folders(void **state)
{
	(void)state;
	gate_write_raw(&w, "topics/t/country=DE/t+0+0000000000.jsonl", 0, 0, 3, "0,2", "x", 1);
	gate_expect(&w, ST_HELD, "1 offsets are in no file, the first is t:0:1", GATE("offsets"));
	gate_expect(&w, ST_HELD, "t:0:1", GATE("offsets") "gates.g.paths=topics/t/country=DE/");
	gate_expect(&w, ST_HELD, "t:0:1", GATE("offsets") "gates.g.paths=topics/t/");
	gate_expect(&w, ST_OK, NULL, GATE("offsets") "gates.g.paths=topics/t/country=AT/");
	gate_show(&w);
	gate_write_raw(&w, "topics/t/country=AT/t+0+0000000003.jsonl", 0, 3, 6, "3,5", "x", 1);
	gate_write_raw(&w, "topics/t/country=DE/t+1+0000000000.jsonl", 1, 0, 1, "0", "x", 1);
	gate_expect(&w, ST_HELD, "t:0:4", GATE("offsets") "gates.g.paths=topics/t/country=AT/");
	gate_expect(&w, ST_OK, NULL, GATE("offsets") "gates.g.paths=topics/t/country=DE/");
}

static void test_offsets_wrong(void **state)
{
	(void)state;
	GATE_WRITE(&w, NULL, 0, 0, "1", "2");
	gate_show(&w);
	gate_write_raw(&w, "topics/t/partition=0/t+0+0000000002.jsonl", 0, 2, 4, "2-4", "x", 1);
	gate_expect(&w, ST_HELD, "t:0:4 is added, and the checkpoints to be shown read from 2 to 4",
		    GATE("offsets"));
	gate_write_raw(&w, "topics/t/partition=0/t+0+0000000004.jsonl", 0, 4, 6, "4-5", "x", 1);
	gate_expect(&w, ST_HELD, "t:0:4 is there twice", GATE("offsets"));
	gate_show(&w);
	gate_write_raw(&w, "topics/t/partition=0/t+0+0000000006.jsonl", 0, 6, 8, "7,6,7", "x", 1);
	gate_expect(&w, ST_HELD, "an offset twice", GATE("offsets"));
	gate_show(&w);
	gate_write_raw(&w, "topics/t/partition=0/t+0+0000000008.jsonl", 0, 8, 9, "8-", "x", 1);
	gate_expect(&w, ST_HELD, "cannot be read", GATE("offsets"));
}

/* What a policy left out is not missing; the rest is. */
static void test_offsets_lost(void **state)
{
	AUTO(checkpoint_release) struct checkpoint to = {.sequence = 0};
	AUTO(losses_release) struct losses lost = {.n = 0};

	(void)state;
	GATE_WRITE(&w, NULL, 0, 0, "1", "2");
	checkpoint_copy(&to, &w.h.ingest.head);
	offsets_set(&to.offsets, "t", 0, 10);
	losses_add(&lost, "t", 0, 2, 5, "skip-to", "test");
	losses_add(&lost, "t", 0, 6, 10, "skip-to", "test");
	MUST(ingest_adjust(&w.h.ingest, &to, &lost, "skip", &err));
	GATE_WRITE(&w, NULL, 0, 10, "1");
	gate_expect(&w, ST_HELD, "1 offsets are in no file, the first is t:0:5", GATE("offsets"));
	gate_expect(&w, ST_OK, NULL, GATE("offsets") "gates.g.max.missing=1");
}

/* ---- schema ---- */

#define REC(fields) "{\"type\":\"record\",\"name\":\"R\",\"fields\":[" fields "]}"
#define F_A "{\"name\":\"a\",\"type\":\"int\"}"
#define F_A_LONG "{\"name\":\"a\",\"type\":\"long\"}"
#define F_B ",{\"name\":\"b\",\"type\":\"int\"}"
#define F_B_DEFAULT ",{\"name\":\"b\",\"type\":\"int\",\"default\":0}"

static const struct gate_format v_a = {FORMAT_AVRO, CODEC_NULL, REC(F_A)};
static const struct gate_format v_long = {FORMAT_AVRO, CODEC_NULL, REC(F_A_LONG)};
static const struct gate_format v_b = {FORMAT_AVRO, CODEC_NULL, REC(F_A F_B)};
static const struct gate_format v_b_default = {FORMAT_AVRO, CODEC_NULL, REC(F_A F_B_DEFAULT)};

static int64_t next_offset(void)
{
	return offsets_get(&w.h.ingest.head.offsets, "t", 0);
}

static const char *value_of(const struct gate_format *format)
{
	return strstr(format->schema, "\"b\"") ? "{\"a\":1,\"b\":1}" : "{\"a\":1}";
}

static void test_schema(void **state)
{
	static const struct {
		const struct gate_format *held, *added;
		bool backward, forward;
	} rows[] = {
		{&v_a, &v_a, true, true},     {&v_a, &v_long, true, false},
		{&v_long, &v_a, false, true}, {&v_a, &v_b, false, true},
		{&v_b, &v_a, true, false},    {&v_a, &v_b_default, true, true},
		{&v_long, &v_b, false, true}, {&v_b_default, &v_long, true, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		gate_world_close(&w);
		gate_world_open(&w, 2);
		GATE_WRITE(&w, rows[i].held, 0, 0, value_of(rows[i].held));
		gate_show(&w);
		GATE_WRITE(&w, rows[i].added, 0, next_offset(), value_of(rows[i].added));
		gate_expect(&w, rows[i].backward ? ST_OK : ST_HELD, NULL,
			    GATE("schema") "gates.g.compatibility=backward");
		gate_expect(&w, rows[i].forward ? ST_OK : ST_HELD, NULL,
			    GATE("schema") "gates.g.compatibility=forward");
		gate_expect(&w, rows[i].backward && rows[i].forward ? ST_OK : ST_HELD, NULL,
			    GATE("schema") "gates.g.compatibility=full");
		gate_expect(&w, ST_OK, NULL, GATE("schema") "gates.g.compatibility=none");
	}
}

static void test_schema_of_many(void **state)
{
	(void)state;
	/* the first publish has nothing to be compared with, but its own */
	GATE_WRITE(&w, &v_a, 0, 0, "{\"a\":1}", NULL);
	gate_expect(&w, ST_OK, NULL, GATE("schema") "gates.g.compatibility=full");
	GATE_WRITE(&w, &v_long, 1, 0, "{\"a\":1}");
	gate_expect(&w, ST_OK, NULL, GATE("schema") "gates.g.compatibility=backward");
	gate_expect(&w, ST_HELD, "topic t: sha256:", GATE("schema") "gates.g.compatibility=full");
	gate_show(&w);
	/* what the target holds already is no news, whatever else it holds */
	GATE_WRITE(&w, &v_a, 0, 2, "{\"a\":1}");
	gate_expect(&w, ST_OK, NULL, GATE("schema") "gates.g.compatibility=full");
	/* a new one is compared with all */
	GATE_WRITE(&w, &v_b_default, 0, 3, "{\"a\":1}");
	gate_expect(&w, ST_HELD, "a: long cannot be read as int",
		    GATE("schema") "gates.g.compatibility=backward");
	gate_expect(&w, ST_OK, NULL,
		    GATE("schema") "gates.g.compatibility=backward\n"
				   "gates.g.paths=topics/t/partition=0/");
}

/* ---- configuration ---- */

static void test_bad_configuration(void **state)
{
	static const struct {
		const char *text, *say;
	} rows[] = {
		{"gates=g", "gates.g.type is not set: give one of row_count"},
		{"gates=g\ngates.g.type=magic", "gates.g.type=magic: give one of row_count"},
		{"gates=g,g\ngates.g.type=offsets", "g is named twice"},
		{"gates=a.b\ngates.a.b.type=offsets", "a.b has a dot"},
		{"gates.h.type=offsets", "gates.h.type: gates does not name this gate"},
		{GATE("command"), "gates.g.command is not set"},
		{GATE("offsets") "gates.g.command=true",
		 "gates.g.command: no such property of a gate of type offsets; it takes type, "
		 "timeout.ms, paths, scope, monotone, max.missing"},
		{GATE("offsets") "gates.g.timeout.ms=0", "gates.g.timeout.ms=0"},
		{GATE("offsets") "gates.g.scope=some",
		 "gates.g.scope=some: give one of added, all"},
		{GATE("offsets") "gates.g.monotone=yes", "gates.g.monotone=yes"},
		{GATE("offsets") "gates.g.max.missing=-1", "gates.g.max.missing=-1"},
		{GATE("offsets") "gates.g.paths=other/", "other/ is no path of this connector"},
		{GATE("row_count"), "gates.g.min, .max and .max.change are not set"},
		{GATE("row_count") "gates.g.min=few", "gates.g.min=few: give a number of rows"},
		{GATE("row_count") "gates.g.min=5MiB", "gates.g.min=5MiB: give a number of rows"},
		{GATE("row_count") "gates.g.min=2\ngates.g.max=1",
		 "gates.g.min=2: it is above max"},
		{GATE("row_count") "gates.g.max.change=much",
		 "gates.g.max.change=much: give a share"},
		{GATE("row_count") "gates.g.max.change=1\ngates.g.scope=all",
		 "remove paths and scope"},
		{GATE("webhook"), "gates.g.url is not set: give http://"},
		{GATE("webhook") "gates.g.url=ftp://x/", "gates.g.url=ftp://x/: give http://"},
		{GATE("webhook") "gates.g.url=http://x/\ngates.g.secret=",
		 "gates.g.secret is empty"},
		{GATE("schema") "gates.g.compatibility=most",
		 "give one of backward, forward, full"},
		{GATE("schema") "gates.g.scope=all", "gates.g.scope: no such property of a gate"},
		{GATE("file_size"), "gates.g.min and .max are not set"},
		{GATE("file_size") "gates.g.min=5MB", "gates.g.min=5MB: give bytes"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		gate_expect(&w, ST_USAGE, rows[i].say, rows[i].text);
}

int main(void)
{
#define T(f) GATE_TEST(f, &w)
	const struct CMUnitTest tests[] = {
		T(test_command),
		T(test_command_is_given),
		T(test_stop),
		T(test_several),
		T(test_much_output),
		T(test_row_count),
		T(test_row_count_change),
		T(test_file_size),
		T(test_offsets),
		T(test_offsets_in_folders),
		T(test_offsets_wrong),
		T(test_offsets_lost),
		T(test_schema),
		T(test_schema_of_many),
		T(test_bad_configuration),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
