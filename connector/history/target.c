#include "connector/history/target.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void position_release(struct position *p)
{
	free(p->topic);
	p->topic = NULL;
}

static bool parse_number(const char *text, int64_t max, int64_t *out)
{
	char *end;

	if (!isdigit((unsigned char)*text))
		return false;
	*out = strtoll(text, &end, 10);
	return !*end && *out <= max;
}

bool position_parse(const char *text, bool latest_allowed, struct position *out)
{
	const char *last = strrchr(text, ':');
	const char *middle = last ? memrchr(text, ':', (size_t)(last - text)) : NULL;
	int64_t partition, offset = -1;
	AUTO(freep) char *number = NULL;

	if (!middle || middle == text)
		return false;
	number = xstrndup(middle + 1, (size_t)(last - middle - 1));
	if (!parse_number(number, INT32_MAX, &partition))
		return false;
	if (!(latest_allowed && strcmp(last + 1, "latest") == 0) &&
	    !parse_number(last + 1, INT64_MAX - 1, &offset))
		return false;
	*out = (struct position){
		.topic = xstrndup(text, (size_t)(middle - text)),
		.partition = (int32_t)partition,
		.offset = offset,
	};
	return true;
}

/* ---- searches along the line ---- */

struct offset_search {
	const struct line *line;
	const char *topic;
	int32_t partition;
	int64_t least; /* holds: next offset >= least */
	uint32_t generation;
	enum status st; /* of reading a document */
	struct err err;
};

static bool reached_offset(void *ctx, const struct lake_commit *commit)
{
	struct offset_search *s = ctx;
	AUTO(checkpoint_release) struct checkpoint cp = {0};
	const struct topic_state *topic;

	if (s->st != ST_OK || !commit_is_checkpoint(commit, s->line->connector))
		return false;
	s->st = checkpoint_read(s->line->lake, &commit->id, &cp, &s->err);
	if (s->st != ST_OK)
		return false;
	topic = topic_states_find(&cp.topics, s->topic);
	return topic && topic->generation == s->generation &&
	       offsets_get(&cp.offsets, s->topic, s->partition) >= s->least;
}

static enum status search_offset(const struct line *line, const struct checkpoint *head,
				 const char *topic, int32_t partition, int64_t least,
				 struct checkpoint *out, struct err *err)
{
	AUTO(lake_commit_release) struct lake_commit commit = {0};
	const struct topic_state *state = topic_states_find(&head->topics, topic);
	struct offset_search search = {
		.line = line,
		.topic = topic,
		.partition = partition,
		.least = least,
		.generation = state ? state->generation : 0,
	};
	enum status st =
		lake_log_search(line->lake, &head->id, reached_offset, &search, &commit, err);

	if (search.st != ST_OK) {
		if (err)
			*err = search.err;
		return search.st;
	}
	return st == ST_OK ? checkpoint_read(line->lake, &commit.id, out, err) : st;
}

enum status target_after_offset(const struct line *line, const struct checkpoint *head,
				const char *topic, int32_t partition, int64_t offset,
				struct checkpoint *out, struct err *err)
{
	enum status st = search_offset(line, head, topic, partition, offset + 1, out, err);

	if (st == ST_NOT_FOUND)
		return err_set(err, ST_NOT_FOUND, "%s:%d:%" PRId64 " is not in the lake yet", topic,
			       partition, offset);
	return st;
}

static enum status by_offset(const struct line *line, const struct checkpoint *head,
			     const struct position *p, struct checkpoint *out, struct err *err)
{
	AUTO(checkpoint_release) struct checkpoint after = {0};
	AUTO(checkpoint_release) struct checkpoint before = {0};
	int64_t value = offsets_get(&head->offsets, p->topic, p->partition);
	enum status st;

	if (value < 0)
		return err_set(err, ST_NOT_FOUND, "%s has never read %s:%d", line->connector,
			       p->topic, p->partition);
	if (value > p->offset) {
		st = target_after_offset(line, head, p->topic, p->partition, p->offset, &after,
					 err);
		if (st != ST_OK)
			return st;
		if (lake_id_is_none(&after.previous))
			value = -1;
		else
			st = checkpoint_read(line->lake, &after.previous, &before, err);
		if (st != ST_OK)
			return st;
		value = value < 0 ? -1 : offsets_get(&before.offsets, p->topic, p->partition);
	}
	if (value < 0)
		return err_set(err, ST_NOT_FOUND,
			       "no checkpoint of %s stands at or before %s:%d:%" PRId64,
			       line->connector, p->topic, p->partition, p->offset);
	return search_offset(line, head, p->topic, p->partition, value, out, err);
}

