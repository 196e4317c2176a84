/* One lake under everything at once: writers that race for the same branches,
 * publishes and rollbacks that move three refs as one, people's branches and
 * tags, staged changes, readers, gc without patience and with history that
 * expires at once, fsck. Every operation is recorded, and afterwards judged:
 *
 * - what was read at a commit is what its writer put there;
 * - no commit that was acknowledged is gone, nor anything of its tree;
 * - the moves of each ref form one chain in which each names its predecessor,
 *   in an order that the times of the calls allow, and no read saw a ref where
 *   that order says it cannot have been;
 * - refs that were to move together did.
 *
 * usage: test_stress [OPERATIONS_OF_A_WRITER [SEED]] */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/killpoint.h"
#include "core/lake.h"
#include "tests/lib/lake_steps.h"
#include "tests/lib/must.h"
#include "tests/lib/tempdir.h"

/* A line is a folder d<i>/, a branch l<i> that is written to, and a branch p<i>
 * that says what of it was shown last; main shows all lines. */
enum { LINES = 2, PATHS = 6, CONTENTS = 40, LARGE = 17000, WRITERS = 4, OWN = 16 };
enum { MAIN, WRITTEN, SHOWN = WRITTEN + LINES, DEV = SHOWN + LINES, REFS };
enum { COMMITS_MAX = 1 << 17 };

static const char *const ref_names[REFS] = {"main", "l0", "l1", "p0", "p1", "dev"};
static const char *const folders[LINES] = {"d0/", "d1/"};

/* Writers do so many operations each, and wait for upkeep where they are so many
 * rounds of it ahead. */
enum { IN_A_ROUND = 12, AHEAD = 2 };
static unsigned operations = 300;
static uint64_t first_seed = 1;

/* ---- contents: few, so that what one writes another's gc is about to free ---- */

static struct {
	char *data;
	size_t len;
	char digest[LAKE_DIGEST_BYTES];
} contents[CONTENTS + 1]; /* from 1 */

static int make_contents(void **state)
{
	(void)state;
	for (size_t i = 1; i <= CONTENTS; i++) {
		contents[i].len = i % 2 ? LARGE : 60;
		contents[i].data = noise(contents[i].len, i);
		lake_digest(contents[i].data, contents[i].len, contents[i].digest);
	}
	return 0;
}

static int free_contents(void **state)
{
	(void)state;
	for (size_t i = 1; i <= CONTENTS; i++)
		free(contents[i].data);
	return 0;
}

/* What a tree holds: d<i>/token, d<i>/0 ... */
struct tree {
	uint64_t token[LINES]; /* 0: not there */
	uint8_t files[LINES][PATHS]; /* numbers of contents; 0: not there */
};

/* ---- the record ---- */

struct made {
	struct lake_id id;
	struct tree tree;
};

struct move {
	unsigned ref;
	struct lake_id from, to;
	uint64_t begin, end;
};

struct seen {
	unsigned ref;
	struct lake_id id;
	uint64_t begin, end;
};

struct world {
	struct lake *owner;
	struct lake *socket; /* NULL: all go straight to it */
	atomic_int writing; /* writers and stager that have not ended */
	atomic_uint_fast64_t now; /* counts the beginnings and ends of calls */
	atomic_uint_fast64_t tokens;
	atomic_uint refused, expired, freed, kept; /* kept: rounds of upkeep */
	pthread_mutex_t lock;
	struct made *made; /* guarded by lock: COMMITS_MAX places, by their ids */
	size_t n_made; /* guarded by lock */
};

struct actor {
	struct world *w;
	struct lake *lake;
	unsigned number;
	struct rng rng;
	struct move *moves; /* that were acknowledged */
	size_t n_moves, cap_moves;
	struct seen *seen;
	size_t n_seen, cap_seen;
	struct lake_id own[LINES][OWN]; /* the last of its commits */
	unsigned n_own[LINES];
};

static _Noreturn void fault(const char *fmt, ...) PRINTF_LIKE(1, 2);
static _Noreturn void fault(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	abort(); /* cmocka's checks belong to the main thread */
}

/* Losing a race is no fault, and neither is to be refused cleanly. */
static bool went(enum status st, const struct err *err, const char *what)
{
	if (st == ST_OK)
		return true;
	if (st != ST_CONFLICT && st != ST_NOT_FOUND && st != ST_EMPTY && st != ST_EXPIRED)
		fault("%s: %s: %s", what, status_name(st), err->text);
	return false;
}

