#include "connector/history/checkpoint.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "connector/schema/utf8.h"

/* A metadata value that is larger goes into an object. */
#define DOCUMENT_MAX_BYTES (64 << 10)
#define OBJECT_MAX_BYTES (256 << 20)

void topic_states_release(struct topic_states *t)
{
	for (size_t i = 0; i < t->n; i++) {
		free(t->items[i].name);
		free(t->items[i].id);
	}
	free(t->items);
	*t = (struct topic_states){0};
}

void topic_states_copy(struct topic_states *to, const struct topic_states *from)
{
	struct topic_states copy = {0};

	for (size_t i = 0; i < from->n; i++)
		topic_states_set(&copy, from->items[i].name, from->items[i].id,
				 from->items[i].generation);
	topic_states_release(to);
	*to = copy;
}

void topic_states_set(struct topic_states *t, const char *name, const char *id, uint32_t generation)
{
	struct topic_state *old = (struct topic_state *)topic_states_find(t, name);

	if (old) {
		char *copy = xstrdup(id);

		free(old->id);
		old->id = copy;
		old->generation = generation;
		return;
	}
	GROW(t->items, t->n, t->cap);
	t->items[t->n++] = (struct topic_state){
		.name = xstrdup(name),
		.id = xstrdup(id),
		.generation = generation,
	};
}

const struct topic_state *topic_states_find(const struct topic_states *t, const char *name)
{
	for (size_t i = 0; i < t->n; i++)
		if (strcmp(t->items[i].name, name) == 0)
			return &t->items[i];
	return NULL;
}

/* {"orders":{"id":"...","generation":0}} */
static void topic_states_to_json(const struct topic_states *t, struct buf *out)
{
	json_t *root = json_object();
	char *text;

	for (size_t i = 0; i < t->n; i++)
		json_object_set_new(root, t->items[i].name,
				    json_pack("{s:s,s:I}", "id", t->items[i].id, "generation",
					      (json_int_t)t->items[i].generation));
	text = json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS);
	buf_adds(out, text);
	free(text);
	json_decref(root);
}

static enum status topic_states_from_json(const char *text, struct topic_states *out,
					  struct err *err)
{
	json_t *root = json_loads(text, 0, NULL), *item;
	bool ok = json_is_object(root);
	const char *name;

	json_object_foreach(root, name, item)
	{
		const char *id;
		json_int_t generation;

		if (json_unpack(item, "{s:s,s:I}", "id", &id, "generation", &generation) != 0) {
			ok = false;
			break;
		}
		topic_states_set(out, name, id, (uint32_t)generation);
	}
	json_decref(root);
	return ok ? ST_OK : err_set(err, ST_DAMAGED, "%.100s is no map of topics", text);
}

void batch_id_new(struct rng *rng, char out[BATCH_ID_BYTES])
{
	snprintf(out, BATCH_ID_BYTES, "%016" PRIx64 "%016" PRIx64, rng_next(rng), rng_next(rng));
}

void checkpoint_release(struct checkpoint *cp)
{
	free(cp->connector);
	free(cp->cluster);
	offsets_release(&cp->offsets);
	offsets_release(&cp->leader_epochs);
	topic_states_release(&cp->topics);
	*cp = (struct checkpoint){0};
}

void checkpoint_copy(struct checkpoint *to, const struct checkpoint *from)
{
	struct checkpoint copy = *from;

	copy.connector = from->connector ? xstrdup(from->connector) : NULL;
	copy.cluster = from->cluster ? xstrdup(from->cluster) : NULL;
	copy.offsets = (struct offsets)OFFSETS_INIT;
	copy.leader_epochs = (struct offsets)OFFSETS_INIT;
	copy.topics = (struct topic_states){0};
	offsets_copy(&copy.offsets, &from->offsets);
	offsets_copy(&copy.leader_epochs, &from->leader_epochs);
	topic_states_copy(&copy.topics, &from->topics);
	checkpoint_release(to);
	*to = copy;
}

/* ---- documents ---- */

static char *object_path(const char *connector, const char *key)
{
	return xasprintf("_tidemark/%s.%s.json", connector, key + strlen("tidemark."));
}

