/* The oracle: reads what a ref of the lake shows of a connector and proves it
 * against the log of what Kafka acknowledged (tests/lib/stamp.h):
 *
 *   each acknowledged record that was not aborted is there exactly once, whole,
 *   at its own offset; nothing else is;
 *   along tidemark.previous the ranges of each partition are half-open and
 *   contiguous, or the break is in tidemark.lost;
 *   each checkpoint added the files of its own ranges, as many rows as it says,
 *   and took nothing away;
 *   data + dead letters + recorded losses = input.
 *
 * Prints one line of counts; or names the first violation and exits with 1.
 * With --list it proves nothing and prints path, offsets and digest of each data
 * file. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connector/history/checkpoint.h"
#include "core/lake.h"
#include "tests/lib/oracle_file.h"
#include "tests/lib/oracle_log.h"
#include "tests/lib/oracle_runs.h"

#define FILE_MAX ((size_t)1 << 30)

static void violation(const char *fmt, ...) PRINTF_LIKE(1, 2) __attribute__((noreturn));

static void violation(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fputs("oracle: violation: ", stderr);
	vfprintf(stderr, fmt, args);
	fputc('\n', stderr);
	va_end(args);
	exit(1);
}

#define MUST(call)                                                                                 \
	do {                                                                                       \
		struct err err = ERR_INIT;                                                         \
		if ((call) != ST_OK)                                                               \
			violation("%s", err.text);                                                 \
	} while (0)

/* One link of the chain along tidemark.previous. */
struct link {
	struct checkpoint cp;
	struct ranges ranges;
	struct losses losses;
	uint64_t records, deadletters; /* as its metadata says */
};

struct check {
	struct lake *lake;
	const char *connector, *ref, *prefix;
	bool partial; /* the newest records may not be there yet */
	bool shallow; /* leave the differences between checkpoints out */
	struct oracle_log log;
	struct lake_id tree;
	struct link *links; /* newest first */
	size_t n_links, cap_links;
	uint64_t files, records, tombstones, deadletters, lost, unread, aborted;
};

/* ---- the chain ---- */

static void read_document(struct check *c, const struct lake_commit *commit, const char *key,
			  struct buf *out)
{
	MUST(checkpoint_document(c->lake, commit, key, out, &err));
}

static uint64_t number(const struct lake_commit *commit, const char *key)
{
	const char *text = lake_meta_get(&commit->meta, key);

	if (!text)
		violation("a checkpoint has no %s", key);
	return strtoull(text, NULL, 10);
}

static void read_link(struct check *c, const struct lake_id *id)
{
	AUTO(lake_commit_release) struct lake_commit commit = {0};
	AUTO(buf_release) struct buf ranges = BUF_INIT;
	AUTO(buf_release) struct buf lost = BUF_INIT;
	struct link *link;

	GROW(c->links, c->n_links, c->cap_links);
	link = &c->links[c->n_links++];
	*link = (struct link){0};
	MUST(checkpoint_read(c->lake, id, &link->cp, &err));
	if (strcmp(link->cp.connector, c->connector) != 0)
		violation("a checkpoint of %s is in the line of %s", link->cp.connector,
			  c->connector);
	MUST(lake_commit_read(c->lake, id, &commit, &err));
	link->records = number(&commit, META_RECORDS);
	link->deadletters = number(&commit, META_DEADLETTERS);
	read_document(c, &commit, META_RANGES, &ranges);
	read_document(c, &commit, META_LOST, &lost);
	if (ranges.len)
		MUST(ranges_from_json(ranges.data, &link->ranges, &err));
	if (lost.len)
		MUST(losses_from_json(lost.data, &link->losses, &err));
}