static struct made *place_of(struct world *w, const struct lake_id *id)
{
	size_t at;

	memcpy(&at, id->bytes, sizeof(at));
	while (!lake_id_is_none(&w->made[at % COMMITS_MAX].id) &&
	       !lake_id_equal(&w->made[at % COMMITS_MAX].id, id))
		at++;
	return &w->made[at % COMMITS_MAX];
}

static void record_made(struct world *w, const struct lake_id *id, const struct tree *tree)
{
	struct made *m;

	pthread_mutex_lock(&w->lock);
	if (++w->n_made == COMMITS_MAX)
		fault("more commits than there is room for");
	m = place_of(w, id);
	*m = (struct made){.id = *id, .tree = *tree};
	pthread_mutex_unlock(&w->lock);
}

static bool tree_of(struct world *w, const struct lake_id *id, struct tree *out)
{
	const struct made *m;
	bool known;

	pthread_mutex_lock(&w->lock);
	m = place_of(w, id);
	known = !lake_id_is_none(&m->id);
	if (known)
		*out = m->tree;
	pthread_mutex_unlock(&w->lock);
	return known;
}

static uint64_t tick(struct world *w)
{
	return atomic_fetch_add(&w->now, 1);
}

/* Where the ref is; its tree must be known. */
static bool look(struct actor *a, unsigned ref, struct lake_id *id, struct tree *tree)
{
	struct seen s = {.ref = ref, .begin = tick(a->w)};
	struct err err = ERR_INIT;
	enum status st = lake_ref_get(a->lake, LAKE_BRANCH, ref_names[ref], id, &err);

	s.end = tick(a->w);
	if (st != ST_OK)
		fault("%s: %s", ref_names[ref], err.text);
	s.id = *id;
	GROW(a->seen, a->n_seen, a->cap_seen);
	a->seen[a->n_seen++] = s;
	if (tree_of(a->w, id, tree))
		return true;
	if (ref != DEV) /* whose commits are made and shown in one call */
		fault("%s is at a commit that nobody has made", ref_names[ref]);
	return false;
}

/* Moves refs (by `which`) together. */
static bool move_refs(struct actor *a, const unsigned *which, struct lake_move *moves, size_t n)
{
	struct err err = ERR_INIT;
	uint64_t begin = tick(a->w);
	enum status st;

	for (size_t i = 0; i < n; i++) {
		moves[i].kind = LAKE_BRANCH;
		moves[i].name = ref_names[which[i]];
	}
	st = lake_refs_move(a->lake, moves, n, "stress", &err);
	if (!went(st, &err, "move")) {
		atomic_fetch_add(&a->w->refused, 1);
		return false;
	}
	for (size_t i = 0; i < n; i++) {
		GROW(a->moves, a->n_moves, a->cap_moves);
		a->moves[a->n_moves++] =
			(struct move){which[i], moves[i].expected, moves[i].to, begin, 0};
	}
	begin = tick(a->w);
	for (size_t i = 0; i < n; i++)
		a->moves[a->n_moves - 1 - i].end = begin;
	return true;
}

/* ---- writers ---- */

static enum status put(struct lake_txn *txn, const char *path, unsigned content, struct err *err)
{
	return content ? lake_txn_put_bytes(txn, path, contents[content].data,
					    contents[content].len, NULL, NULL, err)
		       : lake_txn_remove(txn, path, err);
}

static enum status put_token(struct actor *a, struct lake_txn *txn, unsigned line,
			     struct tree *tree, struct err *err)
{
	char path[16], text[32];

	tree->token[line] = atomic_fetch_add(&a->w->tokens, 1);
	snprintf(path, sizeof(path), "%stoken", folders[line]);
	snprintf(text, sizeof(text), "%" PRIu64, tree->token[line]);
	return lake_txn_put_bytes(txn, path, text, strlen(text), NULL, NULL, err);
}

/* Changes some files of the line. */
static enum status change(struct actor *a, struct lake_txn *txn, unsigned line, struct tree *tree,
			  struct err *err)
{
	enum status st = put_token(a, txn, line, tree, err);
	uint64_t first = rng_below(&a->rng, PATHS), n = 1 + rng_below(&a->rng, 2);

