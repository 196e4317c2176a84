#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "core/embedded/db.h"
#include "core/model/commit.h"
#include "core/model/entry.h"
#include "core/model/tree.h"
#include "tests/lib/gc_model.h"
#include "tests/lib/must.h"

/* Hashes, each with a letter: sorted when they are looked for. */
struct names {
	struct name {
		char kind;
		unsigned char hash[32];
	} * items;
	size_t n, cap;
	bool sorted;
};

static int by_bytes(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct name));
}

static void names_add(struct names *list, char kind, const void *hash)
{
	GROW(list->items, list->n, list->cap);
	list->items[list->n].kind = kind;
	memcpy(list->items[list->n++].hash, hash, 32);
	list->sorted = false;
}

static bool names_have(struct names *list, char kind, const void *hash)
{
	struct name wanted = {.kind = kind};

	memcpy(wanted.hash, hash, 32);
	if (!list->sorted && list->n)
		qsort(list->items, list->n, sizeof(*list->items), by_bytes);
	list->sorted = true;
	return list->n && bsearch(&wanted, list->items, list->n, sizeof(wanted), by_bytes);
}

struct model {
	struct db *db;
	const char *dir;
	const struct lake_gc_options *options;
	int64_t now_ms;
	struct names there; /* all that the lake holds */
	struct names kept;
	struct names expired; /* objects that history names, kept or not */
	struct lake_id *todo;
	size_t n_todo, cap_todo;
};

static struct db_iter *iterate(struct model *m, char kind)
{
	AUTO(buf_release) struct buf prefix = BUF_INIT;

	buf_addc(&prefix, kind);
	return db_iter_new(m->db, &prefix);
}

static void read_keys(struct model *m, char kind)
{
	AUTO(db_iter_freep) struct db_iter *it = iterate(m, kind);

	while (db_iter_next(it, NULL) == ST_OK)
		names_add(&m->there, kind, db_iter_key(it).p + 1);
}

static void read_files(struct model *m)
{
	for (unsigned i = 0; i < 256; i++) {
		AUTO(freep) char *folder = xasprintf("%s/blobs/%02x", m->dir, i);
		DIR *dir = opendir(folder);
		struct dirent *entry;

		while (dir && (entry = readdir(dir))) {
			struct lake_id id;

			if (entry->d_name[0] == '.')
				continue;
			assert_true(lake_id_parse(entry->d_name, &id));
			names_add(&m->there, 'f', id.bytes);
		}
		if (dir)
			closedir(dir);
	}
}

static enum status node_get(void *ctx, const struct hash *id, struct shared **out, struct err *err)
{
	AUTO(buf_release) struct buf key = BUF_INIT;

	buf_addc(&key, 'n');
	buf_add(&key, id->bytes, 32);
	return db_get_shared(ctx, &key, out, err);
}

static bool keep_node(void *ctx, const struct hash *node)
{
	names_add(&((struct model *)ctx)->kept, 'n', node->bytes);
	return true;
}

static void keep_tree(struct model *m, const struct lake_id *tree, bool shown)
{
	const struct node_store store = {.ctx = m->db, .get = node_get};
	AUTO(tree_iter_freep) struct tree_iter *it = NULL;
	struct tree_entry e;
	struct hash root;

	memcpy(root.bytes, tree->bytes, 32);
	MUST(tree_walk_nodes(&store, &root, keep_node, m, &err));
	it = tree_iter_new(&store, &root);
	while (tree_iter_next(it, &e, NULL) == ST_OK) {
		struct entry entry = {.size = 0};

		MUST(entry_decode(e.value, e.value_len, &entry, &err));
		if (shown)
			names_add(&m->kept, entry.size < 16384 ? 'b' : 'f', entry.blob.bytes);
		else
			names_add(&m->expired, entry.size < 16384 ? 'b' : 'f', entry.blob.bytes);
		entry_release(&entry);
	}
}

static bool read_commit(struct model *m, const struct lake_id *id, struct commit *out)
{
	AUTO(buf_release) struct buf key = BUF_INIT;
	AUTO(buf_release) struct buf value = BUF_INIT;

	buf_addc(&key, 'c');
	buf_add(&key, id->bytes, 32);
	if (db_get(m->db, &key, &value, NULL) != ST_OK)
		return false;
	MUST(commit_decode(id, value.data, value.len, out, &err));
	return true;
}

static void keep_commit(struct model *m, const struct lake_id *id, bool shown)
{
	struct commit c = {0};

	if (lake_id_is_none(id))
		return;
	if (!read_commit(m, id, &c)) {
		char hex[LAKE_ID_HEX_BYTES];

		lake_id_hex(id, hex);
		fail_msg("the lake lacks the commit %s", hex);
	}
	keep_tree(m, &c.public.tree, shown);
	for (size_t i = 0; i < c.public.n_parents; i++) {
		GROW(m->todo, m->n_todo, m->cap_todo);
		m->todo[m->n_todo++] = c.public.parents[i];
	}
	names_add(&m->kept, 'c', id->bytes);
	commit_release(&c);
}

static int64_t time_of(struct model *m, const struct lake_id *id)
{
	struct commit c = {0};
	int64_t time_ms;

	if (!read_commit(m, id, &c))
		fail_msg("the lake lacks a commit that is an ancestor");
	time_ms = c.public.time_ms;
	commit_release(&c);
	return time_ms;
}

