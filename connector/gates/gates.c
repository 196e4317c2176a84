/* Runs gates, several at a time, and keeps what each says.
 *
 * Threads: a job is taken by one thread, which alone writes the results of its
 * gates; they are read when all threads have ended. */
#include "connector/gates/gates.h"

#include <inttypes.h>
#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "connector/gates/gate_run.h"

#define MAX_THREADS 4
#define OUTPUT_SHOWN_BYTES 2048

typedef enum status (*gate_kind)(struct gate_run *run, struct err *err);

/* Those that are not here only read records. */
static const gate_kind kinds[GATE_TYPES] = {
	[GATE_ROW_COUNT] = gate_run_row_count, [GATE_OFFSETS] = gate_run_offsets,
	[GATE_FILE_SIZE] = gate_run_file_size, [GATE_FRESHNESS] = gate_run_freshness,
	[GATE_SCHEMA] = gate_run_schema,       [GATE_COMMAND] = gate_run_command,
	[GATE_WEBHOOK] = gate_run_webhook,     [GATE_SQL] = gate_run_sql,
};

enum status gate_out_of_time(const struct gate_run *run, struct err *err)
{
	return err_set(err, ST_HELD, "no verdict within %" PRId64 " ms", run->gate->timeout_ms);
}

enum status gate_time(const struct gate_run *run, struct err *err)
{
	const struct gate_subject *s = run->subject;

	if (s->stop && *s->stop)
		return err_set(err, ST_INTERRUPTED, "stopped");
	if (s->clock->mono_us(s->clock) < run->end_us)
		return ST_OK;
	return gate_out_of_time(run, err);
}

/* ---- results ---- */

/* Text that JSON can hold, whatever it is; at most the last max bytes. */
static char *clean_text(const char *data, size_t len, size_t max)
{
	size_t skip = len > max ? len - max : 0;
	json_t *json;
	char *text;

	while (skip && skip < len && ((unsigned char)data[skip] & 0xc0) == 0x80)
		skip++;
	text = xmemdup(data + skip, len - skip + 1);
	for (size_t i = 0; i < len - skip; i++)
		if (!text[i])
			text[i] = ' ';
	json = json_string(text);
	for (char *p = text; !json && *p; p++)
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	json_decref(json);
	return text;
}

static void set_result(struct gate_result *result, const struct gate_run *run, enum status st,
		       const struct err *err, int64_t began_us)
{
	struct clock *clock = run->subject->clock;
	const char *reason = st == ST_OK ? "" : err->text;

	result->status = st;
	result->verdict = st == ST_OK ? GATE_PASSED : st == ST_HELD ? GATE_REFUSED : GATE_BROKEN;
	result->reason = clean_text(reason, strlen(reason), ERR_TEXT_BYTES);
	result->output = clean_text(buf_str(&run->output), run->output.len, run->output.len);
	result->ms = (clock->mono_us(clock) - began_us) / 1000;
}

void gate_results_release(struct gate_results *r)
{
	for (size_t i = 0; i < r->n; i++) {
		free(r->items[i].reason);
		free(r->items[i].output);
	}
	free(r->items);
	*r = (struct gate_results){0};
}

void gate_results_json(const struct gate_results *r, struct buf *out)
{
	static const char *const verdicts[] = {"passed", "refused", "broken"};
	json_t *array = json_array();
	char *text;

	for (size_t i = 0; i < r->n; i++) {
		const struct gate_result *g = &r->items[i];
		AUTO(freep)
		char *output = clean_text(g->output, strlen(g->output), OUTPUT_SHOWN_BYTES);

		json_array_append_new(array,
				      json_pack("{s:s,s:s,s:s,s:I,s:s}", "name", g->name, "verdict",
						verdicts[g->verdict], "reason", g->reason, "ms",
						(json_int_t)g->ms, "output", output));
	}
	text = json_dumps(array, JSON_COMPACT);
	buf_adds(out, text);
	free(text);
	json_decref(array);
}

/* ---- running ---- */

/* A gate that is run, with where its result goes. */
struct entry {
	struct gate_run run;
	struct gate_result *result;
};

/* What one thread does in one go: one gate, or all that share a pass. */
struct job {
	struct entry **entries;
	size_t n;
};

struct runner {
	const struct gate_subject *subject;
	struct job *jobs;
	size_t n;
	atomic_size_t next;
};

bool gate_reads_records(const struct gate_config *gate)
{
	return gate->field != NULL;
}