	for (uint64_t i = first; st == ST_OK && i < first + n; i++) {
		uint8_t *file = &tree->files[line][i % PATHS];
		char path[16];

		*file = (uint8_t)rng_below(&a->rng, CONTENTS + 1);
		snprintf(path, sizeof(path), "%s%u", folders[line], (unsigned)(i % PATHS));
		st = put(txn, path, *file, err);
	}
	return st;
}

static void remember(struct actor *a, unsigned line, const struct lake_id *id)
{
	a->own[line][a->n_own[line]++ % OWN] = *id;
}

/* A commit on the line; what loses is made again on what is there now. */
static bool commit(struct actor *a, unsigned line)
{
	AUTO(lake_txn_freep) struct lake_txn *txn = NULL;
	const unsigned which = WRITTEN + line;
	struct lake_move m = {.kind = LAKE_BRANCH};
	struct err err = ERR_INIT;
	struct tree tree;
	enum status st;

	look(a, which, &m.expected, &tree);
	st = lake_txn_begin(a->lake, &m.expected, &txn, &err);
	for (int tries = 0; tries < 20; tries++) {
		if (st == ST_OK)
			st = change(a, txn, line, &tree, &err);
		if (st == ST_OK)
			st = lake_txn_prepare(txn, &m.to, &err);
		if (went(st, &err, "prepare")) {
			record_made(a->w, &m.to, &tree);
			if (move_refs(a, &which, &m, 1)) {
				remember(a, line, &m.to);
				return true;
			}
		}
		/* It still has the files that it set before. */
		lake_txn_free(MOVE(txn));
		look(a, which, &m.expected, &tree);
		st = lake_txn_begin(a->lake, &m.expected, &txn, &err);
	}
	return false;
}

/* Shows the line's head on main: that branch and p<i> move as one. */
static bool publish(struct actor *a, unsigned line)
{
	const unsigned which[] = {MAIN, SHOWN + line};
	struct lake_move moves[2] = {{.kind = LAKE_BRANCH}};
	struct lake_merge merge = {.message = "publish"};
	struct tree on_main, on_line, shown;
	struct err err = ERR_INIT;

	look(a, WRITTEN + line, &merge.source, &on_line);
	look(a, SHOWN + line, &moves[1].expected, &shown);
	look(a, MAIN, &merge.dest, &on_main);
	if (!went(lake_merge_prepare(a->lake, &merge, &moves[0].to, NULL, &err), &err, "merge"))
		return false;
	on_main.token[line] = on_line.token[line];
	memcpy(on_main.files[line], on_line.files[line], sizeof(on_main.files[line]));
	record_made(a->w, &moves[0].to, &on_main);
	moves[0].expected = merge.dest;
	moves[1].to = merge.source;
	return move_refs(a, which, moves, 2);
}

/* R: what `to` had, on top of the line's head. */
static enum status make_back(struct actor *a, unsigned line, const struct lake_id *to,
			     const struct lake_id *head, struct lake_id *out, struct tree *tree,
			     struct err *err)
{
	AUTO(lake_txn_freep) struct lake_txn *txn = NULL;
	const struct lake_id parents[2] = {*to, *head};
	enum status st = lake_txn_begin(a->lake, to, &txn, err);

	if (st != ST_OK)
		return st;
	lake_txn_parents(txn, parents, lake_id_equal(to, head) ? 1 : 2);
	st = put_token(a, txn, line, tree, err);
	if (st == ST_OK)
		st = lake_txn_prepare(txn, out, err);
	if (st == ST_OK)
		record_made(a->w, out, tree);
	return st;
}

static enum status make_main_back(struct actor *a, unsigned line, const struct lake_id *r,
				  const struct tree *back, const struct lake_id *dest,
				  struct lake_id *out, struct tree *tree, struct err *err)
{
	AUTO(lake_txn_freep) struct lake_txn *txn = NULL;
	const struct lake_id parents[2] = {*dest, *r};
	enum status st = lake_txn_begin(a->lake, dest, &txn, err);

	if (st != ST_OK)
		return st;
	lake_txn_parents(txn, parents, 2);
	st = lake_txn_graft(txn, r, folders[line], err);
	if (st == ST_OK)
		st = lake_txn_prepare(txn, out, err);
	tree->token[line] = back->token[line];
	memcpy(tree->files[line], back->files[line], sizeof(tree->files[line]));
	if (st == ST_OK)
		record_made(a->w, out, tree);
	return st;
}