static void read_chain(struct check *c)
{
	struct lake_id id;
	struct cursor cursor;

	MUST(lake_resolve(c->lake, c->ref, &c->tree, &err));
	MUST(cursor_read(c->lake, &c->tree, c->connector, &cursor, &err));
	id = cursor.published ? cursor.checkpoint : c->tree;
	while (!lake_id_is_none(&id)) {
		read_link(c, &id);
		id = c->links[c->n_links - 1].cp.previous;
		if (c->n_links > 1) {
			const struct checkpoint *newer = &c->links[c->n_links - 2].cp;
			const struct checkpoint *older = &c->links[c->n_links - 1].cp;

			if (older->sequence >= newer->sequence || older->epoch > newer->epoch)
				violation("sequence or epoch does not grow along "
					  "tidemark.previous");
		}
	}
	if (!c->n_links)
		violation("%s shows no checkpoint of %s", c->ref, c->connector);
}

static uint32_t generation_of(const struct link *link, const char *topic)
{
	const struct topic_state *state = topic_states_find(&link->cp.topics, topic);

	if (!state)
		violation("a checkpoint has offsets of %s and no id of it", topic);
	return state->generation;
}

static const struct loss *find_loss(const struct link *link, const struct offset_item *from)
{
	for (size_t i = 0; i < link->losses.n; i++) {
		const struct loss *l = &link->losses.items[i];

		if (l->partition == from->partition && strcmp(l->topic, from->topic) == 0 &&
		    l->from == from->value)
			return l;
	}
	return NULL;
}

static void check_anew(struct check *c, const struct link *link, const struct offset_item *was,
		       uint32_t generation)
{
	const struct loss *loss = find_loss(link, was);

	if (!loss || loss->to != -1)
		violation("%s:%d was created anew at offset %" PRId64
			  " and tidemark.lost does not say so",
			  was->topic, was->partition, was->value);
	oracle_span_add(oracle_log_stream(&c->log, was->topic, generation, was->partition),
			was->value, INT64_MAX, true);
}

/* One partition from one checkpoint to the next. */
static void check_step(struct check *c, const struct link *link, const struct link *before,
		       const struct offset_item *was)
{
	uint32_t generation = generation_of(before, was->topic);
	int64_t now = offsets_get(&link->cp.offsets, was->topic, was->partition);
	const struct range *range = ranges_find(&link->ranges, was->topic, was->partition);
	const struct loss *loss = find_loss(link, was);

	if (generation_of(link, was->topic) != generation) {
		check_anew(c, link, was, generation);
		return;
	}
	if (now < 0)
		violation("%s:%d is gone from tidemark.offsets", was->topic, was->partition);
	if (range && (range->from != was->value || range->to != now || range->to < range->from))
		violation("%s:%d: range [%" PRId64 ",%" PRId64 ") between the offsets %" PRId64
			  " and %" PRId64,
			  was->topic, was->partition, range->from, range->to, was->value, now);
	if (!range && now == was->value)
		return;
	if (!range && (!loss || loss->to != now))
		violation("%s:%d jumps from %" PRId64 " to %" PRId64
			  " and neither ranges nor tidemark.lost say so",
			  was->topic, was->partition, was->value, now);
	/* a cut log goes back: nothing is in between */
	oracle_span_add(oracle_log_stream(&c->log, was->topic, generation, was->partition),
			was->value, now, loss != NULL);
}

static void check_chain(struct check *c)
{
	for (size_t i = 0; i + 1 < c->n_links; i++) {
		const struct link *link = &c->links[i], *before = &c->links[i + 1];

		for (size_t j = 0; j < before->cp.offsets.n; j++)
			check_step(c, link, before, &before->cp.offsets.items[j]);
		for (size_t j = 0; j < link->ranges.n; j++) {
			const struct range *r = &link->ranges.items[j];

			if (offsets_get(&before->cp.offsets, r->topic, r->partition) < 0)
				violation("%s:%d has a range and no offset before it", r->topic,
					  r->partition);
		}
	}
	if (c->links[c->n_links - 1].ranges.n || c->links[c->n_links - 1].records)
		violation("the first checkpoint is not empty");
}

/* ---- what each checkpoint added ---- */

static const char *entry_runs(const struct lake_entry *entry)
{
	const char *runs = lake_meta_get(&entry->meta, "tidemark.offsets");

	if (!runs)
		violation("%s has no tidemark.offsets", entry->path);
	return runs;
}

