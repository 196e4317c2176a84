#include "tests/lib/stream_oracle.h"

#include <fnmatch.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/oracle_runs.h"

#define FILE_MAX_BYTES (16u << 20)

static bool no(struct buf *why, const char *fmt, ...) PRINTF_LIKE(2, 3);
static bool no(struct buf *why, const char *fmt, ...)
{
	char *text = NULL;
	va_list args;

	va_start(args, fmt);
	if (vasprintf(&text, fmt, args) < 0)
		abort();
	va_end(args);
	buf_adds(why, text);
	free(text);
	return false;
}

void line_of_checkpoints_release(struct line_of_checkpoints *line)
{
	for (size_t i = 0; i < line->n; i++)
		checkpoint_release(&line->items[i]);
	free(line->items);
	*line = (struct line_of_checkpoints){0};
}

bool oracle_read_line(struct lake *lake, const struct lake_id *head,
		      struct line_of_checkpoints *out, struct buf *why)
{
	struct err err = ERR_INIT;
	struct lake_id id = *head;

	while (!lake_id_is_none(&id)) {
		struct checkpoint cp = {0};

		if (checkpoint_read(lake, &id, &cp, &err) != ST_OK)
			return no(why, "line: %s", err.text);
		GROW(out->items, out->n, out->cap);
		out->items[out->n++] = cp;
		id = cp.previous;
	}
	return true;
}

/* ---- files ---- */

void file_list_release(struct file_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		free(list->items[i]);
	free(list->items);
	*list = (struct file_list){0};
}

static bool begins_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool oracle_files(struct lake *lake, const struct lake_id *commit, const char *skip,
		  struct file_list *out, struct buf *why)
{
	AUTO(lake_list_closep) struct lake_list *list = NULL;
	struct lake_entry entry = {0};
	struct err err = ERR_INIT;
	enum status st = lake_list_open(lake, commit, "", &list, &err);

	while (st == ST_OK && (st = lake_list_next(list, &entry, &err)) == ST_OK) {
		if (!begins_with(entry.path, "_tidemark/") &&
		    !(skip && begins_with(entry.path, skip))) {
			GROW(out->items, out->n, out->cap);
			out->items[out->n++] = xasprintf("%s %s", entry.path, entry.checksum);
		}
		lake_entry_release(&entry);
	}
	return st == ST_END || no(why, "files: %s", err.text);
}

bool file_list_subset(const struct file_list *a, const struct file_list *b)
{
	size_t j = 0;

	/* both are in byte order of the paths, and a path comes once */
	for (size_t i = 0; i < a->n; i++) {
		while (j < b->n && strcmp(b->items[j], a->items[i]) < 0)
			j++;
		if (j == b->n || strcmp(b->items[j], a->items[i]) != 0)
			return false;
	}
	return true;
}

bool oracle_show(struct lake *lake, const struct line_of_checkpoints *line,
		 const struct lake_id *shown, struct lake_id *out, struct buf *why)
{
	AUTO(file_list_release) struct file_list now = {0};

	*out = (struct lake_id){{0}};
	if (lake_id_is_none(shown))
		return true;
	if (!oracle_files(lake, shown, NULL, &now, why))
		return false;
	for (size_t i = 0; i < line->n; i++) {
		AUTO(file_list_release) struct file_list files = {0};

		if (!oracle_files(lake, &line->items[i].id, NULL, &files, why))
			return false;
		if (file_list_subset(&files, &now)) {
			*out = line->items[i].id;
			return true;
		}
	}
	return true;
}

/* ---- targets ---- */

static uint32_t generation_of(const struct checkpoint *cp, const char *topic)
{
	const struct topic_state *state = topic_states_find(&cp->topics, topic);

	return state ? state->generation : 0;
}

int oracle_by_offset(const struct line_of_checkpoints *line, const char *topic, int32_t partition,
		     int64_t offset)
{
	uint32_t generation = generation_of(&line->items[0], topic);
	int64_t value = -1;
	int best = -1;

	for (size_t i = 0; i < line->n; i++) {
		const struct checkpoint *cp = &line->items[i];
		int64_t next = offsets_get(&cp->offsets, topic, partition);

		if (next < 0 || next > offset || next < value ||
		    generation_of(cp, topic) != generation)
			continue;
		value = next;
		best = (int)i; /* the oldest comes last */
	}
	return best;
}

