/* Commits: the graph, and the trees of all that are reached. Then what depends
 * on each damaged object. */
#include <stdlib.h>
#include <string.h>

#include "core/embedded/fsck.h"

/* Going through the trees of all commits for one damaged thing costs reads. */
#define BLAME_STEPS 1000000

/* ---- reaching ---- */

struct stack {
	struct commit_seen **items;
	size_t n, cap;
};

static void push(struct fsck *f, struct stack *s, const struct lake_id *id, unsigned round)
{
	struct commit_seen *c = id_table_add(&f->commits, id->bytes);

	if (c->round == round)
		return;
	c->round = round;
	GROW(s->items, s->n, s->cap);
	s->items[s->n++] = c;
}

/* Calls visit for the commit and all its ancestors, each once a round. */
static void ancestors(struct fsck *f, const struct lake_id *from, unsigned round,
		      void (*visit)(struct fsck *f, struct commit_seen *c, void *ctx), void *ctx)
{
	struct stack s = {.n = 0};

	push(f, &s, from, round);
	while (s.n) {
		struct commit_seen *c = s.items[--s.n];

		visit(f, c, ctx);
		for (size_t i = 0; i < c->n_parents; i++)
			push(f, &s, &c->parents[i], round);
	}
	free(s.items);
}

static void reach(struct fsck *f, struct commit_seen *c, void *ctx)
{
	(void)ctx;
	c->reached = true;
	if (!c->there && !c->why)
		c->why = xstrdup(f->torn ? "is missing, or could not be read" : "is missing");
}

/* What a reflog names may have been collected since; a commit that is there
 * still is whole. */
static void reach_if_there(struct fsck *f, const struct lake_id *id)
{
	const struct commit_seen *c = id_table_find(&f->commits, id->bytes);

	if (!lake_id_is_none(id) && c && c->there)
		ancestors(f, id, 1, reach, NULL);
}

static void check_commit(struct fsck *f, struct commit_seen *seen)
{
	struct commit_store store = embedded_commits(f->e);
	AUTO(commit_release) struct commit c = {.depth = 0};
	struct err err = ERR_INIT;
	enum status st;

	if (!seen->why) {
		st = store.get(store.ctx, &seen->id, &c, &err);
		if (st == ST_OK)
			st = commit_check(&store, &c, &err);
		if (st != ST_OK)
			seen->why = xstrdup(err.text);
	}
	if (seen->why) {
		struct hash id;

		memcpy(id.bytes, seen->id.bytes, sizeof(id.bytes));
		fsck_bad(f, "commit", &id, seen->why);
	}
}

void fsck_commits(struct fsck *f)
{
	for (size_t i = 0; i < f->n_refs; i++)
		ancestors(f, &f->refs[i].id, 1, reach, NULL);
	for (size_t i = 0; i < f->n_log; i++) {
		reach_if_there(f, &f->log[i].from);
		reach_if_there(f, &f->log[i].to);
	}
	for (size_t i = 0; i < f->commits.n; i++) {
		struct commit_seen *c = id_table_at(&f->commits, i);

		if (c->reached)
			check_commit(f, c);
		else if (c->there)
			f->report->garbage_commits++;
	}
}

/* ---- trees ---- */

/* Is what the entry names there, and whole as far as is known? */
static bool blob_is_sound(const struct entry *e, struct blob_seen *blob)
{
	bool is_file = e->size >= BLOB_FILE_BYTES;

	if (!blob->why && !blob->expired && !(is_file ? blob->file : blob->small))
		blob->why = xstrdup("is missing");
	else if (!blob->why && (is_file ? blob->file : blob->small) && blob->size != e->size)
		blob->why = xasprintf("has %llu bytes, and the tree says %llu",
				      (unsigned long long)blob->size, (unsigned long long)e->size);
	return !blob->why;
}

static bool check_entry(void *ctx, const char *path, const void *value, size_t len)
{
	struct fsck *f = ctx;
	AUTO(entry_release) struct entry e = {.size = 0};
	struct blob_seen *blob;
	struct err err = ERR_INIT;

	if (entry_decode(value, len, &e, &err) != ST_OK) {
		lake_fsck_add(f->report, true, "entry", path, NULL, "%s", err.text);
		return false;
	}
	if (lake_path_check(path, &err) != ST_OK) {
		lake_fsck_add(f->report, true, "entry", path, NULL, "%s", err.text);
		return false;
	}
	blob = id_table_add(&f->blobs, e.blob.bytes);
	blob->needed = true;
	return blob_is_sound(&e, blob);
}

