/* Gates that need no more than what the lake knows of a file: its size, and the
 * number of its rows. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "connector/gates/gate_files.h"
#include "connector/gates/gate_run.h"

/* ---- row_count ---- */

static enum status rows_of(const struct gate_file *file, uint64_t *rows, struct err *err)
{
	const char *text = lake_meta_get(&file->entry.meta, "tidemark.records");
	char *end;

	if (!text)
		return err_set(err, ST_HELD, "%s is no file of records", file->entry.path);
	*rows += strtoull(text, &end, 10);
	return *end ? err_set(err, ST_HELD, "%s says that it has '%s' rows", file->entry.path, text)
		    : ST_OK;
}

static enum status count_rows(const struct gate_run *run, uint64_t *rows, struct err *err)
{
	AUTO(gate_files_freep)
	struct gate_files *files = gate_files_new(run->subject, run->gate->all);
	struct gate_file file;
	enum status st;

	while ((st = gate_files_next(files, &file, err)) == ST_OK) {
		st = gate_time(run, err);
		if (st == ST_OK && gate_wants(run->gate, file.entry.path))
			st = rows_of(&file, rows, err);
		gate_file_release(&file);
		if (st != ST_OK)
			return st;
	}
	return st == ST_END ? ST_OK : st;
}

static int by_size(const void *x, const void *y)
{
	uint64_t a = *(const uint64_t *)x, b = *(const uint64_t *)y;

	return (a > b) - (a < b);
}

/* n > 0 */
static double median(const uint64_t *values, size_t n)
{
	AUTO(freep) uint64_t *sorted = xmalloc(n * sizeof(*sorted));
	size_t upper = n / 2, lower = (n - 1) / 2;

	memcpy(sorted, values, n * sizeof(*sorted));
	qsort(sorted, n, sizeof(*sorted), by_size);
	return ((double)sorted[lower] + (double)sorted[upper]) / 2;
}

static enum status compare_rows(struct gate_run *run, uint64_t rows, struct err *err)
{
	const struct gate_subject *s = run->subject;
	const struct gate_config *g = run->gate;
	size_t n = s->n_history < g->publishes ? s->n_history : g->publishes;
	double usual, away;

	if (g->max_change < 0)
		return ST_OK;
	if (n == 0) {
		buf_adds(&run->output, "no publish before to compare with\n");
		return ST_OK;
	}
	usual = median(s->history, n);
	away = fabs((double)rows - usual);
	buf_addf(&run->output, "median of the last %zu publishes: %g rows\n", n, usual);
	if (away <= g->max_change * usual)
		return ST_OK;
	return err_set(err, ST_HELD,
		       "%" PRIu64
		       " rows, where the median of the last %zu publishes is %g: away by more than "
		       "max.change=%g of it",
		       rows, n, usual, g->max_change);
}

enum status gate_run_row_count(struct gate_run *run, struct err *err)
{
	const struct gate_config *g = run->gate;
	uint64_t rows = 0;
	enum status st = count_rows(run, &rows, err);

	if (st != ST_OK)
		return st;
	buf_addf(&run->output, "%" PRIu64 " rows\n", rows);
	if (g->min >= 0 && rows < (uint64_t)g->min)
		return err_set(err, ST_HELD, "%" PRIu64 " rows are fewer than min=%" PRId64, rows,
			       g->min);
	if (g->max >= 0 && rows > (uint64_t)g->max)
		return err_set(err, ST_HELD, "%" PRIu64 " rows are more than max=%" PRId64, rows,
			       g->max);
	return compare_rows(run, rows, err);
}

/* ---- file_size ---- */

enum status gate_run_file_size(struct gate_run *run, struct err *err)
{
	AUTO(gate_files_freep)
	struct gate_files *files = gate_files_new(run->subject, run->gate->all);
	const struct gate_config *g = run->gate;
	uint64_t n = 0, wrong = 0;
	struct gate_file file;
	enum status st;

	while ((st = gate_files_next(files, &file, err)) == ST_OK) {
		uint64_t size = file.entry.size;
		bool small = g->min >= 0 && size < (uint64_t)g->min;
		bool large = g->max >= 0 && size > (uint64_t)g->max;

		st = gate_time(run, err);
		if (st == ST_OK && gate_wants(g, file.entry.path)) {
			n++;
			if ((small || large) && wrong++ == 0)
				err_set(err, ST_HELD,
					"%s has %" PRIu64 " bytes, %s than %s=%" PRId64,
					file.entry.path, size, small ? "fewer" : "more",
					small ? "min" : "max", small ? g->min : g->max);
		}
		gate_file_release(&file);
		if (st != ST_OK)
			return st;
	}
	if (st != ST_END)
		return st;
	buf_addf(&run->output, "%" PRIu64 " files, %" PRIu64 " of them out of bounds\n", n, wrong);
	return wrong ? ST_HELD : ST_OK;
}
