#include "connector/history/ingest.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/killpoint.h"

/* Tries of one commit against heads that others move. */
#define COMMIT_TRIES 100

void schema_uses_add(struct schema_uses *uses, const char *topic, const char *schema)
{
	for (size_t i = 0; i < uses->n; i++)
		if (strcmp(uses->items[i].topic, topic) == 0 &&
		    strcmp(uses->items[i].schema, schema) == 0)
			return;
	GROW(uses->items, uses->n, uses->cap);
	uses->items[uses->n++] = (struct schema_use){xstrdup(topic), xstrdup(schema)};
}

void batch_release(struct batch *b)
{
	ranges_release(&b->ranges);
	written_files_release(&b->files);
	for (size_t i = 0; i < b->schemas.n; i++) {
		free(b->schemas.items[i].topic);
		free(b->schemas.items[i].schema);
	}
	free(b->schemas.items);
	*b = (struct batch)BATCH_INIT;
}

static enum status read_head(struct ingest *in, const struct lake_id *id, struct err *err)
{
	struct checkpoint cp = {0};
	enum status st = checkpoint_read(in->options.lake, id, &cp, err);

	if (st == ST_NOT_FOUND)
		return err_set(
			err, ST_USAGE,
			"branch %s is no ingest branch: its head is no checkpoint; set lake.branch "
			"to a name that is free",
			in->options.branch);
	if (st != ST_OK)
		return st;
	if (strcmp(cp.connector, in->options.connector) != 0) {
		st = err_set(err, ST_USAGE,
			     "branch %s belongs to the connector %s; set lake.branch to a name "
			     "that is free",
			     in->options.branch, cp.connector);
		checkpoint_release(&cp);
		return st;
	}
	checkpoint_release(&in->head);
	in->head = cp;
	return ST_OK;
}

/* Again at every start: a crash may come between the first checkpoint and this. */
static enum status protect(const struct ingest_options *o, struct err *err)
{
	const char *const branches[] = {o->branch, o->published, o->target};
	enum status st = ST_OK;

	for (size_t i = 0; st == ST_OK && i < ARRAY_SIZE(branches); i++) {
		AUTO(freep) char *by = NULL;
		bool protected;

		st = lake_branch_protection(o->lake, branches[i], &protected, &by, err);
		if (st == ST_OK && (!protected || !by || strcmp(by, o->connector) != 0))
			st = lake_branch_protect(o->lake, branches[i], o->connector, err);
	}
	return st;
}

enum status ingest_open(struct ingest *in, const struct ingest_options *options, struct err *err)
{
	struct lake_id id;
	enum status st;

	*in = (struct ingest){.options = *options};
	st = lake_ref_get(options->lake, LAKE_BRANCH, options->branch, &id, err);
	if (st == ST_OK)
		st = read_head(in, &id, err);
	return st == ST_OK ? protect(options, err) : st;
}

void ingest_close(struct ingest *in)
{
	checkpoint_release(&in->head);
}

enum status ingest_refresh(struct ingest *in, struct err *err)
{
	struct lake_id id;
	enum status st = lake_ref_get(in->options.lake, LAKE_BRANCH, in->options.branch, &id, err);

	if (st == ST_NOT_FOUND)
		return err_set(err, ST_CONFLICT, "the ingest branch %s is gone",
			       in->options.branch);
	if (st != ST_OK || lake_id_equal(&id, &in->head.id))
		return st;
	return read_head(in, &id, err);
}

static bool always(void *ctx, const struct lake_commit *commit)
{
	(void)ctx;
	(void)commit;
	return true;
}

enum status lake_first_commit(struct lake *lake, const char *target, struct lake_id *out,
			      struct err *err)
{
	AUTO(lake_commit_release) struct lake_commit first = {0};
	struct lake_id head;
	enum status st = lake_ref_get(lake, LAKE_BRANCH, target, &head, err);