enum status checkpoint_put_document(struct lake_txn *txn, const char *connector, const char *key,
				    const struct buf *json, struct err *err)
{
	AUTO(freep) char *path = object_path(connector, key);
	char digest[LAKE_DIGEST_BYTES];
	AUTO(freep) char *pointer = NULL;

	if (json->len <= DOCUMENT_MAX_BYTES) {
		lake_txn_set_meta(txn, key, buf_str(json));
		return lake_txn_remove(txn, path, err);
	}
	lake_digest(json->data, json->len, digest);
	pointer = xasprintf("sha256:%s", digest);
	lake_txn_set_meta(txn, key, pointer);
	return lake_txn_put_bytes(txn, path, json->data, json->len, "application/json", NULL, err);
}

enum status checkpoint_document(struct lake *lake, const struct lake_commit *commit,
				const char *key, struct buf *out, struct err *err)
{
	const char *value = lake_meta_get(&commit->meta, key);
	const char *connector = lake_meta_get(&commit->meta, META_CONNECTOR);

	if (value && strncmp(value, "sha256:", 7) == 0 && connector) {
		AUTO(freep) char *path = object_path(connector, key);

		return lake_read(lake, &commit->id, path, OBJECT_MAX_BYTES, out, err);
	}
	buf_adds(out, value ? value : "");
	return ST_OK;
}

enum status checkpoint_offsets(struct lake *lake, const struct lake_commit *commit,
			       struct offsets *out, struct err *err)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	enum status st = checkpoint_document(lake, commit, META_OFFSETS, &text, err);

	return st == ST_OK ? offsets_from_json(text.len ? text.data : "{}", out, err) : st;
}

bool commit_is_checkpoint(const struct lake_commit *commit, const char *connector)
{
	const char *name = lake_meta_get(&commit->meta, META_CONNECTOR);

	return name && strcmp(name, connector) == 0 && lake_meta_get(&commit->meta, META_BATCH) &&
	       !lake_meta_get(&commit->meta, META_CHECKPOINT);
}

static uint64_t meta_number(const struct lake_commit *commit, const char *key)
{
	const char *text = lake_meta_get(&commit->meta, key);

	return text ? strtoull(text, NULL, 10) : 0;
}

static enum status take_maps(struct lake *lake, const struct lake_commit *commit,
			     struct checkpoint *cp, struct err *err)
{
	AUTO(buf_release) struct buf epochs = BUF_INIT;
	AUTO(buf_release) struct buf topics = BUF_INIT;
	enum status st = checkpoint_offsets(lake, commit, &cp->offsets, err);

	if (st == ST_OK)
		st = checkpoint_document(lake, commit, META_LEADER_EPOCHS, &epochs, err);
	if (st == ST_OK && epochs.len)
		st = offsets_from_json(epochs.data, &cp->leader_epochs, err);
	if (st == ST_OK)
		st = checkpoint_document(lake, commit, META_TOPICS, &topics, err);
	if (st == ST_OK && topics.len)
		st = topic_states_from_json(topics.data, &cp->topics, err);
	return st;
}

static void take_rollback(const char *text, struct checkpoint *cp)
{
	json_t *root = json_loads(text, 0, NULL);
	const char *ingest = "", *shown = "";

	if (json_unpack(root, "{s:s,s:s}", "ingest", &ingest, "shown", &shown) == 0 &&
	    lake_id_parse(ingest, &cp->undo_ingest)) {
		cp->is_rollback = true;
		if (!lake_id_parse(shown, &cp->undo_shown))
			cp->undo_shown = (struct lake_id){0};
	}
	json_decref(root);
}

static void take_timestamps(const char *text, struct checkpoint *cp)
{
	json_t *root = json_loads(text ? text : "", 0, NULL);
	const json_t *so_far = json_object_get(root, "so_far");

	cp->timestamp_so_far = json_is_integer(so_far) ? json_integer_value(so_far) : -1;
	json_decref(root);
}

static enum status take(struct lake *lake, const struct lake_commit *commit, struct checkpoint *cp,
			struct err *err)
{
	const char *batch = lake_meta_get(&commit->meta, META_BATCH);
	const char *previous = lake_meta_get(&commit->meta, META_PREVIOUS);
	const char *cluster = lake_meta_get(&commit->meta, META_CLUSTER);
	const char *rollback = lake_meta_get(&commit->meta, META_ROLLBACK);

