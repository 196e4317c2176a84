/* The gates that read records: all of them share one pass over each file.
 *
 * Tombstones are no rows here. Runs on one thread. */
#include <inttypes.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "connector/gates/gate_files.h"
#include "connector/gates/gate_run.h"
#include "connector/gates/rows.h"
#include "connector/gates/unique_set.h"
#include "connector/writer/offset_runs.h"

/* Rows between two looks at the clock. */
#define ROWS_AT_A_TIME 1024

/* A gate under way. */
struct check {
	struct gate_run *run;
	size_t slot; /* its field's, among all fields */
	bool over; /* st and err say how it ended */
	bool reads; /* the file that is open */
	enum status st;
	struct err err;
	uint64_t rows, failing;
	bool present; /* some row has the field */
	struct buf first; /* what fails first */
	struct bound min, max; /* range */
	regex_t pattern;
	bool pattern_ready;
	struct unique_set *set;
	bool any_time;
	int64_t newest_us;
};

struct scan {
	const struct gate_subject *subject;
	struct check *checks;
	size_t n;
	const char **fields; /* each once */
	size_t n_fields;
	struct rows_pass *pass;
	struct buf scratch;
	/* where the scan is */
	const struct gate_file *file;
	uint64_t file_number; /* of all that gate_files gives */
	uint64_t row; /* in the file */
};

static void check_end(struct check *c, enum status st, const struct err *err)
{
	if (c->over)
		return;
	c->over = true;
	c->reads = false;
	c->st = st;
	if (err)
		c->err = *err;
}