static void bad_node(void *ctx, const struct hash *id, const char *why)
{
	fsck_bad(ctx, "node", id, why);
}

/* A head whose objects were freed on purpose: retention must not have touched
 * what branches and tags showed then. Who sets one on old history later sees
 * what is left of it. */
struct head_check {
	struct fsck *f;
	const struct ref_seen *ref;
	int64_t moved_ms; /* there */
};

static bool check_not_expired(void *ctx, const char *path, const void *value, size_t len)
{
	struct head_check *h = ctx;
	AUTO(entry_release) struct entry e = {.size = 0};
	struct blob_seen *blob;

	if (entry_decode(value, len, &e, NULL) != ST_OK)
		return true;
	blob = id_table_find(&h->f->blobs, e.blob.bytes);
	if (blob && blob->expired && !blob->file && !blob->small && !blob->why) {
		blob->shown_since = h->moved_ms >= blob->expired_ms;
		blob->why = xasprintf("was freed by lake.history.retain, and '%s' %sshows it at %s",
				      h->ref->name, blob->shown_since ? "" : "still ", path);
	}
	return true;
}

static void ignore_node(void *ctx, const struct hash *id, const char *why)
{
	(void)ctx;
	(void)id;
	(void)why;
}

/* When the ref was put where it is, as far as the reflog tells. */
static int64_t moved_ms(const struct fsck *f, const struct ref_seen *ref)
{
	for (size_t i = f->n_log; i > 0; i--)
		if (f->log[i - 1].kind == ref->kind && strcmp(f->log[i - 1].name, ref->name) == 0)
			return f->log[i - 1].time_ms;
	return INT64_MIN;
}

static int longest_there_first(const void *x, const void *y)
{
	const struct head_check *a = x, *b = y;

	return (a->moved_ms > b->moved_ms) - (a->moved_ms < b->moved_ms);
}

/* What several heads show counts for the one that has been there longest. */
static void check_heads(struct fsck *f)
{
	struct node_store store = embedded_nodes(f->e);
	AUTO(freep) struct head_check *heads = xcalloc(f->n_refs, sizeof(*heads));
	struct head_check h;
	const struct tree_check_visitor visitor = {
		.ctx = &h, .entry = check_not_expired, .node = ignore_node};
	AUTO(tree_check_freep) struct tree_check *trees = tree_check_new(&store, &visitor);

	for (size_t i = 0; i < f->n_refs; i++)
		heads[i] = (struct head_check){f, &f->refs[i], moved_ms(f, &f->refs[i])};
	if (f->n_refs)
		qsort(heads, f->n_refs, sizeof(*heads), longest_there_first);
	for (size_t i = 0; i < f->n_refs; i++) {
		const struct commit_seen *c = id_table_find(&f->commits, heads[i].ref->id.bytes);

		h = heads[i];
		if (c && c->there)
			tree_check_root(trees, &c->root);
	}
}

static void check_staged(struct fsck *f)
{
	for (size_t i = 0; i < f->n_staged; i++) {
		const struct staged_seen *s = &f->staged[i];

		if (s->entry.len)
			check_entry(f, s->path, s->entry.data, s->entry.len);
	}
}

static void remark_blob(struct fsck *f, const struct blob_seen *b)
{
	char hex[65];

	hash_hex(&b->id, hex);
	lake_fsck_add(f->report, false, "blob", hex,
		      b->shown_since ? "delete that branch or tag, or restore a backup"
				     : "nothing needs it; `tidemark gc` frees it",
		      "%s", b->why);
}

static void report_blobs(struct fsck *f)
{
	for (size_t i = 0; i < f->blobs.n; i++) {
		struct blob_seen *b = id_table_at(&f->blobs, i);

		if (!b->needed && (b->small || b->file))
			f->report->garbage_blobs++;
		if (b->why && b->needed && !b->shown_since)
			fsck_bad(f, "blob", &b->id, b->why);
		else if (b->why)
			remark_blob(f, b);
	}
}