	cp->id = commit->id;
	cp->connector = xstrdup(lake_meta_get(&commit->meta, META_CONNECTOR));
	snprintf(cp->batch, sizeof(cp->batch), "%s", batch);
	cp->epoch = meta_number(commit, META_EPOCH);
	cp->sequence = meta_number(commit, META_SEQUENCE);
	cp->records = meta_number(commit, META_RECORDS);
	cp->cuts = meta_number(commit, META_CUTS);
	cp->time_ms = commit->time_ms;
	cp->cluster = xstrdup(cluster ? cluster : "");
	if (previous && *previous && !lake_id_parse(previous, &cp->previous))
		return err_set(err, ST_DAMAGED, "%s=%s is no commit id", META_PREVIOUS, previous);
	take_timestamps(lake_meta_get(&commit->meta, META_TIMESTAMPS), cp);
	if (rollback)
		take_rollback(rollback, cp);
	return take_maps(lake, commit, cp, err);
}

enum status checkpoint_read(struct lake *lake, const struct lake_id *id, struct checkpoint *out,
			    struct err *err)
{
	AUTO(lake_commit_release) struct lake_commit commit = {0};
	AUTO(checkpoint_release) struct checkpoint cp = {0};
	char hex[LAKE_ID_SHORT_BYTES];
	const char *name;
	enum status st = lake_commit_read(lake, id, &commit, err);

	if (st != ST_OK)
		return st;
	lake_id_short(id, hex);
	name = lake_meta_get(&commit.meta, META_CONNECTOR);
	if (!name || !commit_is_checkpoint(&commit, name))
		return err_set(err, ST_NOT_FOUND, "commit %s is no checkpoint", hex);
	st = take(lake, &commit, &cp, err);
	if (st != ST_OK)
		return err_wrap(err, st, "checkpoint %s", hex);
	*out = cp;
	cp = (struct checkpoint){0};
	return ST_OK;
}

static void set_number(struct lake_txn *txn, const char *key, uint64_t n)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, n);
	lake_txn_set_meta(txn, key, text);
}

enum status checkpoint_put_state(struct lake_txn *txn, const struct checkpoint *cp, struct err *err)
{
	AUTO(buf_release) struct buf offsets = BUF_INIT;
	AUTO(buf_release) struct buf epochs = BUF_INIT;
	AUTO(buf_release) struct buf topics = BUF_INIT;
	struct cursor cursor = {.epoch = cp->epoch, .sequence = cp->sequence};
	char previous[LAKE_ID_HEX_BYTES] = "";
	enum status st;

	if (!lake_id_is_none(&cp->previous))
		lake_id_hex(&cp->previous, previous);
	memcpy(cursor.batch, cp->batch, sizeof(cursor.batch));
	offsets_to_json(&cp->offsets, &offsets);
	offsets_to_json(&cp->leader_epochs, &epochs);
	topic_states_to_json(&cp->topics, &topics);
	lake_txn_set_meta(txn, META_CONNECTOR, cp->connector);
	lake_txn_set_meta(txn, META_VERSION, TIDEMARK_VERSION);
	lake_txn_set_meta(txn, META_BATCH, cp->batch);
	lake_txn_set_meta(txn, META_PREVIOUS, previous);
	lake_txn_set_meta(txn, META_CLUSTER, cp->cluster);
	set_number(txn, META_EPOCH, cp->epoch);
	set_number(txn, META_SEQUENCE, cp->sequence);
	if (cp->cuts)
		set_number(txn, META_CUTS, cp->cuts);
	st = checkpoint_put_document(txn, cp->connector, META_OFFSETS, &offsets, err);
	if (st == ST_OK)
		st = checkpoint_put_document(txn, cp->connector, META_LEADER_EPOCHS, &epochs, err);
	if (st == ST_OK)
		st = checkpoint_put_document(txn, cp->connector, META_TOPICS, &topics, err);
	return st == ST_OK ? cursor_put(txn, cp->connector, &cursor, &cp->offsets, err) : st;
}