int oracle_by_time(const struct line_of_checkpoints *line, int64_t time_ms)
{
	for (size_t i = 0; i < line->n; i++)
		if (line->items[i].time_ms <= time_ms)
			return (int)i;
	return -1;
}

int oracle_by_record_time(const struct line_of_checkpoints *line, int64_t time_ms)
{
	for (size_t i = 0; i < line->n; i++)
		if (line->items[i].timestamp_so_far < time_ms)
			return (int)i;
	return -1;
}

/* ---- what was read ---- */

/* One partition of one generation along the line. */
struct segment {
	char *topic;
	uint32_t generation;
	int32_t partition;
	int64_t from, to;
	bool lost;
};

struct segments {
	struct segment *items;
	size_t n;
	size_t cap;
};

static void segments_release(struct segments *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->items[i].topic);
	free(s->items);
}

struct documents {
	struct ranges ranges;
	struct losses lost;
};

static void documents_release(struct documents *d)
{
	ranges_release(&d->ranges);
	losses_release(&d->lost);
}

static bool read_documents(struct lake *lake, const struct lake_id *id, struct documents *out,
			   struct buf *why)
{
	AUTO(lake_commit_release) struct lake_commit commit = {0};
	AUTO(buf_release) struct buf ranges = BUF_INIT;
	AUTO(buf_release) struct buf lost = BUF_INIT;
	struct err err = ERR_INIT;
	enum status st = lake_commit_read(lake, id, &commit, &err);

	if (st == ST_OK)
		st = checkpoint_document(lake, &commit, META_RANGES, &ranges, &err);
	if (st == ST_OK)
		st = checkpoint_document(lake, &commit, META_LOST, &lost, &err);
	if (st == ST_OK)
		st = ranges_from_json(buf_str(&ranges), &out->ranges, &err);
	if (st == ST_OK && lost.len)
		st = losses_from_json(buf_str(&lost), &out->lost, &err);
	return st == ST_OK || no(why, "documents: %s", err.text);
}

static const struct loss *find_loss(const struct losses *lost, const char *topic, int32_t partition)
{
	for (size_t i = 0; i < lost->n; i++)
		if (lost->items[i].partition == partition &&
		    strcmp(lost->items[i].topic, topic) == 0)
			return &lost->items[i];
	return NULL;
}

/* Is the loss one that there may be: gone from Kafka, or asked for? */
static bool may_be_lost(const struct stream_oracle *o, const struct loss *l, uint32_t generation)
{
	int topic = fake_topic_index(o->kafka, l->topic);

	if (strcmp(l->policy, "skip-to") == 0) {
		for (size_t i = 0; i < o->n_skips; i++)
			if (strcmp(o->skips[i].topic, l->topic) == 0 &&
			    o->skips[i].partition == l->partition && o->skips[i].from == l->from &&
			    o->skips[i].to == l->to)
				return true;
		return false;
	}
	if (!begins_with(l->policy, "on.offset.out.of.range="))
		return false;
	if (fake_generation(o->kafka, topic) != generation)
		return true; /* that log is gone as a whole */
	/* the first of them at least is gone; with `earliest`, all are */
	return l->from < fake_start(o->kafka, topic, l->partition) &&
	       (strstr(l->policy, "latest") || l->to <= fake_start(o->kafka, topic, l->partition));
}