/* There is one. */
static struct lake_id any_own(struct actor *a, unsigned line)
{
	size_t n = a->n_own[line] < OWN ? a->n_own[line] : OWN;

	return a->own[line][rng_below(&a->rng, n)];
}

/* Back to an older commit of the line: three refs move as one. Its data may have
 * expired; what has been looked at while a diff is held open may not. */
static bool roll_back(struct actor *a, unsigned line)
{
	AUTO(lake_diff_closep) struct lake_diff *lease = NULL;
	const unsigned which[] = {WRITTEN + line, SHOWN + line, MAIN};
	struct lake_move moves[3] = {{.kind = LAKE_BRANCH}};
	struct tree head, shown, back, on_main;
	struct err err = ERR_INIT;
	struct lake_id to;
	enum status st;

	if (a->n_own[line] == 0)
		return false;
	to = any_own(a, line);
	for (size_t i = 0; i < 3; i++)
		look(a, which[i], &moves[i].expected, i == 0 ? &head : i == 1 ? &shown : &on_main);
	tree_of(a->w, &to, &back);
	st = lake_diff_open(a->lake, &to, &to, "", &lease, &err);
	if (st == ST_OK)
		st = lake_check_expired(a->lake, &moves[0].expected, &to, &err);
	if (st == ST_EXPIRED)
		atomic_fetch_add(&a->w->expired, 1);
	if (st == ST_OK)
		st = make_back(a, line, &to, &moves[0].expected, &moves[0].to, &back, &err);
	moves[1].to = moves[0].to;
	if (st == ST_OK)
		st = make_main_back(a, line, &moves[0].to, &back, &moves[2].expected, &moves[2].to,
				    &on_main, &err);
	return went(st, &err, "rollback") && move_refs(a, which, moves, 3);
}

/* ---- what is read ---- */

/* The content that a path has; NULL: none. */
static const char *content_of(const struct tree *tree, const char *path, char token[32],
			      size_t *len)
{
	unsigned line = (unsigned)(path[1] - '0'), file = (unsigned)(path[3] - '0');

	*len = 0;
	if (strcmp(path + 3, "token") == 0) {
		snprintf(token, 32, "%" PRIu64, tree->token[line]);
		*len = strlen(token);
		return tree->token[line] ? token : NULL;
	}
	if (file >= PATHS || !tree->files[line][file])
		return NULL;
	*len = contents[tree->files[line][file]].len;
	return contents[tree->files[line][file]].data;
}

static size_t count_paths(const struct tree *tree)
{
	size_t n = 0;

	for (size_t i = 0; i < LINES; i++) {
		n += tree->token[i] > 0;
		for (size_t j = 0; j < PATHS; j++)
			n += tree->files[i][j] > 0;
	}
	return n;
}

static enum status read_one(struct actor *a, const struct lake_id *id, const char *path,
			    const struct tree *tree, struct err *err)
{
	AUTO(buf_release) struct buf data = BUF_INIT;
	char token[32];
	size_t len;
	const char *wanted = content_of(tree, path, token, &len);
	enum status st = lake_read(a->lake, id, path, 1 << 20, &data, err);

	if (!wanted)
		fault("%s is there, and was never put", path);
	if (st == ST_OK && (data.len != len || memcmp(data.data, wanted, len) != 0))
		fault("%s does not hold what was put there", path);
	return st;
}

/* All of a commit, to its end. What is read must be right; whether all may be
 * read is for the caller. */
static enum status read_all(struct actor *a, const struct lake_id *id, const struct tree *tree,
			    struct err *err)
{
	AUTO(lake_list_closep) struct lake_list *list = NULL;
	enum status st = lake_list_open(a->lake, id, "", &list, err);
	size_t n = 0;

	while (st == ST_OK) {
		struct lake_entry entry;

		st = lake_list_next(list, &entry, err);
		if (st != ST_OK)
			break;
		st = read_one(a, id, entry.path, tree, err);
		lake_entry_release(&entry);
		n++;
	}
	if (st == ST_END && n != count_paths(tree))
		fault("a list shows %zu of %zu paths", n, count_paths(tree));
	if (st != ST_END)
		(void)went(st, err, "reading");
	return st == ST_END ? ST_OK : st;
}

