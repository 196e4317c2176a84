/* What can be read of damaged metadata, put together again. */
#include <stdlib.h>
#include <string.h>

#include "core/embedded/repair.h"
#include "core/embedded/store.h"

#define BATCH_KEYS 1000

/* ---- is all of it readable? ---- */

struct check {
	bool bad;
	char **why_out;
};

static void found_bad(struct check *c, const char *file, const char *why)
{
	if (!c->bad && c->why_out)
		*c->why_out = file ? xasprintf("%s: %s", file, why) : xstrdup(why);
	c->bad = true;
}

static void bad_table(void *ctx, const char *file, const char *why)
{
	found_bad(ctx, file, why);
}

void salvage_check(struct db *db, const char *path, bool *clean_out, char **why_out)
{
	AUTO(db_iter_freep) struct db_iter *it = db_scan_new(db);
	struct check c = {.why_out = why_out};
	struct err err = ERR_INIT;
	enum status st;

	while ((st = db_iter_next(it, &err)) == ST_OK)
		;
	if (st != ST_END)
		found_bad(&c, NULL, err.text);
	db_check_tables(db, path, bad_table, &c);
	*clean_out = !c.bad;
}

/* ---- copying ---- */

/* A place in the order of keys: the letter, and the eight bytes behind it. */
struct place {
	unsigned char kind;
	uint64_t number;
};

static struct place place_of(struct bytes key)
{
	struct place p = {.kind = bytes_left(&key) ? *key.p : 'a'};

	for (size_t i = 1; i <= 8; i++)
		p.number = p.number << 8 | (i < bytes_left(&key) ? key.p[i] : 0);
	return p;
}

/* The first step behind the damage at which a key can be read again: each is twice as far
 * as the one before, so that at most as much is passed over in vain as could not
 * be read. ST_END where there is none. */
static enum status pass_over(struct db_iter *it, struct place from)
{
	while (from.kind < 'z') {
		for (unsigned shift = 0; shift < 64; shift++) {
			uint64_t number = from.number + (UINT64_C(1) << shift);
			AUTO(buf_release) struct buf key = BUF_INIT;
			enum status st;

			if (number < from.number)
				break;
			buf_addc(&key, (char)from.kind);
			buf_add_be64(&key, number);
			db_iter_seek(it, key.data, key.len);
			st = db_iter_next(it, NULL);
			if (st == ST_OK || st == ST_END)
				return st;
		}
		from.kind++;
		from.number = 0;
	}
	return ST_END;
}

struct copy {
	struct db *to;
	struct db_batch *batch;
	uint64_t keys;
};

/* The index by name is made of the entries, so that the two agree. */
static void copy_reflog(struct copy *c, struct bytes key, struct bytes value)
{
	struct bytes number = bytes_of(key.p + 1, bytes_left(&key) - 1);
	struct lake_reflog_entry entry;
	uint64_t sequence;

	if (!bytes_be64(&number, &sequence) ||
	    embedded_reflog_decode(sequence, value, &entry, NULL) != ST_OK)
		return;
	embedded_reflog_add(c->batch, &entry);
	lake_reflog_entry_clear(&entry);
}

static void copy_key(struct copy *c, struct bytes key, struct bytes value)
{
	struct buf borrowed = {.data = (char *)key.p, .len = bytes_left(&key)};

	if (bytes_left(&key) == 0 || *key.p == 'm')
		return;
	if (*key.p == 'l')
		copy_reflog(c, key, value);
	else
		db_batch_put(c->batch, &borrowed, value.p, bytes_left(&value));
	if (++c->keys % BATCH_KEYS == 0)
		db_write(c->to, c->batch);
}

enum status salvage_copy(struct db *from, struct db *to, struct lake_repair_report *report,
			 struct err *err)
{
	AUTO(db_iter_freep) struct db_iter *it = db_scan_new(from);
	AUTO(db_batch_freep) struct db_batch *batch = db_batch_new();
	struct copy c = {.to = to, .batch = batch};
	struct place last = {.kind = 'a'};
	enum status st = db_iter_next(it, NULL);

	while (st != ST_END) {
		if (st == ST_OK) {
			last = place_of(db_iter_key(it));
			copy_key(&c, db_iter_key(it), db_iter_value(it));
			st = db_iter_next(it, NULL);
		} else {
			report->gaps++;
			st = pass_over(it, last);
		}
	}
	db_write(to, batch);
	db_sync(to);
	report->keys = c.keys;
	return c.keys ? ST_OK
		      : err_set(err, ST_DAMAGED,
				"no key of the metadata can be read; restore a "
				"backup (`tidemark restore`)");
}