static void refuse(struct check *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void refuse(struct check *c, const char *fmt, ...)
{
	struct err err = ERR_INIT;
	va_list args;

	va_start(args, fmt);
	err_setv(&err, ST_HELD, fmt, args);
	va_end(args);
	check_end(c, ST_HELD, &err);
}

/* ---- where a row is ---- */

/* "offset 17 of topics/..."; by number where the file does not say. */
static void place(const struct lake_entry *entry, uint64_t row, struct buf *out)
{
	AUTO(offset_reader_release) struct offset_reader runs;
	int64_t from, to;
	uint64_t left = row;

	offset_reader_open(&runs, lake_meta_get(&entry->meta, "tidemark.offsets"));
	while (offset_reader_next(&runs, &from, &to)) {
		uint64_t n = (uint64_t)(to - from) + 1;

		if (left < n) {
			buf_addf(out, "offset %" PRId64 " of %s", from + (int64_t)left,
				 entry->path);
			return;
		}
		left -= n;
	}
	buf_addf(out, "row %" PRIu64 " of %s", row + 1, entry->path);
}

/* A row fails; of the first is kept what it holds and where it is. */
static void fail(const struct scan *s, struct check *c, const struct value *v)
{
	if (c->failing++)
		return;
	value_show(v, &c->first);
	buf_adds(&c->first, " at ");
	place(&s->file->entry, s->row, &c->first);
}

/* ---- the kinds ---- */

static void check_range(const struct scan *s, struct check *c, const struct value *v)
{
	int order;
	bool ok = true;

	if (c->min.set)
		ok = value_compare(v, &c->min, &order) && order >= 0;
	if (ok && c->max.set)
		ok = value_compare(v, &c->max, &order) && order <= 0;
	if (!ok)
		fail(s, c, v);
}

static void check_pattern(struct scan *s, struct check *c, const struct value *v)
{
	bool ok = v->kind == VALUE_TEXT && !(v->len && memchr(v->data, '\0', v->len));

	if (ok) {
		buf_clear(&s->scratch);
		buf_add(&s->scratch, v->data, v->len);
		ok = regexec(&c->pattern, buf_str(&s->scratch), 0, NULL, 0) == 0;
	}
	if (!ok)
		fail(s, c, v);
}

static void check_unique(struct scan *s, struct check *c, const struct value *v)
{
	struct unique_item item = {.file = s->file_number, .row = s->row};
	struct err err = ERR_INIT;
	enum status st;

	value_digest(v, &s->scratch, item.digest);
	st = unique_set_add(c->set, &item, &err);
	if (st != ST_OK)
		check_end(c, st, &err);
}

static void check_freshness(struct scan *s, struct check *c, const struct value *v)
{
	int64_t us;

	if (!value_time(v, &us)) {
		fail(s, c, v);
		return;
	}
	if (!c->any_time || us > c->newest_us)
		c->newest_us = us;
	c->any_time = true;
}

static void check_row(struct scan *s, struct check *c, const struct value *v)
{
	enum gate_type type = c->run->gate->type;

	c->rows++;
	if (v->kind != VALUE_ABSENT)
		c->present = true;
	if (v->kind == VALUE_ABSENT || v->kind == VALUE_NULL) {
		if (type == GATE_NULLS)
			fail(s, c, v);
		return;
	}
	if (type == GATE_RANGE)
		check_range(s, c, v);
	else if (type == GATE_PATTERN)
		check_pattern(s, c, v);
	else if (type == GATE_UNIQUE)
		check_unique(s, c, v);
	else if (type == GATE_FRESHNESS)
		check_freshness(s, c, v);
}

/* ---- verdicts ---- */

static bool tolerated(const struct check *c)
{
	const struct gate_tolerance *t = &c->run->gate->tolerance;
	double most = t->share ? t->most * (double)c->rows : t->most;

	return (double)c->failing <= most;
}

static void tolerance_text(const struct check *c, struct buf *out)
{
	const struct gate_tolerance *t = &c->run->gate->tolerance;

	if (t->share)
		buf_addf(out, "max=%g%%", t->most * 100);
	else
		buf_addf(out, "max=%g", t->most);
}

static void conclude_rows(struct check *c, const char *what)
{
	AUTO(buf_release) struct buf most = BUF_INIT;
	const char *field = c->run->gate->field;

	buf_addf(&c->run->output, "%" PRIu64 " of %" PRIu64 " rows: %s %s\n", c->failing, c->rows,
		 field, what);
	if (tolerated(c)) {
		check_end(c, ST_OK, NULL);
		return;
	}
	tolerance_text(c, &most);
	refuse(c, "%s %s in %" PRIu64 " of %" PRIu64 " rows (%s); the first: %s", field, what,
	       c->failing, c->rows, buf_str(&most), buf_str(&c->first));
}

/* The place of an item of the set: its file is looked for again. */
static enum status place_item(const struct scan *s, const struct unique_item *item, struct buf *out,
			      struct err *err, bool all)
{
	AUTO(gate_files_freep) struct gate_files *files = gate_files_new(s->subject, all);
	struct gate_file file;
	enum status st;

	for (uint64_t i = 0; (st = gate_files_next(files, &file, err)) == ST_OK; i++) {
		if (i == item->file)
			place(&file.entry, item->row, out);
		gate_file_release(&file);
		if (i == item->file)
			break;
	}
	return st;
}

static void conclude_unique(const struct scan *s, struct check *c, bool all)
{
	struct unique_result r;
	struct err err = ERR_INIT;
	enum status st = unique_set_finish(c->set, &r, &err);

	if (st == ST_OK && r.again) {
		st = place_item(s, &r.second, &c->first, &err, all);
		buf_adds(&c->first, " as ");
		if (st == ST_OK)
			st = place_item(s, &r.first, &c->first, &err, all);
	}
	if (st != ST_OK) {
		check_end(c, st, &err);
		return;
	}
	c->failing = r.again;
	conclude_rows(c, "is there again");
}

static void conclude_freshness(struct check *c)
{
	const struct gate_config *g = c->run->gate;

	if (c->failing)
		refuse(c, "%s is no time in %" PRIu64 " of %" PRIu64 " rows; the first: %s",
		       g->field, c->failing, c->rows, buf_str(&c->first));
	else if (!c->any_time && c->rows)
		refuse(c, "no row has a time in %s", g->field);
	else if (c->any_time)
		gate_judge_age(c->run, c->newest_us / 1000, &c->st, &c->err);
	c->over = true;
}

static void conclude(const struct scan *s, struct check *c, bool all)
{
	const struct gate_config *g = c->run->gate;

	if (c->over)
		return;
	if (c->rows && !c->present && !g->optional && g->type != GATE_NULLS) {
		refuse(c, "no row has the field %s", g->field);
		return;
	}
	switch (g->type) {
	case GATE_NULLS:
		conclude_rows(c, "is null");
		break;
	case GATE_UNIQUE:
		conclude_unique(s, c, all);
		break;
	case GATE_RANGE:
		conclude_rows(c, "is out of range");
		break;
	case GATE_PATTERN:
		conclude_rows(c, "does not match");
		break;
	default:
		conclude_freshness(c);
	}
}

/* ---- the pass ---- */

static bool look_at_clocks(struct scan *s)
{
	bool any = false;

	for (size_t i = 0; i < s->n; i++) {
		struct check *c = &s->checks[i];
		struct err err = ERR_INIT;
		enum status st = c->over ? ST_OK : gate_time(c->run, &err);

		if (st != ST_OK)
			check_end(c, st, &err);
		any = any || !c->over;
	}
	return any;
}

/* Which checks read this file; false: none. */
static bool choose(struct scan *s, const struct gate_file *file)
{
	bool any = false;

	for (size_t i = 0; i < s->n; i++) {
		struct check *c = &s->checks[i];
		const struct gate_config *g = c->run->gate;

		c->reads = !c->over && (g->all || file->added) && gate_wants(g, file->entry.path);
		any = any || c->reads;
	}
	return any;
}

/* A file whose rows cannot have the field. */
static bool leave_out_lacking(struct scan *s, const struct rows *rows)
{
	bool any = false;

	for (size_t i = 0; i < s->n; i++) {
		struct check *c = &s->checks[i];
		const char *lack = c->reads ? rows_lack(rows, c->slot) : NULL;

		if (lack && !c->run->gate->optional)
			refuse(c, "%s: %s", s->file->entry.path, lack);
		if (lack)
			c->reads = false;
		any = any || c->reads;
	}
	return any;
}

static enum status read_rows(struct scan *s, struct rows *rows, struct err *err)
{
	struct row row;
	enum status st;

	for (s->row = 0; (st = rows_next(rows, &row, err)) == ST_OK; s->row++) {
		for (size_t i = 0; !row.tombstone && i < s->n; i++)
			if (s->checks[i].reads)
				check_row(s, &s->checks[i], &row.values[s->checks[i].slot]);
		if (s->row % ROWS_AT_A_TIME == ROWS_AT_A_TIME - 1 && !look_at_clocks(s))
			return ST_OK;
	}
	return st == ST_END ? ST_OK : st;
}

/* ST_BUSY: at the pass's time limit, which no check's is behind. */
static void end_with(struct check *c, enum status st, struct err *err)
{
	if (st == ST_BUSY)
		st = gate_out_of_time(c->run, err);
	check_end(c, st == ST_POISON ? ST_HELD : st, err);
}

/* What is wrong with a file ends the checks that read it, and no other. */
static void read_file(struct scan *s, const struct gate_file *file)
{
	AUTO(rows_closep) struct rows *rows = NULL;
	struct err err = ERR_INIT;
	enum status st;

	s->file = file;
	if (!choose(s, file))
		return;
	st = rows_open(s->pass, file->entry.path, &rows, &err);
	if (st == ST_OK && leave_out_lacking(s, rows))
		st = read_rows(s, rows, &err);
	for (size_t i = 0; st != ST_OK && i < s->n; i++)
		if (s->checks[i].reads)
			end_with(&s->checks[i], st, &err);
}

struct files_ahead {
	struct gate_file items[ROWS_FILES_AHEAD];
	size_t n;
};

static void files_ahead_release(struct files_ahead *f)
{
	for (size_t i = 0; i < f->n; i++)
		gate_file_release(&f->items[i]);
	f->n = 0;
}

/* ST_END behind the last. */
static enum status look_ahead(struct scan *s, struct gate_files *files, struct files_ahead *out,
			      struct err *err)
{
	enum status st = ST_OK;

	rows_pass_forget(s->pass);
	while (out->n < ROWS_FILES_AHEAD &&
	       (st = gate_files_next(files, &out->items[out->n], err)) == ST_OK) {
		const struct gate_file *file = &out->items[out->n++];

		if (choose(s, file))
			rows_pass_expect(s->pass, &file->entry);
	}
	return st;
}

static void read_files(struct scan *s, bool all)
{
	AUTO(gate_files_freep) struct gate_files *files = gate_files_new(s->subject, all);
	AUTO(files_ahead_release) struct files_ahead ahead = {.n = 0};
	struct err err = ERR_INIT;
	enum status st = ST_OK;

	while (st == ST_OK && look_at_clocks(s)) {
		st = look_ahead(s, files, &ahead, &err);
		for (size_t i = 0; i < ahead.n && look_at_clocks(s); i++, s->file_number++)
			read_file(s, &ahead.items[i]);
		files_ahead_release(&ahead);
	}
	for (size_t i = 0; st != ST_OK && st != ST_END && i < s->n; i++)
		check_end(&s->checks[i], st, &err);
}

/* The last limit of the checks'. */
static struct rows_pass *begin_pass(const struct scan *s)
{
	struct rows_settings settings = {
		.lake = s->subject->lake,
		.commit = &s->subject->merged,
		.fields = s->fields,
		.n_fields = s->n_fields,
		.clock = s->subject->clock,
		.stop = s->subject->stop,
	};

	for (size_t i = 0; i < s->n; i++)
		if (s->checks[i].run->end_us > settings.end_us)
			settings.end_us = s->checks[i].run->end_us;
	return rows_pass_new(&settings);
}

/* ---- begin and end ---- */

static size_t slot_of(struct scan *s, const char *field)
{
	for (size_t i = 0; i < s->n_fields; i++)
		if (strcmp(s->fields[i], field) == 0)
			return i;
	s->fields[s->n_fields] = field;
	return s->n_fields++;
}

/* What the configuration has checked can be read again. */
static void begin(struct scan *s, struct check *c, struct gate_run *run)
{
	const struct gate_config *g = run->gate;

	c->run = run;
	c->slot = slot_of(s, g->field);
	if (g->type == GATE_RANGE && ((g->low && !bound_parse(g->low, &c->min)) ||
				      (g->high && !bound_parse(g->high, &c->max))))
		refuse(c, "its bounds cannot be read");
	if (g->type == GATE_PATTERN) {
		AUTO(freep) char *whole = xasprintf("^(%s)$", g->pattern);

		c->pattern_ready = regcomp(&c->pattern, whole, REG_EXTENDED | REG_NOSUB) == 0;
		if (!c->pattern_ready)
			refuse(c, "its pattern cannot be read");
	}
	if (g->type == GATE_UNIQUE)
		c->set = unique_set_new(0);
}

static void check_release(struct check *c)
{
	buf_release(&c->first);
	if (c->pattern_ready)
		regfree(&c->pattern);
	unique_set_free(c->set);
}

void gates_scan(struct gate_run *const *runs, size_t n, enum status *statuses, struct err *errs)
{
	struct scan s = {
		.subject = runs[0]->subject,
		.checks = xcalloc(n, sizeof(*s.checks)),
		.n = n,
		.fields = xcalloc(n, sizeof(*s.fields)),
	};
	bool all = false;

	for (size_t i = 0; i < n; i++) {
		begin(&s, &s.checks[i], runs[i]);
		all = all || runs[i]->gate->all;
	}
	s.pass = begin_pass(&s);
	read_files(&s, all);
	rows_pass_free(MOVE(s.pass));
	for (size_t i = 0; i < n; i++) {
		conclude(&s, &s.checks[i], all);
		statuses[i] = s.checks[i].st;
		errs[i] = s.checks[i].err;
		check_release(&s.checks[i]);
	}
	buf_release(&s.scratch);
	free(s.checks);
	free(s.fields);
}
