/* `tidemark sql` beside DuckDB itself: whole processes, the same question to the same
 * files, the one through the lake, the other by their plain paths.
 *
 *   bench_query make SOURCE.parquet FOLDER    files of a topic out of one
 *   bench_query duck SQL                      a plain process of DuckDB's
 *   bench_query run TIDEMARK LAKE FOLDER      the comparison */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "connector/columnar/duckdb_api.h"
#include "core/base/file.h"
#include "tests/lib/bench.h"

#define PARTITIONS 8
#define FILES 24
#define RUNS 9

/* ---- DuckDB as anybody would use it ---- */

static void ask(const char *sql)
{
	const struct duckdb_api *duck;
	struct err err = ERR_INIT;
	duckdb_database db = NULL;
	duckdb_connection con = NULL;
	duckdb_result result;
	duckdb_data_chunk chunk;

	bench_check(duckdb_api_load(&duck, &err), &err);
	if (duck->open_ext(NULL, &db, NULL, NULL) != DuckDBSuccess ||
	    duck->connect(db, &con) != DuckDBSuccess)
		bench_die("DuckDB does not open");
	if (duck->query(con, sql, &result) != DuckDBSuccess)
		bench_die(duck->result_error(&result));
	while ((chunk = duck->fetch_chunk(result)))
		duck->destroy_data_chunk(&chunk);
	duck->destroy_result(&result);
	duck->disconnect(&con);
	duck->close(&db);
}

static void make(const char *source, const char *folder)
{
	struct err err = ERR_INIT;

	for (int i = 0; i < FILES; i++) {
		AUTO(freep) char *dir = xasprintf("%s/partition=%d", folder, i % PARTITIONS);
		AUTO(freep)
		char *sql = xasprintf(
			"COPY (SELECT * FROM read_parquet('%s') LIMIT 125000 OFFSET %d) TO "
			"'%s/flights+%d+%010d.parquet' (FORMAT parquet, ROW_GROUP_SIZE 65536)",
			source, i * 125000, dir, i % PARTITIONS, i / PARTITIONS * 125000);

		bench_check(dir_create_all(dir, &err), &err);
		ask(sql);
	}
}

/* ---- the comparison ---- */

static void compare(const char *self, const char *tidemark, const char *lake, const char *folder,
		    const char *name, const char *ours, const char *rest)
{
	AUTO(freep) char *query = xasprintf("%s flights %s", ours, rest);
	AUTO(freep)
	char *plain = xasprintf("%s read_parquet('%s/*/*.parquet') %s", ours, folder, rest);
	const char *const theirs[] = {self, "duck", plain, NULL};
	const char *const us[] = {tidemark, "--lake", lake, "sql", query, NULL};
	struct samples a = {.n = 0}, b = {.n = 0};

	bench_run(theirs);
	bench_run(us);
	for (int i = 0; i < RUNS; i++) {
		samples_add(&a, bench_run(us));
		samples_add(&b, bench_run(theirs));
	}
	printf("%-28s tidemark sql %6.1f ms, DuckDB %6.1f ms, ratio %.2f (medians of %d, "
	       "alternating)\n",
	       name, samples_at(&a, 0.5) / 1000, samples_at(&b, 0.5) / 1000,
	       samples_at(&a, 0.5) / samples_at(&b, 0.5), RUNS);
	samples_release(&a);
	samples_release(&b);
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "make") == 0) {
		make(argv[2], argv[3]);
	} else if (argc == 3 && strcmp(argv[1], "duck") == 0) {
		ask(argv[2]);
	} else if (argc == 5 && strcmp(argv[1], "run") == 0) {
		compare(argv[0], argv[2], argv[3], argv[4], "nothing", "SELECT 1 FROM", "LIMIT 0");
		compare(argv[0], argv[2], argv[3], argv[4], "count", "SELECT count(*) FROM", "");
		compare(argv[0], argv[2], argv[3], argv[4], "group by",
			"SELECT origin, destination, count(*), avg(delay), max(date) FROM",
			"GROUP BY ALL ORDER BY ALL");
		compare(argv[0], argv[2], argv[3], argv[4], "distinct, sorted",
			"SELECT DISTINCT origin, date, delay FROM", "ORDER BY ALL LIMIT 10");
	} else {
		bench_die("usage: bench_query make|duck|run ...");
	}
	return 0;
}