	if (st == ST_NOT_FOUND)
		return err_set(err, ST_USAGE,
			       "lake.target=%s: no such branch; create it (`tidemark branch %s`)",
			       target, target);
	if (st == ST_OK)
		st = lake_log_search(lake, &head, always, NULL, &first, err);
	if (st == ST_OK)
		*out = first.id;
	return st;
}

/* ---- the metadata of one commit ---- */

static void put_extra(struct lake_txn *txn, const struct lake_meta *extra)
{
	for (size_t i = 0; extra && i < extra->n; i++)
		lake_txn_set_meta(txn, extra->items[i].key, extra->items[i].value);
}

static void put_number(struct lake_txn *txn, const char *key, uint64_t n)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, n);
	lake_txn_set_meta(txn, key, text);
}

static void put_timestamps(struct lake_txn *txn, int64_t least, int64_t greatest, int64_t so_far)
{
	AUTO(buf_release) struct buf text = BUF_INIT;

	buf_adds(&text, "{");
	if (greatest >= 0)
		buf_addf(&text, "\"least\":%" PRId64 ",\"greatest\":%" PRId64 ",", least, greatest);
	buf_addf(&text, "\"so_far\":%" PRId64 "}", so_far);
	lake_txn_set_meta(txn, META_TIMESTAMPS, buf_str(&text));
}

/* {"orders":["id:17"]}: the schemas of the batch's files, by topic. */
static void put_schemas(struct lake_txn *txn, const struct schema_uses *uses)
{
	json_t *root = json_object();
	char *text;

	if (uses->n == 0) {
		json_decref(root);
		return;
	}
	for (size_t i = 0; i < uses->n; i++) {
		json_t *list = json_object_get(root, uses->items[i].topic);

		if (!list) {
			list = json_array();
			json_object_set_new(root, uses->items[i].topic, list);
		}
		json_array_append_new(list, json_string(uses->items[i].schema));
	}
	text = json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS);
	lake_txn_set_meta(txn, META_SCHEMAS, text);
	free(text);
	json_decref(root);
}

/* lakeFS's own example of a Kafka commit has these two keys. */
static void put_single_topic(struct lake_txn *txn, const struct checkpoint *cp)
{
	if (cp->offsets.n != 1)
		return;
	lake_txn_set_meta(txn, "topic_name", cp->offsets.items[0].topic);
	put_number(txn, "topic_offset", (uint64_t)cp->offsets.items[0].value);
}

static char *default_message(const struct batch *batch)
{
	const char *topic = batch->ranges.n ? batch->ranges.items[0].topic : NULL;
	bool more = false;

	for (size_t i = 1; i < batch->ranges.n; i++)
		more = more || strcmp(batch->ranges.items[i].topic, topic) != 0;
	if (batch->records == 0 && batch->deadletters == 0)
		return xstrdup("checkpoint: positions only");
	return xasprintf("checkpoint: %" PRIu64 " records of %s%s", batch->records, topic,
			 more ? " and others" : "");
}

/* The state after the batch, on top of the head. */
static void next_state(const struct ingest *in, const struct batch *batch, struct checkpoint *to)
{
	checkpoint_copy(to, &in->head);
	memcpy(to->batch, batch->id, sizeof(to->batch));
	to->previous = in->head.id;
	to->sequence = in->head.sequence + 1;
	to->records = batch->records;
	to->is_rollback = false;
	for (size_t i = 0; i < batch->ranges.n; i++) {
		const struct range *r = &batch->ranges.items[i];

		offsets_set(&to->offsets, r->topic, r->partition, r->to);
		if (r->leader_epoch >= 0)
			offsets_set(&to->leader_epochs, r->topic, r->partition, r->leader_epoch);
	}
	if (batch->timestamp_greatest > to->timestamp_so_far)
		to->timestamp_so_far = batch->timestamp_greatest;
}