static void read_runs(const struct lake_entry *entry, struct oracle_runs *runs)
{
	if (!oracle_runs_parse(entry_runs(entry), runs))
		violation("tidemark.offsets=%s is no list of runs", entry_runs(entry));
}

static uint64_t check_added_file(struct check *c, const struct link *link, const char *path)
{
	AUTO(lake_entry_release) struct lake_entry entry = {0};
	AUTO(oracle_runs_release) struct oracle_runs runs = {.n = 0};
	struct oracle_path at;
	const struct range *range;
	uint64_t rows = 0;

	MUST(lake_stat(c->lake, &link->cp.id, path, &entry, &err));
	if (!oracle_path_parse(path, &at))
		violation("%s is no name of a data file", path);
	range = ranges_find(&link->ranges, at.topic, at.partition);
	if (!range || generation_of(link, at.topic) != at.generation)
		violation("%s was added by a checkpoint that read nothing there", path);
	read_runs(&entry, &runs);
	for (size_t i = 0; i < runs.n; i++) {
		const int64_t from = runs.items[i].from, to = runs.items[i].to;

		if (from < range->from || to >= range->to)
			violation("%s holds %" PRId64 "-%" PRId64 ", its checkpoint read [%" PRId64
				  ",%" PRId64 ")",
				  path, from, to, range->from, range->to);
		rows += (uint64_t)(to - from + 1);
	}
	return rows;
}

static uint64_t check_added(struct check *c, const struct link *link, const struct link *before,
			    const char *prefix)
{
	AUTO(lake_diff_closep) struct lake_diff *diff = NULL;
	uint64_t rows = 0;

	MUST(lake_diff_open(c->lake, &before->cp.id, &link->cp.id, prefix, &diff, &err));
	for (;;) {
		struct lake_diff_entry change;
		struct err err = ERR_INIT;
		enum status st = lake_diff_next(diff, &change, &err);

		if (st == ST_END)
			return rows;
		if (st != ST_OK)
			violation("%s", err.text);
		if (change.change != LAKE_ADDED)
			violation("%s was %s by a checkpoint", change.path,
				  lake_change_name(change.change));
		rows += check_added_file(c, link, change.path);
		free(change.path);
	}
}

static void check_differences(struct check *c)
{
	AUTO(freep) char *data = xasprintf("%s/", c->prefix);
	AUTO(freep) char *dead = xasprintf("_deadletters/%s/", c->connector);

	for (size_t i = 0; i + 1 < c->n_links; i++) {
		const struct link *link = &c->links[i], *before = &c->links[i + 1];
		uint64_t rows = check_added(c, link, before, data);
		uint64_t letters = check_added(c, link, before, dead);

		if (rows != link->records || letters != link->deadletters)
			violation("a checkpoint says %" PRIu64 " records and %" PRIu64
				  " dead letters, its files hold %" PRIu64 " and %" PRIu64,
				  link->records, link->deadletters, rows, letters);
	}
}

/* ---- rows ---- */

static void check_row(struct check *c, const char *path, const struct oracle_path *at,
		      int64_t offset, const struct oracle_row *row, bool dead)
{
	struct oracle_stream *stream =
		oracle_log_stream(&c->log, at->topic, at->generation, at->partition);
	const struct oracle_span *span = oracle_span_find(stream, offset);
	struct oracle_entry *e = oracle_log_find(stream, offset);

	if (!e)
		violation("%s: offset %" PRId64 " was never acknowledged", path, offset);
	if (e->kind == 'X')
		violation("%s: offset %" PRId64 " was aborted", path, offset);
	if (e->seen)
		violation("%s: offset %" PRId64 " is there twice", path, offset);
	if (!span || span->lost)
		violation("%s: offset %" PRId64 " is outside what checkpoints read", path, offset);
	if (row->offset >= 0 && row->offset != offset)
		violation("%s: the row of offset %" PRId64 " says %" PRId64, path, offset,
			  row->offset);
	if (!dead && (e->kind == 'T') != (row->kind == ROW_TOMBSTONE))
		violation("%s: offset %" PRId64 " is %sa tombstone", path, offset,
			  e->kind == 'T' ? "not " : "");
	if (dead ? e->kind == 'T' : e->kind == 'P')
		violation("%s: offset %" PRId64 " is in the wrong place", path, offset);
	if (row->kind != ROW_TOMBSTONE && row->stamp.partition >= 0 &&
	    (!row->stamp.whole || row->stamp.crc != e->crc || row->stamp.sequence != e->sequence ||
	     row->stamp.partition != at->partition || strcmp(row->stamp.topic, at->topic) != 0))
		violation("%s: offset %" PRId64 " holds %s:%d sequence %" PRId64
			  ", acknowledged was sequence %" PRId64 "%s",
			  path, offset, row->stamp.topic, row->stamp.partition, row->stamp.sequence,
			  e->sequence, row->stamp.whole ? "" : "; its CRC is wrong");
	e->seen = dead ? 'L' : 'D';
	if (dead)
		c->deadletters++;
	else
		c->records++;
	c->tombstones += row->kind == ROW_TOMBSTONE;
}