/* Everything that m->todo reaches. */
static void keep_ancestors(struct model *m)
{
	const struct lake_gc_options *o = m->options;
	int64_t retain_ms = o->history_retain_ms > o->grace_ms ? o->history_retain_ms : o->grace_ms;

	while (m->n_todo) {
		struct lake_id id = m->todo[--m->n_todo];
		bool shown = !o->history_retain_ms || time_of(m, &id) >= m->now_ms - retain_ms;

		if (!names_have(&m->kept, 'c', id.bytes))
			keep_commit(m, &id, shown);
	}
}

static void keep_refs(struct model *m)
{
	AUTO(db_iter_freep) struct db_iter *it = iterate(m, 'r');

	while (db_iter_next(it, NULL) == ST_OK) {
		struct lake_id id;

		memcpy(id.bytes, db_iter_value(it).p, 32);
		keep_commit(m, &id, true);
	}
	keep_ancestors(m);
}

static void keep_reflog(struct model *m)
{
	AUTO(db_iter_freep) struct db_iter *it = iterate(m, 'l');

	while (db_iter_next(it, NULL) == ST_OK) {
		struct bytes in = db_iter_value(it);
		struct lake_id ids[2];
		struct bytes rest;
		uint64_t len, time;

		in.p++; /* kind */
		assert_true(bytes_varint(&in, &len));
		in.p += len;
		memcpy(ids, in.p, 64);
		rest = bytes_of(in.p + 64, 8);
		assert_true(bytes_be64(&rest, &time));
		if (m->options->reflog_retain_ms == 0 ||
		    (int64_t)time < m->now_ms - m->options->reflog_retain_ms)
			continue;
		for (int i = 0; i < 2; i++)
			keep_commit(m, &ids[i], true);
	}
	keep_ancestors(m);
}

static void keep_young(struct model *m)
{
	AUTO(db_iter_freep) struct db_iter *it = iterate(m, 'c');

	while (db_iter_next(it, NULL) == ST_OK) {
		struct lake_id id;

		memcpy(id.bytes, db_iter_key(it).p + 1, 32);
		if (m->options->grace_ms && time_of(m, &id) >= m->now_ms - m->options->grace_ms)
			keep_commit(m, &id, true);
	}
	keep_ancestors(m);
}

static void keep_staged(struct model *m)
{
	AUTO(db_iter_freep) struct db_iter *it = iterate(m, 's');

	while (db_iter_next(it, NULL) == ST_OK) {
		struct bytes value = db_iter_value(it);
		struct entry entry = {.size = 0};

		if (value.p[8] != '+')
			continue;
		MUST(entry_decode(value.p + 9, (size_t)(value.end - value.p) - 9, &entry, &err));
		names_add(&m->kept, entry.size < 16384 ? 'b' : 'f', entry.blob.bytes);
		entry_release(&entry);
	}
}

static void compare(struct model *m, struct gc_model_count *out)
{
	for (size_t i = 0; i < m->kept.n; i++) {
		const struct name *k = &m->kept.items[i];

		if (!names_have(&m->there, k->kind, k->hash) &&
		    !names_have(&m->there, 'x', k->hash))
			fail_msg("the lake lacks %c %02x%02x..., which is kept", k->kind,
				 k->hash[0], k->hash[1]);
	}
	for (size_t i = 0; i < m->there.n; i++) {
		const struct name *t = &m->there.items[i];

		out->commits += t->kind == 'c';
		out->nodes += t->kind == 'n';
		out->small += t->kind == 'b';
		out->files += t->kind == 'f';
		out->marks += t->kind == 'x';
		if (t->kind != 'x' && !names_have(&m->kept, t->kind, t->hash))
			fail_msg("the lake still has %c %02x%02x..., which nothing keeps", t->kind,
				 t->hash[0], t->hash[1]);
		if (t->kind == 'x' && !names_have(&m->expired, 'b', t->hash) &&
		    !names_have(&m->expired, 'f', t->hash) && !names_have(&m->kept, 'b', t->hash) &&
		    !names_have(&m->kept, 'f', t->hash))
			fail_msg("a mark is about an object that nothing names");
	}
	for (size_t i = 0; i < m->expired.n; i++) {
		const struct name *x = &m->expired.items[i];

		if (!names_have(&m->there, x->kind, x->hash) &&
		    !names_have(&m->there, 'x', x->hash))
			fail_msg("an object that history names is gone without a mark");
	}
}

void gc_model_check(const char *dir, const struct lake_gc_options *options, int64_t now_ms,
		    struct gc_model_count *out)
{
	AUTO(freep) char *meta = xasprintf("%s/meta", dir);
	struct model m = {.dir = dir, .options = options, .now_ms = now_ms};

	*out = (struct gc_model_count){0};
	MUST(db_open(meta, false, DB_WHOLE_LOG, &m.db, &err));
	for (const char *kind = "cnbx"; *kind; kind++)
		read_keys(&m, *kind);
	read_files(&m);
	keep_refs(&m);
	keep_reflog(&m);
	keep_young(&m);
	keep_staged(&m);
	compare(&m, out);
	db_close(m.db);
	free(m.there.items);
	free(m.kept.items);
	free(m.expired.items);
	free(m.todo);
}