static enum status put_batch_meta(struct lake_txn *txn, const struct ingest *in,
				  const struct batch *batch, const struct checkpoint *to,
				  struct err *err)
{
	AUTO(buf_release) struct buf ranges = BUF_INIT;
	AUTO(freep)
	char *message = in->options.message ? xstrdup(in->options.message) : default_message(batch);
	enum status st;

	put_extra(txn, in->options.extra);
	put_number(txn, META_RECORDS, batch->records);
	put_number(txn, META_BYTES, batch->bytes);
	put_number(txn, META_DEADLETTERS, batch->deadletters);
	put_timestamps(txn, batch->timestamp_least, batch->timestamp_greatest,
		       to->timestamp_so_far);
	put_schemas(txn, &batch->schemas);
	put_single_topic(txn, to);
	lake_txn_set_message(txn, message);
	ranges_to_json(&batch->ranges, &ranges);
	st = checkpoint_put_document(txn, in->options.connector, META_RANGES, &ranges, err);
	return st == ST_OK ? checkpoint_put_state(txn, to, err) : st;
}

/* ---- committing a batch ---- */

/* Do all ranges begin at the head's offsets? */
static bool continues(const struct ingest *in, const struct batch *batch, const struct range **bad)
{
	for (size_t i = 0; i < batch->ranges.n; i++) {
		const struct range *r = &batch->ranges.items[i];

		*bad = r;
		if (offsets_get(&in->head.offsets, r->topic, r->partition) != r->from)
			return false;
	}
	return true;
}

static bool same_topics(const struct topic_states *a, const struct topic_states *b,
			const struct batch *batch)
{
	for (size_t i = 0; i < batch->ranges.n; i++) {
		const struct topic_state *x = topic_states_find(a, batch->ranges.items[i].topic);
		const struct topic_state *y = topic_states_find(b, batch->ranges.items[i].topic);

		if (!x || !y || strcmp(x->id, y->id) != 0 || x->generation != y->generation)
			return false;
	}
	return true;
}

/* Looks for the batch's id from the branch's head back to base. ST_OK: it is
 * there, and the head has been read; ST_NOT_FOUND: it is not. */
static enum status find_batch(struct ingest *in, const char *batch_id, const struct lake_id *base,
			      struct err *err)
{
	struct lake_id id;
	enum status st = ingest_refresh(in, err);

	if (st != ST_OK)
		return st;
	id = in->head.id;
	while (!lake_id_is_none(&id) && !lake_id_equal(&id, base)) {
		AUTO(checkpoint_release) struct checkpoint cp = {0};

		st = checkpoint_read(in->options.lake, &id, &cp, err);
		if (st != ST_OK)
			return st;
		if (strcmp(cp.batch, batch_id) == 0)
			return ST_OK;
		id = cp.previous;
	}
	return ST_NOT_FOUND;
}

static enum status put_files(struct lake_txn *txn, struct batch *batch, struct err *err)
{
	for (size_t i = 0; i < batch->files.n; i++) {
		struct written_file *f = &batch->files.items[i];
		uint64_t bytes = lake_upload_size(f->upload);
		enum status st =
			lake_txn_put(txn, f->path, f->upload, f->content_type, &f->meta, err);
		if (st != ST_OK)
			return st;
		f->upload = NULL; /* the transaction's now */
		batch->bytes += bytes;
	}
	return ST_OK;
}

/* A path that exists is never replaced: it would be other records' file. */
static enum status refuse_existing(struct ingest *in, const struct batch *batch, struct err *err)
{
	for (size_t i = 0; i < batch->files.n; i++) {
		AUTO(lake_entry_release) struct lake_entry entry = {0};
		enum status st = lake_stat(in->options.lake, &in->head.id,
					   batch->files.items[i].path, &entry, err);

		if (st == ST_OK)
			return err_set(err, ST_FAILED, "%s exists on %s; nothing was committed",
				       batch->files.items[i].path, in->options.branch);
		if (st != ST_NOT_FOUND)
			return st;
	}
	return ST_OK;
}