/* Adds what lies between two checkpoints of one partition. */
static bool account(const struct stream_oracle *o, const struct checkpoint *cp,
		    const struct documents *d, const char *topic, int32_t partition, int64_t from,
		    int64_t to, struct segments *out, struct buf *why)
{
	const struct range *range = ranges_find(&d->ranges, topic, partition);
	const struct loss *loss = find_loss(&d->lost, topic, partition);
	uint32_t generation = generation_of(cp, topic);

	if (from == to && (loss || (range && range->from != range->to)))
		return no(why, "%s:%d: a range or loss at %" PRId64 ", but it did not move", topic,
			  partition, from);
	if (from == to)
		return true;
	if (loss && (loss->from != from || loss->to != to))
		return no(why,
			  "%s:%d: [%" PRId64 ",%" PRId64 ") moved, [%" PRId64 ",%" PRId64
			  ") is recorded as lost",
			  topic, partition, from, to, loss->from, loss->to);
	if (loss && !may_be_lost(o, loss, generation))
		return no(why, "%s:%d: [%" PRId64 ",%" PRId64 ") is lost by %s, but was there",
			  topic, partition, from, to, loss->policy);
	if (!loss && (!range || range->from != from || range->to != to))
		return no(why,
			  "%s:%d: from %" PRId64 " to %" PRId64 " without a range that says so",
			  topic, partition, from, to);
	GROW(out->items, out->n, out->cap);
	out->items[out->n++] =
		(struct segment){xstrdup(topic), generation, partition, from, to, loss != NULL};
	return true;
}

/* A partition that the checkpoint knows and the one before it did not. */
static bool begin(const struct stream_oracle *o, const struct checkpoint *cp,
		  const struct offset_item *item, struct buf *why)
{
	int topic = fake_topic_index(o->kafka, item->topic);

	if (topic >= 0 && fake_generation(o->kafka, topic) == generation_of(cp, item->topic) &&
	    item->value > fake_start(o->kafka, topic, item->partition))
		return no(why, "%s:%d begins at %" PRId64, item->topic, item->partition,
			  item->value);
	return true;
}

/* Everything that changed between a checkpoint and the one before it. */
static bool account_step(const struct stream_oracle *o, const struct checkpoint *old,
			 const struct checkpoint *cp, struct segments *out, struct buf *why)
{
	AUTO(documents_release) struct documents d = {0};
	bool ok;

	if (cp->cuts != old->cuts) /* it reads nothing; check_cuts() looks at what it takes out */
		return (cp->cuts == old->cuts + 1 && offsets_equal(&cp->offsets, &old->offsets)) ||
		       no(why, "a cut that moves offsets");
	ok = read_documents(o->lake, &cp->id, &d, why);
	for (size_t i = 0; ok && i < cp->offsets.n; i++) {
		const struct offset_item *item = &cp->offsets.items[i];
		bool same = generation_of(old, item->topic) == generation_of(cp, item->topic);
		int64_t from = same ? offsets_get(&old->offsets, item->topic, item->partition) : -1;

		ok = from < 0 ? begin(o, cp, item, why)
			      : account(o, cp, &d, item->topic, item->partition, from, item->value,
					out, why);
	}
	for (size_t i = 0; ok && i < old->offsets.n; i++) {
		const struct offset_item *item = &old->offsets.items[i];
		const struct loss *loss = find_loss(&d.lost, item->topic, item->partition);

		if (offsets_get(&cp->offsets, item->topic, item->partition) >= 0)
			continue;
		if (generation_of(cp, item->topic) != generation_of(old, item->topic) + 1 ||
		    !loss || loss->from != item->value || loss->to != -1)
			ok = no(why, "%s:%d has vanished", item->topic, item->partition);
	}
	return ok;
}

static bool account_line(const struct stream_oracle *o, const struct line_of_checkpoints *line,
			 struct segments *out, struct buf *why)
{
	const struct checkpoint *first = &line->items[line->n - 1];
	bool ok = true;

	for (size_t i = 0; ok && i < first->offsets.n; i++)
		ok = begin(o, first, &first->offsets.items[i], why);
	for (size_t i = line->n - 1; ok && i-- > 0;) {
		const struct checkpoint *cp = &line->items[i];

		ok = account_step(o, &line->items[i + 1], cp, out, why);
		if (!ok) {
			char hex[LAKE_ID_SHORT_BYTES];

			lake_id_short(&cp->id, hex);
			no(why, " (checkpoint %s)", hex);
		}
		if (ok && (cp->epoch < line->items[i + 1].epoch ||
			   cp->sequence <= line->items[i + 1].sequence))
			ok = no(why, "epoch or sequence went back");
	}
	return ok;
}

/* ---- what is there ---- */

/* A row: where it stands in Kafka, its text (NULL: a dead letter), and its folder. */
struct row {
	int topic;
	uint32_t generation;
	int32_t partition;
	int64_t offset;
	char *text, *folder;
};

struct rows {
	struct row *items;
	size_t n;
	size_t cap;
};