static void check_file(struct check *c, const struct lake_entry *entry, bool dead)
{
	AUTO(buf_release) struct buf content = BUF_INIT;
	AUTO(oracle_file_release) struct oracle_file file = {0};
	struct oracle_path at;
	struct oracle_row row;
	AUTO(oracle_runs_release) struct oracle_runs runs = {.n = 0};
	const char *why;
	uint64_t n = 0;

	if (!oracle_path_parse(entry->path, &at))
		violation("%s is no name of a data file", entry->path);
	MUST(lake_read(c->lake, &c->tree, entry->path, FILE_MAX, &content, &err));
	if (!oracle_file_open(entry->path, &content, &file, &why))
		violation("%s: %s", entry->path, why);
	read_runs(entry, &runs);
	for (size_t i = 0; i < runs.n; i++) {
		for (int64_t offset = runs.items[i].from; offset <= runs.items[i].to; offset++) {
			if (n++ == file.n_rows)
				violation("%s: fewer rows than offsets", entry->path);
			if (!oracle_file_next(&file, &row, &why))
				violation("%s: offset %" PRId64 ": %s", entry->path, offset, why);
			check_row(c, entry->path, &at, offset, &row, dead);
		}
	}
	if (n != file.n_rows || bytes_left(&file.rest))
		violation("%s: %" PRIu64 " rows of %" PRIu64 " offsets", entry->path, file.n_rows,
			  n);
	if (runs.least != at.first)
		violation("%s: its first offset is %" PRId64, entry->path, runs.least);
	c->files++;
}

static void check_files(struct check *c, const char *prefix, bool dead)
{
	AUTO(lake_list_closep) struct lake_list *list = NULL;

	MUST(lake_list_open(c->lake, &c->tree, prefix, &list, &err));
	for (;;) {
		AUTO(lake_entry_release) struct lake_entry entry = {0};
		struct err err = ERR_INIT;
		enum status st = lake_list_next(list, &entry, &err);

		if (st == ST_END)
			return;
		if (st != ST_OK)
			violation("%s", err.text);
		check_file(c, &entry, dead);
	}
}

/* ---- the log ---- */

static bool is_read_here(const struct check *c, const char *topic)
{
	return topic_states_find(&c->links[0].cp.topics, topic) != NULL;
}

static void check_entry(struct check *c, const struct oracle_stream *s,
			const struct oracle_entry *e)
{
	const struct oracle_span *span = oracle_span_find(s, e->offset);

	if (e->kind == 'X')
		c->aborted++;
	else if (e->seen)
		return;
	else if (span && span->lost)
		c->lost++;
	else if (span)
		violation("%s:%d: offset %" PRId64 " (sequence %" PRId64
			  ") was acknowledged, its range is committed, and it is missing",
			  s->topic, s->partition, e->offset, e->sequence);
	else if (c->partial)
		c->unread++;
	else
		violation("%s:%d: offset %" PRId64 " (sequence %" PRId64
			  ") was acknowledged and never read",
			  s->topic, s->partition, e->offset, e->sequence);
}