/* One try on top of the present head; on success in->head is the new one. */
static enum status commit_once(struct ingest *in, struct batch *batch, struct lake_txn *txn,
			       struct err *err)
{
	AUTO(checkpoint_release) struct checkpoint to = {0};
	enum status st = refuse_existing(in, batch, err);

	if (st != ST_OK)
		return st;
	next_state(in, batch, &to);
	st = put_batch_meta(txn, in, batch, &to, err);
	if (st != ST_OK)
		return st;
	KILL_POINT("checkpoint.before_commit");
	st = lake_txn_commit(txn, in->options.branch, &in->head.id, "checkpoint", &to.id, err);
	KILL_POINT("checkpoint.after_commit");
	if (st != ST_OK)
		return st;
	return read_head(in, &to.id, err);
}

enum status ingest_commit(struct ingest *in, struct batch *batch, struct err *err)
{
	AUTO(lake_txn_freep) struct lake_txn *txn = NULL;
	AUTO(topic_states_release) struct topic_states topics = {0};
	const struct range *bad = NULL;
	struct lake_id base = in->head.id;
	uint64_t epoch = in->head.epoch;
	enum status st;

	if (!continues(in, batch, &bad))
		return err_set(err, ST_FAILED,
			       "%s:%d: a range from %" PRId64
			       " does not continue the head; nothing was "
			       "committed",
			       bad->topic, bad->partition, bad->from);
	topic_states_copy(&topics, &in->head.topics);
	st = lake_txn_begin(in->options.lake, &base, &txn, err);
	if (st == ST_OK)
		st = put_files(txn, batch, err);
	for (int i = 0; st == ST_OK && i < COMMIT_TRIES; i++) {
		st = commit_once(in, batch, txn, err);
		if (st != ST_CONFLICT && st != ST_UNKNOWN)
			return st;
		st = find_batch(in, batch->id, &base, err);
		if (st != ST_NOT_FOUND)
			return st; /* it is there after all, or the lake failed */
		if (in->head.epoch != epoch || !same_topics(&topics, &in->head.topics, batch) ||
		    !continues(in, batch, &bad))
			return err_set(
				err, ST_CONFLICT,
				"the head of %s has moved past what this batch continues; it is "
				"dropped",
				in->options.branch);
		st = lake_txn_rebase(txn, &in->head.id, err);
	}
	if (st == ST_OK)
		st = err_set(err, ST_CONFLICT, "the head of %s kept moving", in->options.branch);
	return st;
}

/* ---- the first commit, and adjustments ---- */

/* The commit before anything was read, on the lake's first one. */
static enum status prepare_start(const struct ingest_options *options, const struct checkpoint *cp,
				 const struct lake_id *first, struct lake_id *out, struct err *err)
{
	AUTO(lake_txn_freep) struct lake_txn *txn = NULL;
	enum status st = lake_txn_begin(options->lake, first, &txn, err);

	if (st != ST_OK)
		return st;
	put_extra(txn, options->extra);
	put_number(txn, META_RECORDS, 0);
	put_number(txn, META_BYTES, 0);
	put_number(txn, META_DEADLETTERS, 0);
	put_timestamps(txn, -1, -1, -1);
	lake_txn_set_meta(txn, META_RANGES, "{}");
	lake_txn_set_message(txn, "start: where each partition begins");
	st = checkpoint_put_state(txn, cp, err);
	return st == ST_OK ? lake_txn_prepare(txn, out, err) : st;
}

static enum status move_to_start(const struct ingest_options *options, const struct lake_id *start,
				 const struct lake_id *first, struct err *err)
{
	const struct lake_move moves[] = {
		{.kind = LAKE_BRANCH, .name = options->branch, .to = *start},
		{.kind = LAKE_BRANCH, .name = options->published, .to = *first},
	};
	struct lake_id published;
	enum status st =
		lake_ref_get(options->lake, LAKE_BRANCH, options->published, &published, err);

	if (st != ST_OK && st != ST_NOT_FOUND)
		return st;
	return lake_refs_move(options->lake, moves, st == ST_NOT_FOUND ? 2 : 1, "first checkpoint",
			      err);
}