static void rows_release(struct rows *r)
{
	for (size_t i = 0; i < r->n; i++) {
		free(r->items[i].text);
		free(r->items[i].folder);
	}
	free(r->items);
}

/* Text and folder become the list's. */
static void rows_add(struct rows *rows, const struct row *place, int64_t offset, char *text,
		     char *folder)
{
	struct row row = *place;

	row.offset = offset;
	row.text = text;
	row.folder = folder;
	GROW(rows->items, rows->n, rows->cap);
	rows->items[rows->n++] = row;
}

static int row_order(const void *x, const void *y)
{
	const struct row *a = x, *b = y;

	if (a->topic != b->topic)
		return a->topic < b->topic ? -1 : 1;
	if (a->generation != b->generation)
		return a->generation < b->generation ? -1 : 1;
	if (a->partition != b->partition)
		return a->partition < b->partition ? -1 : 1;
	if (a->offset != b->offset)
		return a->offset < b->offset ? -1 : 1;
	return (a->text == NULL) - (b->text == NULL);
}

/* <anything>/t0+1+1000[+g2].ext */
static bool parse_name(const struct stream_oracle *o, const char *path, struct row *out,
		       int64_t *first, struct buf *why)
{
	const char *base = strrchr(path, '/');
	char topic[16];
	int end = 0;

	if (!base ||
	    sscanf(base, "/%15[^+]+%d+%" SCNd64 "%n", topic, &out->partition, first, &end) != 3)
		return no(why, "%s is no name of a data file", path);
	out->generation = 0;
	if (base[end] == '+' && sscanf(base + end, "+g%u", &out->generation) != 1)
		return no(why, "%s: what comes after the offset?", path);
	out->topic = fake_topic_index(o->kafka, topic);
	return out->topic >= 0 || no(why, "%s: an unknown topic", path);
}

/* topics/t0/<folder>/name; of a dead letter anything. */
static char *folder_of(const char *path)
{
	const char *below = strchr(path, '/'), *end = strrchr(path, '/');

	below = below < end ? strchr(below + 1, '/') : end;
	return below < end ? xstrndup(below + 1, (size_t)(end - below - 1)) : xstrdup("");
}

/* The rows that the file's offsets name; content NULL: a dead-letter file. */
static bool add_rows(struct rows *rows, const struct row *place, const char *runs, char *content,
		     int64_t first, const char *path, struct buf *why)
{
	AUTO(oracle_runs_release) struct oracle_runs all = {.n = 0};
	char *line = content;

	if (!oracle_runs_parse(runs, &all) || all.least != first)
		return no(why, "%s: offsets '%s'", path, runs ? runs : "");
	for (size_t k = 0; k < all.n; k++) {
		for (int64_t i = all.items[k].from; i <= all.items[k].to; i++) {
			char *newline = content ? strchr(line, '\n') : NULL;

			if (content && !newline)
				return no(why, "%s: fewer rows than offsets", path);
			rows_add(rows, place, i,
				 content ? xstrndup(line, (size_t)(newline - line)) : NULL,
				 folder_of(path));
			line = newline ? newline + 1 : NULL;
		}
	}
	return !content || !*line || no(why, "%s: more rows than offsets", path);
}

static bool read_lines(const struct stream_oracle *o, const char *path, const struct buf *content,
		       struct buf *out, struct buf *why)
{
	buf_adds(out, "");
	return row_lines(o->layout, content, out) || no(why, "%s: is no file of its format", path);
}

static bool read_files(const struct stream_oracle *o, const struct lake_id *head, struct rows *rows,
		       struct buf *why)
{
	AUTO(lake_list_closep) struct lake_list *list = NULL;
	struct lake_entry entry = {0};
	struct err err = ERR_INIT;
	bool ok = true;
	enum status st = lake_list_open(o->lake, head, "", &list, &err);