static void *reader(void *arg)
{
	struct actor *a = arg;

	while (atomic_load(&a->w->writing) > 0) {
		unsigned ref = (unsigned)rng_below(&a->rng, REFS);
		struct err err = ERR_INIT;
		struct lake_id id, now;
		struct tree tree, ignored;

		if (!look(a, ref, &id, &tree) || read_all(a, &id, &tree, &err) == ST_OK)
			continue;
		/* Only what has been left may go. */
		look(a, ref, &now, &ignored);
		if (lake_id_equal(&now, &id))
			fault("%s shows what cannot be read: %s", ref_names[ref], err.text);
		atomic_fetch_add(&a->w->expired, 1);
	}
	return NULL;
}

/* A tag on an older commit keeps all that is still there once it is set. */
static bool tag(struct actor *a, unsigned line)
{
	struct lake_move m = {.kind = LAKE_TAG}, gone = {.kind = LAKE_TAG};
	struct err err = ERR_INIT;
	struct tree tree;
	char name[16];
	uint64_t until;
	bool whole;

	if (a->n_own[line] == 0)
		return false;
	snprintf(name, sizeof(name), "t%u", a->number);
	m.name = gone.name = name;
	m.to = gone.expected = any_own(a, line);
	tree_of(a->w, &m.to, &tree);
	if (!went(lake_refs_move(a->lake, &m, 1, "tag", &err), &err, "tag"))
		return false;
	whole = read_all(a, &m.to, &tree, &err) == ST_OK;
	for (until = tick(a->w) + 50; atomic_load(&a->w->now) < until; tick(a->w))
		if (whole && read_all(a, &m.to, &tree, &err) != ST_OK)
			fault("what is tagged is gone: %s", err.text);
	return went(lake_refs_move(a->lake, &gone, 1, "tag", &err), &err, "tag");
}

/* A branch that comes and goes, with a commit that is garbage then. */
static bool visit(struct actor *a, unsigned line)
{
	struct lake_move m = {.kind = LAKE_BRANCH};
	struct err err = ERR_INIT;
	struct lake_id id = {{0}};
	struct tree tree;
	char name[16];
	enum status st;

	snprintf(name, sizeof(name), "v%u", a->number);
	m.name = name;
	look(a, WRITTEN + line, &m.to, &tree);
	if (!went(lake_refs_move(a->lake, &m, 1, "visit", &err), &err, "visit"))
		return false;
	{
		AUTO(lake_txn_freep) struct lake_txn *txn = NULL;

		st = lake_txn_begin(a->lake, &m.to, &txn, &err);
		if (st == ST_OK)
			st = change(a, txn, line, &tree, &err);
		if (st == ST_OK)
			st = lake_txn_commit(txn, name, &m.to, "visit", &id, &err);
	}
	if (st != ST_OK)
		fault("a branch of one's own: %s", err.text);
	if (read_all(a, &id, &tree, &err) != ST_OK)
		fault("a branch of one's own shows what is gone: %s", err.text);
	m = (struct lake_move){.kind = LAKE_BRANCH, .name = name, .expected = id};
	return went(lake_refs_move(a->lake, &m, 1, "visit", &err), &err, "visit");
}

static void keep_pace(struct world *w, unsigned done)
{
	while (done / IN_A_ROUND > atomic_load(&w->kept) + AHEAD)
		sched_yield();
}

static void *writer(void *arg)
{
	struct actor *a = arg;

	for (unsigned done = 0; done < operations;) {
		unsigned line = (unsigned)rng_below(&a->rng, LINES);

		keep_pace(a->w, done);
		switch (rng_below(&a->rng, 10)) {
		case 0:
		case 1:
			done += publish(a, line);
			break;
		case 2:
			done += roll_back(a, line);
			break;
		case 3:
			done += tag(a, line);
			break;
		case 4:
			done += visit(a, line);
			break;
		default:
			done += commit(a, line);
		}
	}
	atomic_fetch_sub(&a->w->writing, 1);
	return NULL;
}