void fsck_trees(struct fsck *f)
{
	struct node_store store = embedded_nodes(f->e);
	const struct tree_check_visitor visitor = {
		.ctx = f, .entry = check_entry, .node = bad_node};
	size_t reached;

	f->trees = tree_check_new(&store, &visitor);
	for (size_t i = 0; i < f->commits.n; i++) {
		struct commit_seen *c = id_table_at(&f->commits, i);

		if (c->reached && c->there)
			c->unsound = !tree_check_root(f->trees, &c->root);
	}
	check_staged(f);
	if (f->report->expired)
		check_heads(f);
	report_blobs(f);
	reached = tree_check_nodes(f->trees);
	f->report->garbage_nodes = f->report->nodes > reached ? f->report->nodes - reached : 0;
}

/* ---- what depends on it ---- */

struct blame {
	struct fsck *f;
	struct commit_seen *commit;
};

static void add_blame(struct blame *b, const struct hash *id, const char *path)
{
	struct lake_finding *finding = fsck_finding(b->f, id);
	struct lake_id commit = b->commit->id;
	char hex[LAKE_ID_SHORT_BYTES];
	size_t index;

	if (!finding)
		return;
	lake_id_short(&commit, hex);
	lake_names_add(&finding->commits, hex);
	if (path)
		lake_names_add(&finding->paths, path);
	index = (size_t)(finding - b->f->report->items) + 1;
	for (int i = 0; i < COMMIT_BLAMES && b->commit->blames[i] != index; i++) {
		if (b->commit->blames[i])
			continue;
		b->commit->blames[i] = index;
		break;
	}
}

static bool blame_entry(void *ctx, const char *path, const void *value, size_t len)
{
	struct blame *b = ctx;
	AUTO(entry_release) struct entry e = {.size = 0};

	if (entry_decode(value, len, &e, NULL) == ST_OK)
		add_blame(b, &e.blob, path);
	return true;
}

static void blame_node(void *ctx, const struct hash *id, const char *why)
{
	(void)why;
	add_blame(ctx, id, NULL);
}

static void blame_ref(struct fsck *f, struct commit_seen *c, void *ctx)
{
	const struct ref_seen *ref = ctx;
	AUTO(freep)
	char *name = xasprintf("%s%s", ref->name,
			       memcmp(&c->id, &ref->id, sizeof(ref->id)) == 0 ? "" : " (history)");
	struct hash id;
	struct lake_finding *finding;

	memcpy(id.bytes, c->id.bytes, sizeof(id.bytes));
	finding = c->why ? fsck_finding(f, &id) : NULL;
	if (finding)
		lake_names_add(&finding->refs, name);
	for (int i = 0; i < COMMIT_BLAMES && c->blames[i]; i++)
		lake_names_add(&f->report->items[c->blames[i] - 1].refs, name);
}

static void blame_staged(struct fsck *f)
{
	for (size_t i = 0; i < f->n_staged; i++) {
		const struct staged_seen *s = &f->staged[i];
		AUTO(entry_release) struct entry e = {.size = 0};
		AUTO(freep) char *name = xasprintf("%s (staged)", s->branch);
		struct lake_finding *finding = NULL;

		if (s->entry.len && entry_decode(s->entry.data, s->entry.len, &e, NULL) == ST_OK)
			finding = fsck_finding(f, &e.blob);
		if (!finding)
			continue;
		lake_names_add(&finding->refs, name);
		lake_names_add(&finding->paths, s->path);
	}
}

void fsck_blame(struct fsck *f)
{
	uint64_t steps = BLAME_STEPS;

	if (f->bad.n == 0)
		return;
	for (size_t i = 0; i < f->commits.n; i++) {
		struct blame b = {.f = f, .commit = id_table_at(&f->commits, i)};
		const struct tree_check_visitor visitor = {
			.ctx = &b, .entry = blame_entry, .node = blame_node};

		if (b.commit->unsound)
			tree_check_blame(f->trees, &b.commit->root, &visitor, &steps);
	}
	for (size_t i = 0; i < f->n_refs; i++)
		ancestors(f, &f->refs[i].id, (unsigned)i + 2, blame_ref, &f->refs[i]);
	blame_staged(f);
}