	while (ok && st == ST_OK && (st = lake_list_next(list, &entry, &err)) == ST_OK) {
		bool dead = begins_with(entry.path, "_deadletters/");
		AUTO(buf_release) struct buf content = BUF_INIT;
		AUTO(buf_release) struct buf lines = BUF_INIT;
		struct row place;
		int64_t first;

		if (!begins_with(entry.path, "_tidemark/")) {
			st = lake_read(o->lake, head, entry.path, FILE_MAX_BYTES, &content, &err);
			ok = st == ST_OK && parse_name(o, entry.path, &place, &first, why) &&
			     (dead || read_lines(o, entry.path, &content, &lines, why)) &&
			     add_rows(rows, &place, lake_meta_get(&entry.meta, "tidemark.offsets"),
				      dead ? NULL : lines.data, first, entry.path, why);
			if (ok && o->saw)
				ok = o->saw(o->ctx, &entry, why);
		}
		lake_entry_release(&entry);
	}
	if (ok && st != ST_END)
		return no(why, "reading: %s", err.text);
	return ok;
}

/* The rows that there must be. */
static void expect_rows(const struct stream_oracle *o, const struct segments *segments,
			struct rows *rows)
{
	for (size_t i = 0; i < segments->n; i++) {
		const struct segment *s = &segments->items[i];
		struct row place = {
			.topic = fake_topic_index(o->kafka, s->topic),
			.generation = s->generation,
			.partition = s->partition,
		};

		for (int64_t at = s->from; !s->lost && at < s->to; at++) {
			AUTO(buf_release) struct buf row = BUF_INIT;
			AUTO(buf_release) struct buf folder = BUF_INIT;
			bool good;

			if (fake_entry(o->kafka, place.topic, s->generation, s->partition, at) ==
			    FAKE_HIDDEN)
				continue;
			good = fake_row(o->kafka, place.topic, s->generation, s->partition, at,
					&row, &folder);
			rows_add(rows, &place, at, good ? buf_detach(&row) : NULL,
				 good ? buf_detach(&folder) : NULL);
		}
	}
}

static bool same_row(const struct row *found, const struct row *wanted)
{
	return row_order(found, wanted) == 0 &&
	       (!found->text || (strcmp(found->text, wanted->text) == 0 &&
				 (strcmp(wanted->folder, found->folder) == 0 ||
				  fnmatch(wanted->folder, found->folder, FNM_PATHNAME) == 0)));
}

static bool compare_rows(struct rows *found, struct rows *wanted, struct buf *why)
{
	if (found->n)
		qsort(found->items, found->n, sizeof(*found->items), row_order);
	if (wanted->n)
		qsort(wanted->items, wanted->n, sizeof(*wanted->items), row_order);
	for (size_t i = 0; i < found->n || i < wanted->n; i++) {
		const struct row *f = i < found->n ? &found->items[i] : NULL;
		const struct row *w = i < wanted->n ? &wanted->items[i] : NULL;

		if (f && w && same_row(f, w))
			continue;
		if (w && (!f || row_order(f, w) > 0))
			return no(why, "t%d+g%u:%d:%" PRId64 " is missing", w->topic, w->generation,
				  w->partition, w->offset);
		if (!w || row_order(f, w) < 0)
			return no(why, "t%d+g%u:%d:%" PRId64 " is there %s", f->topic,
				  f->generation, f->partition, f->offset,
				  i > 0 && row_order(f, &found->items[i - 1]) == 0 ? "twice"
										   : "unread");
		return no(why, "t%d+g%u:%d:%" PRId64 " is '%s' in '%s', wanted '%s' in '%s'",
			  f->topic, f->generation, f->partition, f->offset, f->text, f->folder,
			  w->text, w->folder);
	}
	return true;
}

/* ---- what was taken out again ---- */

/* The path of a file list's item; the caller's. */
static char *path_of(const char *item)
{
	return xstrndup(item, (size_t)(strrchr(item, ' ') - item));
}

/* The rows of a file that the cut takes out. */
static bool add_cut_file(const struct stream_oracle *o, const struct lake_id *before,
			 const char *path, struct rows *rows, struct buf *why)
{
	AUTO(lake_entry_release) struct lake_entry entry = {0};
	struct err err = ERR_INIT;
	struct row place;
	int64_t first;

	if (lake_stat(o->lake, before, path, &entry, &err) != ST_OK)
		return no(why, "%s: %s", path, err.text);
	return parse_name(o, path, &place, &first, why) &&
	       add_rows(rows, &place, lake_meta_get(&entry.meta, "tidemark.offsets"), NULL, first,
			path, why);
}