/* Staged changes, on a branch that nobody else writes. */
static void *stager(void *arg)
{
	struct actor *a = arg;
	struct tree tree = {.token = {0}};

	for (unsigned done = 0; done < operations; done++) {
		unsigned file = (unsigned)rng_below(&a->rng, PATHS);
		uint8_t content = (uint8_t)(1 + rng_below(&a->rng, CONTENTS));
		struct lake_upload *up = NULL;
		struct err err = ERR_INIT;
		struct lake_id before, id;
		struct tree ignored;
		struct move m = {.ref = DEV};
		char path[16];
		enum status st = lake_upload_open(a->lake, &up, &err);

		keep_pace(a->w, done);
		snprintf(path, sizeof(path), "d0/%u", file);
		if (st == ST_OK)
			st = lake_upload_write(up, contents[content].data, contents[content].len,
					       &err);
		if (st == ST_OK)
			st = lake_upload_finish(up, &err);
		if (st == ST_OK)
			st = lake_stage_put(a->lake, "dev", path, up, NULL, NULL, &err);
		if (st != ST_OK)
			fault("stage: %s: %s", status_name(st), err.text);
		tree.files[0][file] = content;
		if (rng_below(&a->rng, 3))
			continue;
		look(a, DEV, &before, &ignored);
		m.from = before;
		m.begin = tick(a->w);
		st = lake_stage_commit(a->lake, "dev", "m", NULL, &id, &err);
		m.end = tick(a->w);
		if (!went(st, &err, "commit of staged changes"))
			continue;
		m.to = id;
		record_made(a->w, &id, &tree);
		GROW(a->moves, a->n_moves, a->cap_moves);
		a->moves[a->n_moves++] = m;
	}
	atomic_fetch_sub(&a->w->writing, 1);
	return NULL;
}

/* ---- upkeep ---- */

static void check_lake(struct lake *lake, bool quick)
{
	const struct lake_fsck_options options = {.quick = quick};
	struct lake_fsck_report report = {.n = 0};
	struct err err = ERR_INIT;
	enum status st = lake_fsck(lake, &options, &report, &err);

	if (st != ST_OK)
		fault("fsck: %s: %s", status_name(st), err.text);
	for (size_t i = 0; i < report.n; i++)
		if (report.items[i].damage)
			fault("fsck: %s %s: %s", report.items[i].kind, report.items[i].name,
			      report.items[i].text);
	lake_fsck_report_release(&report);
}

static void collect(struct lake *lake, const struct lake_gc_options *options, atomic_uint *freed)
{
	struct lake_gc_report report;
	struct err err = ERR_INIT;
	enum status st = lake_gc(lake, options, &report, &err);

	if (st != ST_OK)
		fault("gc: %s: %s", status_name(st), err.text);
	if (!options->dry_run)
		atomic_fetch_add(freed, report.commits.freed + report.files.freed);
}

/* At each of its steps gc waits until the others have got on a little, so that they
 * meet it everywhere. */
static void let_others_on(const char *name, void *ctx)
{
	static const char *const points[] = {"gc.mark.begin",    "gc.mark.roots",  "gc.mark.end",
					     "gc.sweep.commits", "gc.sweep.nodes", "gc.sweep.small",
					     "gc.sweep.expired", "gc.sweep.rename"};
	struct world *w = ctx;
	uint64_t until = atomic_load(&w->now) + 20;

	for (size_t i = 0; i < ARRAY_SIZE(points); i++)
		while (strcmp(name, points[i]) == 0 && atomic_load(&w->now) < until &&
		       atomic_load(&w->writing) > 0)
			sched_yield();
}

/* gc and fsck in turn, since they exclude each other. */
static void *keeper(void *arg)
{
	static const struct lake_gc_options kinds[] = {
		{.history_retain_ms = 1, .trust_clock = true},
		{.history_retain_ms = 0},
		{.history_retain_ms = 1, .trust_clock = true},
		{.history_retain_ms = 1, .reflog_retain_ms = 1000, .grace_ms = 1000},
		{.dry_run = true},
	};
	struct actor *a = arg;

	for (unsigned i = 0; atomic_load(&a->w->writing) > 0; i++) {
		collect(a->lake, &kinds[i % ARRAY_SIZE(kinds)], &a->w->freed);
		if (i % 3 == 0)
			check_lake(a->lake, i % 2);
		atomic_fetch_add(&a->w->kept, 1);
	}
	return NULL;
}

/* ---- judging ---- */

/* The moves of one ref in the order in which they follow from one another. */
struct chain {
	struct move *items;
	size_t n;
};

static int by_from(const void *x, const void *y)
{
	return memcmp(&((const struct move *)x)->from, &((const struct move *)y)->from,
		      sizeof(struct lake_id));
}