/* ---- refs and their reflog ---- */

struct mend {
	struct db *db;
	struct db_batch *batch;
	struct lake_repair_report *report;
	struct lake_reflog log; /* by kind and name, newest first */
};

static bool commit_exists(struct mend *m, const struct lake_id *id)
{
	AUTO(buf_release) struct buf key = BUF_INIT;
	AUTO(buf_release) struct buf value = BUF_INIT;

	key_commit(&key, id);
	return db_get(m->db, &key, &value, NULL) == ST_OK;
}

/* False: there is none that can be read. */
static bool ref_at(struct mend *m, enum lake_ref_kind kind, const char *name, struct lake_id *out)
{
	AUTO(buf_release) struct buf key = BUF_INIT;
	AUTO(buf_release) struct buf value = BUF_INIT;

	*out = (struct lake_id){{0}};
	key_ref(&key, kind, name);
	if (db_get(m->db, &key, &value, NULL) != ST_OK || value.len != sizeof(out->bytes))
		return false;
	memcpy(out->bytes, value.data, sizeof(out->bytes));
	return true;
}

static void add_entry(struct lake_reflog *log, size_t *cap, struct lake_reflog_entry entry)
{
	GROW(log->items, log->n, *cap);
	log->items[log->n++] = entry;
}

static void set_ref(struct mend *m, enum lake_ref_kind kind, const char *name,
		    const struct lake_id *from, const struct lake_id *to)
{
	AUTO(buf_release) struct buf key = BUF_INIT;
	size_t cap = m->report->refs.n;

	if (lake_id_equal(from, to))
		return;
	key_ref(&key, kind, name);
	if (lake_id_is_none(to))
		db_batch_delete(m->batch, &key);
	else
		db_batch_put(m->batch, &key, to->bytes, sizeof(to->bytes));
	add_entry(&m->report->refs, &cap,
		  (struct lake_reflog_entry){
			  .kind = kind, .name = xstrdup(name), .from = *from, .to = *to});
}

static bool usable(struct mend *m, const struct lake_reflog_entry *e)
{
	return lake_id_is_none(&e->to) || commit_exists(m, &e->to);
}

/* The entries of one ref, newest first. What stays of them is a chain that ends
 * where the ref is. */
static void mend_ref(struct mend *m, const struct lake_reflog_entry *e, size_t n)
{
	struct lake_id at;
	bool there = ref_at(m, e->kind, e->name, &at) && commit_exists(m, &at);
	bool known = !there;
	const struct lake_id *end = NULL; /* of the chain that stays */

	for (size_t i = 0; i < n; i++)
		known = known || lake_id_equal(&e[i].to, &at);
	if (!known) /* the ref moved there by an entry that is lost */
		end = &at;
	for (size_t i = 0; i < n; i++) {
		bool first = known && !end && usable(m, &e[i]);

		if (first)
			set_ref(m, e->kind, e->name, &at, &e[i].to);
		if (first || (known && end && lake_id_equal(end, &e[i].to) && usable(m, &e[i]))) {
			end = &e[i].from;
			continue;
		}
		known = known && !end; /* a break: nothing older stays */
		embedded_reflog_remove(m->batch, e[i].name, e[i].sequence);
	}
	if (!end)
		set_ref(m, e->kind, e->name, &at, &(struct lake_id){{0}});
}

static int newest_first(const void *x, const void *y)
{
	const struct lake_reflog_entry *a = x, *b = y;

	return (a->sequence < b->sequence) - (a->sequence > b->sequence);
}

static int by_ref(const void *x, const void *y)
{
	const struct lake_reflog_entry *a = x, *b = y;
	int order = (int)a->kind - (int)b->kind;

	if (order == 0)
		order = strcmp(a->name, b->name);
	return order ? order : newest_first(x, y);
}

static void read_log(struct db *db, struct lake_reflog *out)
{
	AUTO(buf_release) struct buf prefix = BUF_INIT;
	AUTO(db_iter_freep) struct db_iter *it = NULL;
	struct lake_reflog_entry entry;
	size_t cap = 0;

	key_set(&prefix, 'l', "", 0);
	it = db_iter_new(db, &prefix);
	while (db_iter_next(it, NULL) == ST_OK) {
		struct bytes number = db_iter_key(it);
		uint64_t sequence = 0;

		number.p++;
		if (bytes_be64(&number, &sequence) &&
		    embedded_reflog_decode(sequence, db_iter_value(it), &entry, NULL) == ST_OK)
			add_entry(out, &cap, entry);
	}
}