static void run_scan(const struct job *job)
{
	struct gate_run **runs = xcalloc(job->n, sizeof(struct gate_run *));
	enum status *statuses = xcalloc(job->n, sizeof(*statuses));
	struct err *errs = xcalloc(job->n, sizeof(*errs));
	struct clock *clock = job->entries[0]->run.subject->clock;
	int64_t now = clock->mono_us(clock);

	for (size_t i = 0; i < job->n; i++) {
		runs[i] = &job->entries[i]->run;
		runs[i]->end_us = now + runs[i]->gate->timeout_ms * 1000;
	}
	gates_scan(runs, job->n, statuses, errs);
	for (size_t i = 0; i < job->n; i++)
		set_result(job->entries[i]->result, runs[i], statuses[i], &errs[i], now);
	free(runs);
	free(statuses);
	free(errs);
}

static void run_job(const struct job *job)
{
	struct gate_run *run = &job->entries[0]->run;
	struct clock *clock = run->subject->clock;
	int64_t now = clock->mono_us(clock);
	struct err err = ERR_INIT;
	enum status st;

	if (gate_reads_records(run->gate)) {
		run_scan(job);
		return;
	}
	run->end_us = now + run->gate->timeout_ms * 1000;
	st = gate_time(run, &err);
	if (st == ST_OK)
		st = kinds[run->gate->type](run, &err);
	set_result(job->entries[0]->result, run, st, &err, now);
}

static void *run_jobs(void *ctx)
{
	struct runner *r = ctx;
	size_t i;

	while ((i = atomic_fetch_add(&r->next, 1)) < r->n)
		run_job(&r->jobs[i]);
	return NULL;
}

static void run_all(struct runner *r)
{
	pthread_t threads[MAX_THREADS - 1];
	size_t n = 0;

	/* this thread is one of them; with fewer than wanted it only takes longer */
	while (n < MAX_THREADS - 1 && n + 1 < r->n &&
	       pthread_create(&threads[n], NULL, run_jobs, r) == 0)
		n++;
	run_jobs(r);
	while (n > 0)
		pthread_join(threads[--n], NULL);
}

/* What all results come to. */
static enum status conclude(const struct gate_results *results, struct err *err)
{
	const struct gate_result *worst = NULL;

	for (size_t i = 0; i < results->n; i++) {
		const struct gate_result *g = &results->items[i];

		if (g->verdict == GATE_REFUSED)
			return err_set(err, ST_HELD, "gate %s: %s", g->name, g->reason);
		if (g->verdict == GATE_BROKEN && (!worst || g->status == ST_INTERRUPTED))
			worst = g;
	}
	if (!worst)
		return ST_OK;
	if (worst->status == ST_INTERRUPTED)
		return err_set(err, ST_INTERRUPTED, "gate %s: %s", worst->name, worst->reason);
	return err_set(err, worst->status, "gate %s could not be run: %s", worst->name,
		       worst->reason);
}

/* One job a gate, but one for all that read records. */
static void make_jobs(struct runner *r, struct entry *entries, struct entry **order, size_t n)
{
	size_t readers = 0, used = 0;

	for (size_t i = 0; i < n; i++)
		if (gate_reads_records(entries[i].run.gate))
			order[readers++] = &entries[i];
	if (readers)
		r->jobs[r->n++] = (struct job){order, readers};
	used = readers;
	for (size_t i = 0; i < n; i++) {
		if (gate_reads_records(entries[i].run.gate))
			continue;
		order[used] = &entries[i];
		r->jobs[r->n++] = (struct job){&order[used++], 1};
	}
}

enum status gates_run(const struct gate_config *gates, size_t n, const struct gate_subject *subject,
		      struct gate_results *out, struct err *err)
{
	struct runner r = {.subject = subject, .jobs = xcalloc(n, sizeof(*r.jobs))};
	struct entry *entries = xcalloc(n, sizeof(*entries));
	struct entry **order = xcalloc(n, sizeof(struct entry *));

	*out = (struct gate_results){.items = xcalloc(n, sizeof(*out->items))};
	for (size_t i = 0; i < n; i++) {
		if (subject->steering && !gates[i].monotone)
			continue;
		out->items[out->n].name = gates[i].name;
		entries[out->n].run = (struct gate_run){.gate = &gates[i], .subject = subject};
		entries[out->n].result = &out->items[out->n];
		out->n++;
	}
	make_jobs(&r, entries, order, out->n);
	run_all(&r);
	for (size_t i = 0; i < out->n; i++)
		buf_release(&entries[i].run.output);
	free(r.jobs);
	free(entries);
	free(order);
	return conclude(out, err);
}