static void check_log(struct check *c)
{
	for (size_t i = 0; i < c->log.n; i++) {
		const struct oracle_stream *s = &c->log.items[i];

		for (size_t j = 0; is_read_here(c, s->topic) && j < s->n; j++)
			check_entry(c, s, &s->items[j]);
	}
}

/* ---- the whole ---- */

static void run(struct check *c)
{
	AUTO(freep) char *data = xasprintf("%s/", c->prefix);
	AUTO(freep) char *dead = xasprintf("_deadletters/%s/", c->connector);
	char id[LAKE_ID_SHORT_BYTES];
	const char *why;

	read_chain(c);
	check_chain(c);
	if ((why = oracle_log_finish(&c->log)))
		violation("the log itself: %s", why);
	if (!c->shallow)
		check_differences(c);
	check_files(c, data, false);
	check_files(c, dead, true);
	check_log(c);
	lake_id_short(&c->links[0].cp.id, id);
	printf("oracle: %s checkpoint=%s checkpoints=%zu files=%" PRIu64 " records=%" PRIu64
	       " tombstones=%" PRIu64 " deadletters=%" PRIu64 " lost=%" PRIu64 " unread=%" PRIu64
	       " aborted=%" PRIu64 "\n",
	       c->ref, id, c->n_links, c->files, c->records, c->tombstones, c->deadletters, c->lost,
	       c->unread, c->aborted);
}

static void list_files(struct check *c)
{
	AUTO(freep) char *data = xasprintf("%s/", c->prefix);
	AUTO(lake_list_closep) struct lake_list *list = NULL;

	MUST(lake_resolve(c->lake, c->ref, &c->tree, &err));
	MUST(lake_list_open(c->lake, &c->tree, data, &list, &err));
	for (;;) {
		AUTO(lake_entry_release) struct lake_entry entry = {0};
		struct err err = ERR_INIT;
		enum status st = lake_list_next(list, &entry, &err);

		if (st == ST_END)
			return;
		if (st != ST_OK)
			violation("%s", err.text);
		printf("%s %s %s\n", entry.path, entry_runs(&entry), entry.checksum);
	}
}

static void release(struct check *c)
{
	for (size_t i = 0; i < c->n_links; i++) {
		checkpoint_release(&c->links[i].cp);
		ranges_release(&c->links[i].ranges);
		losses_release(&c->links[i].losses);
	}
	free(c->links);
	oracle_log_release(&c->log);
	lake_close(c->lake);
}

int main(int argc, char **argv)
{
	static const struct option known[] = {
		{"lake", required_argument, NULL, 'k'},
		{"connector", required_argument, NULL, 'c'},
		{"ref", required_argument, NULL, 'r'},
		{"log", required_argument, NULL, 'l'},
		{"prefix", required_argument, NULL, 'x'},
		{"partial", no_argument, NULL, 'p'},
		{"shallow", no_argument, NULL, 's'},
		{"list", no_argument, NULL, 'i'},
		{NULL, 0, NULL, 0},
	};
	const struct lake_options options = {.access = LAKE_ANY};
	struct check c = {.ref = "main", .prefix = "topics"};
	const char *url = NULL;
	bool list = false;
	int option;

	while ((option = getopt_long(argc, argv, "", known, NULL)) >= 0) {
		switch (option) {
		case 'k':
			url = optarg;
			break;
		case 'c':
			c.connector = optarg;
			break;
		case 'r':
			c.ref = optarg;
			break;
		case 'x':
			c.prefix = optarg;
			break;
		case 'p':
			c.partial = true;
			break;
		case 's':
			c.shallow = true;
			break;
		case 'i':
			list = true;
			break;
		case 'l':
			if (!oracle_log_load(&c.log, optarg))
				violation("the log %s cannot be read", optarg);
			break;
		default:
			return 2;
		}
	}
	if (!url || !c.connector)
		violation("give --lake URL --connector NAME [--ref REF] --log FILE...");
	MUST(lake_open(url, &options, &c.lake, &err));
	if (list)
		list_files(&c);
	else
		run(&c);
	release(&c);
	return 0;
}
