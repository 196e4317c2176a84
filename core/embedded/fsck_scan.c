/* The metadata's keys, each read with its checksum and decoded. */
#include <stdlib.h>
#include <string.h>

#include "core/embedded/fsck.h"

#define TAKE_BACK                                                                                  \
	"restore a backup (`tidemark restore`), or `tidemark fsck --repair` keeps what can be "    \
	"read"

/* The hash that stands behind the key's letter. */
static bool key_hash(struct bytes key, struct hash *out)
{
	if (bytes_left(&key) != 1 + sizeof(out->bytes))
		return false;
	memcpy(out->bytes, key.p + 1, sizeof(out->bytes));
	return true;
}

static void bad_key(struct fsck *f, struct bytes key, const char *what)
{
	AUTO(buf_release) struct buf name = BUF_INIT;
	size_t n = bytes_left(&key) < 80 ? bytes_left(&key) : 80;

	buf_add_hex(&name, key.p, n);
	lake_fsck_add(f->report, true, "metadata", buf_str(&name), TAKE_BACK, "%s", what);
}

/* ---- objects ---- */

static void scan_node(struct fsck *f, struct bytes key, struct bytes value)
{
	struct hash id, found;

	if (!key_hash(key, &id)) {
		bad_key(f, key, "the key of a node is no hash");
		return;
	}
	f->report->nodes++;
	hash_of(value.p, bytes_left(&value), &found);
	if (!hash_equal(&id, &found))
		fsck_bad(f, "node", &id, "holds other bytes than were stored");
}

static void scan_small(struct fsck *f, struct bytes key, struct bytes value)
{
	struct blob_seen *blob;
	struct hash id, found;

	if (!key_hash(key, &id)) {
		bad_key(f, key, "the key of a small object is no hash");
		return;
	}
	f->report->small_blobs++;
	f->report->bytes += bytes_left(&value);
	blob = id_table_add(&f->blobs, id.bytes);
	blob->small = true;
	blob->size = bytes_left(&value);
	hash_of(value.p, bytes_left(&value), &found);
	if (!hash_equal(&id, &found))
		blob->why = xstrdup("holds other bytes than were stored");
}

static void scan_commit(struct fsck *f, struct bytes key, struct bytes value)
{
	AUTO(commit_release) struct commit c = {.depth = 0};
	struct commit_seen *seen;
	struct err err = ERR_INIT;
	struct lake_id id;
	struct hash hash;

	if (!key_hash(key, &hash)) {
		bad_key(f, key, "the key of a commit is no id");
		return;
	}
	f->report->commits++;
	seen = id_table_add(&f->commits, hash.bytes);
	seen->there = true;
	memcpy(id.bytes, hash.bytes, sizeof(id.bytes));
	if (commit_decode(&id, value.p, bytes_left(&value), &c, &err) != ST_OK) {
		seen->why = xstrdup(err.text);
		return;
	}
	seen->root = tree_of(&c);
	seen->n_parents = c.public.n_parents;
	seen->parents = MOVE(c.public.parents);
}

static void scan_expired(struct fsck *f, struct bytes key, struct bytes value)
{
	struct blob_seen *blob;
	struct hash id;
	uint64_t time;

	if (!key_hash(key, &id) || !bytes_be64(&value, &time)) {
		bad_key(f, key, "the mark of an expired object cannot be read");
		return;
	}
	blob = id_table_add(&f->blobs, id.bytes);
	blob->expired = true;
	blob->expired_ms = (int64_t)time;
	f->report->expired++;
}

/* ---- refs ---- */

static void scan_ref(struct fsck *f, struct bytes key, struct bytes value)
{
	struct ref_seen ref = {.kind = LAKE_BRANCH};

	if (bytes_left(&key) < 3 || (key.p[1] != 'b' && key.p[1] != 't')) {
		bad_key(f, key, "the key of a ref names neither a branch nor a tag");
		return;
	}
	ref.kind = key.p[1] == 'b' ? LAKE_BRANCH : LAKE_TAG;
	ref.name = xstrndup((const char *)key.p + 2, bytes_left(&key) - 2);
	f->report->refs++;
	if (bytes_left(&value) != sizeof(ref.id.bytes)) {
		lake_fsck_add(f->report, true, "ref", ref.name, TAKE_BACK, "holds no commit's id");
		free(ref.name);
		return;
	}
	memcpy(ref.id.bytes, value.p, sizeof(ref.id.bytes));
	GROW(f->refs, f->n_refs, f->cap_refs);
	f->refs[f->n_refs++] = ref;
}

static void scan_log(struct fsck *f, struct bytes key, struct bytes value)
{
	struct lake_reflog_entry entry;
	struct err err = ERR_INIT;
	struct bytes number = key;
	uint64_t sequence = 0;

	number.p++;
	f->report->reflog_entries++;
	if (bytes_left(&number) != 8 || !bytes_be64(&number, &sequence)) {
		bad_key(f, key, "the key of a reflog entry is no number");
		return;
	}
	if (embedded_reflog_decode(sequence, value, &entry, &err) != ST_OK) {
		AUTO(freep) char *name = xasprintf("%llu", (unsigned long long)sequence);

		lake_fsck_add(f->report, true, "reflog", name, TAKE_BACK, "%s", err.text);
		return;
	}
	GROW(f->log, f->n_log, f->cap_log);
	f->log[f->n_log++] = entry;
}

