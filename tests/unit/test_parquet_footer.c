/* Footers of Parquet files: their columns are found, whatever stands before them, and
 * compared between files; what is no footer is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "connector/columnar/parquet_footer.h"
#include "core/base/file.h"
#include "tests/lib/duck.h"
#include "tests/lib/must.h"
#include "tests/lib/tempdir.h"

static char *dir;

/* ---- by hand ---- */

/* Fields of all kinds from 100 on, and behind them the columns. */
#define BEFORE                                                                                     \
	"\x05\xc8\x01\x02" /* 100: i32 1 */                                                        \
	"\x11\x12" /* true, false */                                                               \
	"\x13\x07" /* byte */                                                                      \
	"\x14\xff\x01" /* i16 */                                                                   \
	"\x16\x80\x80\x01" /* i64 */                                                               \
	"\x17"                                                                                     \
	"12345678" /* double */                                                                    \
	"\x18\x02"                                                                                 \
	"ab" /* binary */                                                                          \
	"\x19\x21\x01\x02" /* list of two truths */                                                \
	"\x1a\xf3\x10"                                                                             \
	"0123456789abcdef" /* set of 16 bytes */                                                   \
	"\x1b\x01\x86\x01k\x02" /* map of a text to an i64 */                                      \
	"\x1b\x00" /* map of nothing */                                                            \
	"\x1c\x1c\x00\x00" /* struct in a struct */
#define COLUMNS "\x2c\x48\x01r\x15\x02\x00\x15\x0c\x25\x02\x18\x01x\x00"

static void test_by_hand(void **state)
{
	static const char footer[] = BEFORE "\x09\x04" COLUMNS "\x16\x06\x00";
	const size_t whole = sizeof(BEFORE "\x09\x04" COLUMNS) - 1;
	struct bytes columns;

	(void)state;
	assert_true(parquet_footer_columns(footer, sizeof(footer) - 1, &columns));
	assert_int_equal(bytes_left(&columns), sizeof(COLUMNS) - 1);
	assert_memory_equal(columns.p, COLUMNS, sizeof(COLUMNS) - 1);
	for (size_t len = 0; len < whole; len++) {
		AUTO(freep) char *part = xmalloc(len + 1);

		memcpy(part, footer, len);
		assert_false(parquet_footer_columns(part, len, &columns));
	}
}

static void test_no_footer(void **state)
{
	AUTO(freep) char *deep = xmalloc(1000);
	struct bytes columns;

	(void)state;
	assert_false(parquet_footer_columns("\x00", 1, &columns));
	/* a number in the place of the columns; a type that there is not */
	assert_false(parquet_footer_columns("\x25\x02\x00", 3, &columns));
	assert_false(parquet_footer_columns("\x1e\x02\x00", 3, &columns));
	/* more elements than bytes */
	assert_false(parquet_footer_columns("\x29\xf3\xff\xff\xff\xff\x0f\x01", 8, &columns));
	memset(deep, 0x1c, 1000);
	assert_false(parquet_footer_columns(deep, 1000, &columns));
}

/* ---- files ---- */

static char *file(const char *name)
{
	return xasprintf("%s/%s", dir, name);
}

static bool same(const char *a, const char *b)
{
	AUTO(freep) char *one = file(a);
	AUTO(freep) char *other = file(b);
	json_t *files = json_pack("[s,s]", one, other);
	bool is = parquet_same_columns(files);

	json_decref(files);
	return is;
}

static void make(const char *name, const char *select, const char *options)
{
	duck_run("COPY (SELECT %s) TO '%s/%s' (FORMAT parquet%s)", select, dir, name, options);
}

static void test_files(void **state)
{
	(void)state;
	make("a", "1::BIGINT AS n, 'x' AS s FROM range(10)", "");
	make("b", "range AS n, 'long text ' || range AS s FROM range(100000)",
	     ", COMPRESSION zstd, ROW_GROUP_SIZE 2048, KV_METADATA {'k': 'v'}");
	assert_true(same("a", "a"));
	assert_true(same("a", "b"));
	make("c", "'x' AS s, 1::BIGINT AS n", "");
	make("d", "1::INTEGER AS n, 'x' AS s", "");
	make("e", "1::BIGINT AS n, 'x' AS t", "");
	make("f", "1::BIGINT AS n, 'x' AS s, 1 AS o", "");
	make("g", "1::BIGINT AS n, 'x'::BLOB AS s", "");
	for (const char *other = "cdefg"; *other; other++) {
		const char name[] = {*other, 0};

		assert_false(same("a", name));
		assert_false(same(name, "a"));
		assert_true(same(name, name));
	}
	make("h", "1::BIGINT AS n, 'x' AS s", ", KV_METADATA {'geo': '{}'}");
	assert_false(same("h", "h"));
}

/* A footer that is longer than what is read at once. */
static void test_long(void **state)
{
	AUTO(buf_release) struct buf select = BUF_INIT;

	(void)state;
	for (int i = 0; i < 2000; i++)
		buf_addf(&select, "%s%d AS column_of_a_long_name_%d", i ? "," : "", i, i);
	make("long", buf_str(&select), "");
	assert_true(same("long", "long"));
	buf_adds(&select, ", 1 AS one");
	make("longer", buf_str(&select), "");
	assert_false(same("long", "longer"));
}

static void put(const char *name, const void *data, size_t len)
{
	AUTO(freep) char *path = file(name);

	MUST(file_replace(path, data, len, &err));
}

static void test_damage(void **state)
{
	static const size_t cuts[] = {0, 1, 4, 7, 8, 9, 100};
	AUTO(buf_release) struct buf whole = BUF_INIT;
	AUTO(freep) char *path = file("whole");

	(void)state;
	make("whole", "1::BIGINT AS n", "");
	MUST(file_read(path, 1u << 20, &whole, &err));
	assert_false(same("whole", "none"));
	for (size_t i = 0; i < ARRAY_SIZE(cuts); i++) {
		put("cut", whole.data, cuts[i]);
		assert_false(same("cut", "cut"));
		put("cut", whole.data + whole.len - cuts[i], cuts[i]);
		assert_false(same("cut", "cut"));
	}
	/* a length beyond the file's; and encrypted */
	whole.data[whole.len - 6] = 1;
	put("cut", whole.data, whole.len);
	assert_false(same("cut", "cut"));
	whole.data[whole.len - 6] = 0;
	memcpy(whole.data + whole.len - 4, "PARE", 4);
	put("cut", whole.data, whole.len);
	assert_false(same("cut", "cut"));
}

static int open_dir(void **state)
{
	(void)state;
	dir = tempdir_new();
	return 0;
}

static int close_dir(void **state)
{
	(void)state;
	tempdir_remove(&dir);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_by_hand), cmocka_unit_test(test_no_footer),
		cmocka_unit_test(test_files),   cmocka_unit_test(test_long),
		cmocka_unit_test(test_damage),
	};

	return cmocka_run_group_tests(tests, open_dir, close_dir);
}