static bool has_path(const struct file_list *list, const char *path)
{
	for (size_t i = 0; i < list->n; i++)
		if (strncmp(list->items[i], path, strlen(path)) == 0 &&
		    list->items[i][strlen(path)] == ' ')
			return true;
	return false;
}

/* What a cut takes out is what it records as lost: row by row. */
static bool check_losses(const struct stream_oracle *o, const struct lake_id *cut,
			 const struct rows *gone, size_t from, struct buf *why)
{
	AUTO(documents_release) struct documents d = {0};
	uint64_t lost = 0;

	if (!read_documents(o->lake, cut, &d, why))
		return false;
	for (size_t i = 0; i < d.lost.n; i++)
		lost += (uint64_t)(d.lost.items[i].to - d.lost.items[i].from);
	if (lost != gone->n - from)
		return no(why, "a cut takes %zu rows out and records %" PRIu64, gone->n - from,
			  lost);
	for (size_t i = from; i < gone->n; i++) {
		const struct row *r = &gone->items[i];
		bool found = false;

		for (size_t j = 0; !found && j < d.lost.n; j++) {
			const struct loss *l = &d.lost.items[j];

			found = fake_topic_index(o->kafka, l->topic) == r->topic &&
				l->partition == r->partition && r->offset >= l->from &&
				r->offset < l->to;
		}
		if (!found)
			return no(why, "t%d:%d:%" PRId64 " is taken out, and not recorded",
				  r->topic, r->partition, r->offset);
	}
	return true;
}

/* Adds the rows that the line's cuts have taken out. */
static bool check_cuts(const struct stream_oracle *o, const struct line_of_checkpoints *line,
		       struct rows *gone, struct buf *why)
{
	for (size_t i = 0; i + 1 < line->n; i++) {
		const struct checkpoint *cp = &line->items[i], *old = &line->items[i + 1];
		AUTO(file_list_release) struct file_list before = {0};
		AUTO(file_list_release) struct file_list after = {0};
		size_t from = gone->n;

		if (cp->cuts == old->cuts)
			continue;
		if (!oracle_files(o->lake, &old->id, NULL, &before, why) ||
		    !oracle_files(o->lake, &cp->id, NULL, &after, why))
			return false;
		if (!file_list_subset(&after, &before))
			return no(why, "a cut that adds files");
		for (size_t j = 0; j < before.n; j++) {
			AUTO(freep) char *path = path_of(before.items[j]);

			if (!has_path(&after, path) && !add_cut_file(o, &old->id, path, gone, why))
				return false;
		}
		if (!check_losses(o, &cp->id, gone, from, why))
			return false;
	}
	return true;
}

static bool same_place(const struct row *a, const struct row *b)
{
	return a->topic == b->topic && a->generation == b->generation &&
	       a->partition == b->partition && a->offset == b->offset;
}

/* Takes the rows that are gone out of those that there must be. */
static void subtract(struct rows *rows, const struct rows *gone)
{
	size_t kept = 0;

	for (size_t i = 0; i < rows->n; i++) {
		bool is_gone = false;

		for (size_t j = 0; !is_gone && j < gone->n; j++)
			is_gone = same_place(&rows->items[i], &gone->items[j]);
		if (is_gone) {
			free(rows->items[i].text);
			free(rows->items[i].folder);
		} else {
			rows->items[kept++] = rows->items[i];
		}
	}
	rows->n = kept;
}

bool oracle_check(const struct stream_oracle *o, const struct lake_id *head, struct buf *why)
{
	AUTO(line_of_checkpoints_release) struct line_of_checkpoints line = {0};
	AUTO(segments_release) struct segments segments = {0};
	AUTO(rows_release) struct rows found = {0};
	AUTO(rows_release) struct rows wanted = {0};
	AUTO(rows_release) struct rows gone = {0};

	if (!oracle_read_line(o->lake, head, &line, why) ||
	    !account_line(o, &line, &segments, why) || !check_cuts(o, &line, &gone, why) ||
	    !read_files(o, head, &found, why))
		return false;
	expect_rows(o, &segments, &wanted);
	subtract(&wanted, &gone);
	return compare_rows(&found, &wanted, why);
}