static void scan_index(struct fsck *f, struct bytes key)
{
	const unsigned char *end = memchr(key.p, 0, bytes_left(&key));
	struct lake_reflog_entry entry = {.name = NULL};
	struct bytes number;

	if (!end || key.end - end != 9) {
		bad_key(f, key, "the key of a reflog's index is none");
		return;
	}
	number = bytes_of(end + 1, 8);
	if (!bytes_be64(&number, &entry.sequence))
		return;
	entry.name = xstrndup((const char *)key.p + 1, (size_t)(end - key.p - 1));
	GROW(f->index, f->n_index, f->cap_index);
	f->index[f->n_index++] = entry;
}

static void scan_staged(struct fsck *f, struct bytes key, struct bytes value)
{
	const unsigned char *end = memchr(key.p, 0, bytes_left(&key));
	struct staged_seen staged = {.branch = NULL};
	const unsigned char *kind = NULL;
	uint64_t number;

	f->report->staged_changes++;
	if (!end || end + 1 == key.end || !bytes_be64(&value, &number) ||
	    !bytes_take(&value, 1, &kind) || (*kind != '+' && *kind != '-') ||
	    (*kind == '+') != (bytes_left(&value) > 0)) {
		bad_key(f, key, "a staged change cannot be read");
		return;
	}
	staged.branch = xstrndup((const char *)key.p + 1, (size_t)(end - key.p - 1));
	staged.path = xstrndup((const char *)end + 1, (size_t)(key.end - end - 1));
	buf_add(&staged.entry, value.p, bytes_left(&value));
	GROW(f->staged, f->n_staged, f->cap_staged);
	f->staged[f->n_staged++] = staged;
}

static void scan_protection(struct fsck *f, struct bytes key)
{
	GROW(f->protected, f->n_protected, f->cap_protected);
	f->protected[f->n_protected++] = xstrndup((const char *)key.p + 1, bytes_left(&key) - 1);
}

static void scan_sequence(struct fsck *f, struct bytes key, struct bytes value)
{
	if (bytes_left(&key) == 1 && bytes_left(&value) == 8 && bytes_be64(&value, &f->q))
		f->has_q = true;
	else
		bad_key(f, key, "the number of the last synced write cannot be read");
}

/* ---- all keys ---- */

static void scan_key(struct fsck *f, struct bytes key, struct bytes value)
{
	switch (bytes_left(&key) ? *key.p : 0) {
	case 'b':
		scan_small(f, key, value);
		break;
	case 'c':
		scan_commit(f, key, value);
		break;
	case 'i':
		if (bytes_left(&key) != 1 || bytes_left(&value) != LAKE_IDENTITY_BYTES)
			bad_key(f, key, "the lake's identity cannot be read");
		break;
	case 'l':
		scan_log(f, key, value);
		break;
	case 'm':
		scan_index(f, key);
		break;
	case 'n':
		scan_node(f, key, value);
		break;
	case 'p':
		scan_protection(f, key);
		break;
	case 'q':
		scan_sequence(f, key, value);
		break;
	case 'r':
		scan_ref(f, key, value);
		break;
	case 's':
		scan_staged(f, key, value);
		break;
	case 'x':
		scan_expired(f, key, value);
		break;
	default:
		bad_key(f, key, "a key that no lake has");
		break;
	}
}

/* Where a block cannot be read the scan goes on at the next kind of key. */
static void scan_torn(struct fsck *f, struct db_iter *it, char *kind, const char *why)
{
	AUTO(freep)
	char *text = xasprintf("keys of the kind '%c' or behind it: %s", *kind ? *kind : 'a', why);

	f->torn = true;
	lake_fsck_add(f->report, true, "metadata", "meta", TAKE_BACK, "%s", text);
	++*kind;
	db_iter_seek(it, kind, 1);
}

static void bad_table(void *ctx, const char *file, const char *why)
{
	struct fsck *f = ctx;
	AUTO(freep) char *name = xasprintf("meta/%s", file);

	lake_fsck_add(f->report, true, "metadata", name, TAKE_BACK, "%s", why);
}

void fsck_scan(struct fsck *f)
{
	AUTO(db_iter_freep) struct db_iter *it = db_scan_new(f->e->db);
	AUTO(freep) char *meta = xasprintf("%s/meta", f->root);
	struct err err = ERR_INIT;
	char kind = 'a';
	struct bytes key;
	enum status st;

	while ((st = db_iter_next(it, &err)) != ST_END && kind < 'z') {
		if (st != ST_OK) {
			scan_torn(f, it, &kind, err.text);
			continue;
		}
		key = db_iter_key(it);
		kind = bytes_left(&key) ? (char)*key.p : kind;
		scan_key(f, key, db_iter_value(it));
		fsck_step(f, 1, 0);
	}
	db_check_tables(f->e->db, meta, bad_table, f);
}