/* Refs that no entry is about. */
static void drop_lost_refs(struct mend *m)
{
	AUTO(buf_release) struct buf prefix = BUF_INIT;
	AUTO(db_iter_freep) struct db_iter *it = NULL;

	key_set(&prefix, 'r', "", 0);
	it = db_iter_new(m->db, &prefix);
	while (db_iter_next(it, NULL) == ST_OK) {
		struct bytes key = db_iter_key(it);
		AUTO(freep) char *name = NULL;
		enum lake_ref_kind kind;
		struct lake_id at;

		if (bytes_left(&key) < 3)
			continue;
		kind = key.p[1] == 'b' ? LAKE_BRANCH : LAKE_TAG;
		name = xstrndup((const char *)key.p + 2, bytes_left(&key) - 2);
		if (!ref_at(m, kind, name, &at) || !commit_exists(m, &at))
			set_ref(m, kind, name, &at, &(struct lake_id){{0}});
	}
}

/* Staged changes and protections of branches that there are no more. */
static void drop_beside(struct mend *m, char letter)
{
	AUTO(buf_release) struct buf prefix = BUF_INIT;
	AUTO(db_iter_freep) struct db_iter *it = NULL;

	buf_addc(&prefix, letter);
	it = db_iter_new(m->db, &prefix);
	while (db_iter_next(it, NULL) == ST_OK) {
		struct bytes key = db_iter_key(it);
		struct buf borrowed = {.data = (char *)key.p, .len = bytes_left(&key)};
		AUTO(freep) char *branch = xstrndup((const char *)key.p + 1, bytes_left(&key) - 1);
		struct lake_id at;

		if (!ref_at(m, LAKE_BRANCH, branch, &at))
			db_batch_delete(m->batch, &borrowed);
	}
}

/* The number of the last write, of the youngest entry where its own key is lost. */
static void mend_sequence(struct mend *m)
{
	AUTO(buf_release) struct buf key = BUF_INIT;
	AUTO(buf_release) struct buf value = BUF_INIT;
	uint64_t n = 0;

	if (embedded_sequence(m->db, &n, NULL) != ST_OK)
		n = 0;
	for (size_t i = 0; i < m->log.n; i++)
		if (m->log.items[i].sequence > n)
			n = m->log.items[i].sequence;
	key_sequence(&key);
	buf_add_be64(&value, n);
	db_batch_put(m->batch, &key, value.data, value.len);
}

static void mend_refs(struct mend *m)
{
	struct lake_reflog_entry *e = m->log.items;

	if (m->log.n)
		qsort(e, m->log.n, sizeof(*e), by_ref);
	for (size_t i = 0, n; i < m->log.n; i += n) {
		for (n = 1; i + n < m->log.n && e[i + n].kind == e[i].kind &&
			    strcmp(e[i + n].name, e[i].name) == 0;
		     n++)
			;
		mend_ref(m, e + i, n);
	}
}

enum status salvage_mend(struct db *db, struct lake_repair_report *report, struct err *err)
{
	AUTO(db_batch_freep) struct db_batch *batch = db_batch_new();
	struct mend m = {.db = db, .batch = batch, .report = report};

	read_log(db, &m.log);
	mend_sequence(&m);
	mend_refs(&m);
	db_write(db, batch);
	drop_lost_refs(&m);
	db_write(db, batch);
	drop_beside(&m, 's');
	drop_beside(&m, 'p');
	db_write_synced(db, batch);
	lake_reflog_release(&m.log);
	return embedded_sequence(db, &report->kept, err);
}

void salvage_lost(struct db *db, uint64_t kept, struct lake_reflog *out)
{
	struct lake_reflog log = {.n = 0};
	size_t cap = 0;

	read_log(db, &log);
	if (log.n)
		qsort(log.items, log.n, sizeof(*log.items), newest_first);
	for (size_t i = 0; i < log.n; i++) {
		if (log.items[i].sequence > kept)
			add_entry(out, &cap, log.items[i]);
		else
			lake_reflog_entry_clear(&log.items[i]);
	}
	free(log.items);
}