static struct chain chain_of(const struct actor *actors, size_t n, unsigned ref,
			     const struct lake_id *start, const struct lake_id *end)
{
	struct chain sorted = {.n = 0}, chain = {.n = 0};
	size_t cap = 0;
	struct move at = {.from = *start};

	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < actors[i].n_moves; j++) {
			if (actors[i].moves[j].ref != ref)
				continue;
			GROW(sorted.items, sorted.n, cap);
			sorted.items[sorted.n++] = actors[i].moves[j];
		}
	if (sorted.n)
		qsort(sorted.items, sorted.n, sizeof(at), by_from);
	chain.items = xcalloc(sorted.n + 1, sizeof(at));
	while (!lake_id_equal(&at.from, end)) {
		const struct move *m =
			sorted.n ? bsearch(&at, sorted.items, sorted.n, sizeof(at), by_from) : NULL;

		if (!m || chain.n == sorted.n)
			fail_msg("the moves of %s do not lead to where it is", ref_names[ref]);
		chain.items[chain.n++] = *m;
		at.from = m->to;
	}
	/* None was lost, and none won from where another had won. */
	if (chain.n != sorted.n)
		fail_msg("%s: %zu of %zu acknowledged moves are in its chain", ref_names[ref],
			 chain.n, sorted.n);
	free(sorted.items);
	return chain;
}

/* A move that comes later in the chain may not have ended before one that comes
 * earlier had begun. */
static void judge_order(const struct chain *chain, unsigned ref)
{
	uint64_t begun = 0;

	for (size_t i = 0; i < chain->n; i++) {
		if (chain->items[i].begin > begun)
			begun = chain->items[i].begin;
		if (chain->items[i].end < begun)
			fail_msg("%s: move %zu ended before one that it follows began",
				 ref_names[ref], i);
	}
}

struct step {
	struct lake_id id;
	size_t at; /* the moves that had been made */
};

static int by_id(const void *x, const void *y)
{
	return memcmp(x, y, sizeof(struct lake_id));
}

/* A read sees the ref between the move to what it saw and the next one. */
static void judge_reads(const struct chain *chain, unsigned ref, const struct lake_id *start,
			const struct actor *actors, size_t n)
{
	struct step *steps = xcalloc(chain->n + 1, sizeof(*steps));

	steps[0].id = *start;
	for (size_t i = 0; i < chain->n; i++)
		steps[i + 1] = (struct step){chain->items[i].to, i + 1};
	qsort(steps, chain->n + 1, sizeof(*steps), by_id);
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < actors[i].n_seen; j++) {
			const struct seen *s = &actors[i].seen[j];
			const struct step *step;

			if (s->ref != ref)
				continue;
			step = bsearch(&s->id, steps, chain->n + 1, sizeof(*steps), by_id);
			if (!step)
				fail_msg("%s was seen where it never was", ref_names[ref]);
			if (step->at > 0 && s->end < chain->items[step->at - 1].begin)
				fail_msg("%s was seen before it was moved there", ref_names[ref]);
			if (step->at < chain->n && s->begin > chain->items[step->at].end)
				fail_msg("%s was seen where it no longer was", ref_names[ref]);
		}
	free(steps);
}

/* The tree of a commit that was acknowledged, though its data may have expired. */
static void judge_tree(struct world *w, const struct lake_id *id)
{
	AUTO(lake_list_closep) struct lake_list *list = NULL;
	struct lake_entry entry;
	struct tree tree;
	size_t n = 0;

	assert_true(tree_of(w, id, &tree));
	MUST(lake_list_open(w->owner, id, "", &list, &err));
	while (lake_list_next(list, &entry, NULL) == ST_OK) {
		char token[32], digest[LAKE_DIGEST_BYTES];
		size_t len;
		const char *wanted = content_of(&tree, entry.path, token, &len);

		assert_non_null(wanted);
		lake_digest(wanted, len, digest);
		assert_string_equal(digest, entry.checksum);
		assert_int_equal(len, entry.size);
		lake_entry_release(&entry);
		n++;
	}
	assert_int_equal(n, count_paths(&tree));
}