struct time_search {
	const char *connector;
	int64_t time_ms;
	bool of_records;
};

/* Committed after the time; or holds a record at or after it. */
static bool later(void *ctx, const struct lake_commit *commit)
{
	const struct time_search *s = ctx;
	const char *text, *so_far;

	if (!commit_is_checkpoint(commit, s->connector))
		return false;
	if (!s->of_records)
		return commit->time_ms > s->time_ms;
	text = lake_meta_get(&commit->meta, META_TIMESTAMPS);
	so_far = text ? strstr(text, "\"so_far\":") : NULL;
	return so_far && strtoll(so_far + strlen("\"so_far\":"), NULL, 10) >= s->time_ms;
}

static enum status by_time(const struct line *line, const struct checkpoint *head, int64_t time_ms,
			   bool of_records, const char *text, struct checkpoint *out,
			   struct err *err)
{
	AUTO(lake_commit_release) struct lake_commit commit = {0};
	AUTO(checkpoint_release) struct checkpoint first_later = {0};
	struct time_search search = {line->connector, time_ms, of_records};
	enum status st = lake_log_search(line->lake, &head->id, later, &search, &commit, err);

	if (st == ST_NOT_FOUND)
		return checkpoint_read(line->lake, &head->id, out, err);
	if (st == ST_OK)
		st = checkpoint_read(line->lake, &commit.id, &first_later, err);
	if (st != ST_OK)
		return st;
	if (lake_id_is_none(&first_later.previous))
		return err_set(err, ST_NOT_FOUND, "%s: %s has no checkpoint that old", text,
			       line->connector);
	return checkpoint_read(line->lake, &first_later.previous, out, err);
}

/* ---- refs ---- */

static enum status by_ref(const struct line *line, const struct checkpoint *head, const char *text,
			  struct checkpoint *out, struct err *err)
{
	AUTO(checkpoint_release) struct checkpoint cp = {0};
	struct cursor cursor;
	struct lake_id id;
	bool ancestor;
	enum status st = lake_resolve(line->lake, text, &id, err);

	if (st != ST_OK)
		return st;
	st = checkpoint_read(line->lake, &id, &cp, err);
	if (st == ST_NOT_FOUND) {
		/* a commit that shows one: of the target, or a publication */
		st = cursor_read(line->lake, &id, line->connector, &cursor, err);
		if (st == ST_NOT_FOUND || (st == ST_OK && lake_id_is_none(&cursor.checkpoint)))
			return err_set(err, ST_NOT_FOUND,
				       "%s holds nothing of %s; name a checkpoint", text,
				       line->connector);
		if (st == ST_OK)
			st = checkpoint_read(line->lake, &cursor.checkpoint, &cp, err);
	}
	if (st != ST_OK)
		return st;
	if (strcmp(cp.connector, line->connector) != 0)
		return err_set(err, ST_USAGE, "%s is a checkpoint of %s, not of %s", text,
			       cp.connector, line->connector);
	st = lake_is_ancestor(line->lake, &cp.id, &head->id, &ancestor, err);
	if (st == ST_OK && !ancestor)
		return err_set(err, ST_USAGE, "%s is not in the history of %s", text, line->branch);
	if (st != ST_OK)
		return st;
	*out = cp;
	cp = (struct checkpoint){0};
	return ST_OK;
}

enum status target_resolve(const struct line *line, const struct checkpoint *head, const char *text,
			   struct checkpoint *out, struct err *err)
{
	AUTO(position_release) struct position position = {0};
	int64_t time_ms;

	if (strncmp(text, "record:", 7) == 0) {
		if (!time_parse(text + 7, &time_ms))
			return err_set(err, ST_USAGE, "%s: give record: and an RFC 3339 time",
				       text);
		return by_time(line, head, time_ms, true, text, out, err);
	}
	if (time_parse(text, &time_ms))
		return by_time(line, head, time_ms, false, text, out, err);
	if (position_parse(text, false, &position))
		return by_offset(line, head, &position, out, err);
	return by_ref(line, head, text, out, err);
}