/* Did the start happen, whose answer did not come? ST_NOT_FOUND: there is no such branch.
 * ST_CONFLICT: it is another's. */
static enum status find_start(struct ingest *in, const char *batch_id, struct err *err)
{
	const struct lake_id none = {{0}};
	struct lake_id id;
	enum status st = lake_ref_get(in->options.lake, LAKE_BRANCH, in->options.branch, &id, err);

	if (st != ST_OK)
		return st;
	st = find_batch(in, batch_id, &none, err);
	if (st == ST_OK)
		return ST_OK;
	ingest_close(in);
	return st != ST_NOT_FOUND
		       ? st
		       : err_set(err, ST_CONFLICT, "the ingest branch %s was made by another",
				 in->options.branch);
}

static enum status start_once(struct ingest *in, const char *batch_id, const struct lake_id *start,
			      const struct lake_id *first, struct err *err)
{
	bool unsure = false;

	for (int i = 0; i < COMMIT_TRIES; i++) {
		enum status st = move_to_start(&in->options, start, first, err);

		unsure = unsure || st == ST_UNKNOWN;
		/* a conflict may be with a move of our own of which nobody heard */
		if (!unsure || (st != ST_UNKNOWN && st != ST_CONFLICT))
			return st;
		st = find_start(in, batch_id, err);
		if (st != ST_NOT_FOUND)
			return st;
	}
	return err_set(err, ST_UNKNOWN, "no answer says whether the ingest branch %s was made",
		       in->options.branch);
}

enum status ingest_start(struct ingest *in, const struct ingest_options *options,
			 const struct checkpoint *start, struct err *err)
{
	AUTO(checkpoint_release) struct checkpoint cp = {0};
	struct lake_id first, id;
	enum status st;

	*in = (struct ingest){.options = *options};
	st = lake_first_commit(options->lake, options->target, &first, err);
	if (st != ST_OK)
		return st;
	checkpoint_copy(&cp, start);
	free(cp.connector);
	cp.connector = xstrdup(options->connector);
	batch_id_new(options->rng, cp.batch);
	cp.sequence = start->sequence + 1;
	cp.timestamp_so_far = -1;
	st = prepare_start(options, &cp, &first, &id, err);
	if (st == ST_OK)
		st = start_once(in, cp.batch, &id, &first, err);
	KILL_POINT("ingest.started");
	if (st == ST_OK)
		st = protect(options, err);
	return st == ST_OK ? ingest_refresh(in, err) : st;
}

enum status ingest_adjust(struct ingest *in, const struct checkpoint *to,
			  const struct losses *losses, const char *message, struct err *err)
{
	AUTO(lake_txn_freep) struct lake_txn *txn = NULL;
	AUTO(checkpoint_release) struct checkpoint cp = {0};
	const struct ranges none = {0};
	const struct lake_id base = in->head.id;
	struct lake_id id;
	enum status st = lake_txn_begin(in->options.lake, &base, &txn, err);

	if (st != ST_OK)
		return st;
	checkpoint_copy(&cp, to);
	cp.previous = in->head.id;
	cp.epoch = in->head.epoch;
	cp.sequence = in->head.sequence + 1;
	batch_id_new(in->options.rng, cp.batch);
	put_extra(txn, in->options.extra);
	st = checkpoint_put_bare(txn, &cp, &none, losses, message, err);
	if (st == ST_OK)
		st = lake_txn_commit(txn, in->options.branch, &base, message, &id, err);
	if (st == ST_OK)
		return read_head(in, &id, err);
	if (st == ST_UNKNOWN) {
		st = find_batch(in, cp.batch, &base, err);
		if (st == ST_NOT_FOUND)
			st = err_set(err, ST_CONFLICT, "it did not happen; decide again");
	}
	return st;
}