static size_t judge(struct world *w, const struct lake_id *start, struct actor *actors, size_t n)
{
	struct actor self = {.w = w, .lake = w->owner};
	size_t moves = 0;

	for (unsigned ref = 0; ref < REFS; ref++) {
		struct err err = ERR_INIT;
		struct chain chain;
		struct lake_id head;
		struct tree tree;

		assert_true(look(&self, ref, &head, &tree));
		chain = chain_of(actors, n, ref, start, &head);
		judge_order(&chain, ref);
		judge_reads(&chain, ref, start, actors, n);
		for (size_t i = 0; i < chain.n; i++)
			judge_tree(w, &chain.items[i].to);
		if (read_all(&self, &head, &tree, &err) != ST_OK)
			fail_msg("%s cannot be read: %s", ref_names[ref], err.text);
		moves += chain.n;
		free(chain.items);
	}
	free(self.seen);
	return moves;
}

/* ---- one world ---- */

static void begin(struct world *w, const char *dir, bool by_socket, struct lake_id *start)
{
	static const struct lake_options any = {.access = LAKE_ANY, .committer = "stress"};
	static const struct tree empty = {.token = {0}};

	*w = (struct world){.owner = open_lake(dir)};
	atomic_init(&w->writing, WRITERS + 1);
	atomic_init(&w->now, 1);
	atomic_init(&w->tokens, 1);
	pthread_mutex_init(&w->lock, NULL);
	w->made = xcalloc(COMMITS_MAX, sizeof(*w->made));
	*start = head_of(w->owner, "main");
	record_made(w, start, &empty);
	for (unsigned i = 1; i < REFS; i++)
		make_branch(w->owner, ref_names[i]);
	if (!by_socket)
		return;
	MUST(lake_serve(w->owner, NULL, NULL, &err));
	MUST(lake_open(dir, &any, &w->socket, &err));
	assert_false(lake_is_owner(w->socket));
}

static void end(struct world *w, struct actor *actors, size_t n)
{
	lake_close(w->socket);
	lake_close(w->owner);
	pthread_mutex_destroy(&w->lock);
	free(w->made);
	for (size_t i = 0; i < n; i++) {
		free(actors[i].moves);
		free(actors[i].seen);
	}
}

static void run(bool by_socket)
{
	static void *(*const roles[])(void *) = {writer, writer, writer, writer,
						 reader, reader, stager, keeper};
	enum { ACTORS = ARRAY_SIZE(roles) };
	static const struct lake_gc_options strict = {.reflog_retain_ms = 0};
	AUTO(tempdir_remove) char *dir = tempdir_new();
	struct actor *actors = xcalloc(ACTORS, sizeof(*actors));
	struct lake_gc_report report;
	pthread_t threads[ACTORS];
	struct lake_id start;
	struct world w;
	size_t moves;

	begin(&w, dir, by_socket, &start);
	kill_point_set_hook(let_others_on, &w);
	for (unsigned i = 0; i < ACTORS; i++) {
		actors[i] = (struct actor){.w = &w,
					   .lake = w.socket && i % 2 ? w.socket : w.owner,
					   .number = i,
					   .rng = rng_seeded(first_seed * 100 + i)};
		assert_int_equal(pthread_create(&threads[i], NULL, roles[i], &actors[i]), 0);
	}
	for (unsigned i = 0; i < ACTORS; i++)
		pthread_join(threads[i], NULL);
	kill_point_set_hook(NULL, NULL);
	moves = judge(&w, &start, actors, ACTORS);
	check_lake(w.owner, false);
	MUST(lake_gc(w.owner, &strict, &report, &err));
	assert_int_equal(judge(&w, &start, actors, ACTORS), moves);
	printf("%zu moves, %u refused, %u expired, %u freed in %u rounds\n", moves,
	       atomic_load(&w.refused), atomic_load(&w.expired), atomic_load(&w.freed),
	       atomic_load(&w.kept));
	assert_true(atomic_load(&w.freed) > 20);
	end(&w, actors, ACTORS);
	free(actors);
}

static void holds_together(void **state)
{
	(void)state;
	run(false);
}

static void holds_together_through_the_socket(void **state)
{
	(void)state;
	run(true);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(holds_together),
		cmocka_unit_test(holds_together_through_the_socket),
	};

	/* nothing here dies: the disk would only be slow */
	if (access("/dev/shm", W_OK) == 0)
		setenv("TIDEMARK_TEST_DIR", "/dev/shm", 0);
	if (argc > 1)
		operations = (unsigned)strtoul(argv[1], NULL, 10);
	if (argc > 2)
		first_seed = strtoull(argv[2], NULL, 10);
	return cmocka_run_group_tests(tests, make_contents, free_contents);
}