enum status checkpoint_put_bare(struct lake_txn *txn, const struct checkpoint *cp,
				const struct ranges *ranges, const struct losses *lost,
				const char *message, struct err *err)
{
	AUTO(buf_release) struct buf ranges_text = BUF_INIT;
	AUTO(buf_release) struct buf lost_text = BUF_INIT;
	AUTO(freep) char *timestamps = xasprintf("{\"so_far\":%" PRId64 "}", cp->timestamp_so_far);
	enum status st;

	lake_txn_set_message(txn, message);
	set_number(txn, META_RECORDS, 0);
	set_number(txn, META_BYTES, 0);
	set_number(txn, META_DEADLETTERS, 0);
	lake_txn_set_meta(txn, META_TIMESTAMPS, timestamps);
	ranges_to_json(ranges, &ranges_text);
	st = checkpoint_put_document(txn, cp->connector, META_RANGES, &ranges_text, err);
	losses_to_json(lost, &lost_text);
	if (st == ST_OK && lost->n > 0)
		st = checkpoint_put_document(txn, cp->connector, META_LOST, &lost_text, err);
	return st == ST_OK ? checkpoint_put_state(txn, cp, err) : st;
}

void checkpoint_put_undo(struct lake_txn *txn, const struct lake_id *ingest,
			 const struct lake_id *shown)
{
	char ingest_hex[LAKE_ID_HEX_BYTES], shown_hex[LAKE_ID_HEX_BYTES] = "";
	AUTO(freep) char *text = NULL;

	lake_id_hex(ingest, ingest_hex);
	if (!lake_id_is_none(shown))
		lake_id_hex(shown, shown_hex);
	text = xasprintf("{\"ingest\":\"%s\",\"shown\":\"%s\"}", ingest_hex, shown_hex);
	lake_txn_set_meta(txn, META_ROLLBACK, text);
}

/* ---- the cursor ---- */

bool path_is_document(const char *path)
{
	return strncmp(path, "_tidemark/", strlen("_tidemark/")) == 0;
}

char *cursor_path(const char *connector)
{
	return xasprintf("_tidemark/%s.json", connector);
}

enum status cursor_put(struct lake_txn *txn, const char *connector, const struct cursor *cursor,
		       const struct offsets *offsets, struct err *err)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	AUTO(freep) char *path = cursor_path(connector);
	char checkpoint[LAKE_ID_HEX_BYTES] = "";

	if (cursor->published && !lake_id_is_none(&cursor->checkpoint))
		lake_id_hex(&cursor->checkpoint, checkpoint);
	buf_addf(&text,
		 "{\"connector\":\"%s\",\"epoch\":%" PRIu64 ",\"sequence\":%" PRIu64
		 ",\"batch\":\"%s\",",
		 connector, cursor->epoch, cursor->sequence, cursor->batch);
	if (cursor->published)
		buf_addf(&text, "\"checkpoint\":\"%s\",", checkpoint);
	buf_adds(&text, "\"offsets\":");
	offsets_to_json(offsets, &text);
	buf_adds(&text, "}\n");
	return lake_txn_put_bytes(txn, path, text.data, text.len, "application/json", NULL, err);
}

enum status cursor_read(struct lake *lake, const struct lake_id *commit, const char *connector,
			struct cursor *out, struct err *err)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	AUTO(freep) char *path = cursor_path(connector);
	struct cursor c = {0};
	const char *batch, *checkpoint;
	json_int_t epoch, sequence;
	json_t *root;
	enum status st = lake_read(lake, commit, path, OBJECT_MAX_BYTES, &text, err);

	if (st != ST_OK)
		return st;
	root = json_loads(buf_str(&text), 0, NULL);
	if (json_unpack(root, "{s:I,s:I,s:s}", "epoch", &epoch, "sequence", &sequence, "batch",
			&batch) != 0) {
		json_decref(root);
		return err_set(err, ST_DAMAGED, "%s is no cursor", path);
	}
	c.epoch = (uint64_t)epoch;
	c.sequence = (uint64_t)sequence;
	snprintf(c.batch, sizeof(c.batch), "%s", batch);
	checkpoint = json_string_value(json_object_get(root, "checkpoint"));
	c.published = checkpoint != NULL;
	if (checkpoint && *checkpoint && !lake_id_parse(checkpoint, &c.checkpoint))
		c.published = false;
	json_decref(root);
	*out = c;
	return ST_OK;
}

json_t *meta_json(const struct lake_meta *meta)
{
	json_t *object = json_object();

	for (size_t i = 0; i < meta->n; i++) {
		json_t *key = utf8_json(meta->items[i].key);

		json_object_set_new(object, json_string_value(key),
				    utf8_json(meta->items[i].value));
		json_decref(key);
	}
	return object;
}
