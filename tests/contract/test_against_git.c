/* Random histories of branches, changes, merges, reverts, cherry-picks and
 * resets, in a lake and in a git repository in which every file is binary: the
 * same trees, the same conflicting paths, the same merge bases.
 *
 * A tree is small, from a fixed set of paths, so that sides meet often. Where
 * Tidemark differs from git on purpose, its own rule is checked instead:
 *
 * - A file and a folder of one name: git moves one of them to another name; in a
 *   lake all paths that clash are conflicts. naive_merge() is our rule, path by
 *   path, and every merge with one base is compared with it too.
 * - Several best bases that disagree on a path: git goes on with their own
 *   base's state, so that a side that went back to it seems unchanged; in a lake
 *   it is a conflict. So ours may have more conflicts there, never fewer.
 * - Strategies: git leaves deletions against changes open; ours decides them.
 *
 * usage: test_against_git [FIRST_SEED [LAST_SEED]]     (1 to 300) */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/lake.h"
#include "tests/lib/git_peer.h"
#include "tests/lib/tempdir.h"
#include "tests/lib/virtual_clock.h"

#define STEPS 40
#define VALUES 6
#define BRANCHES 4
#define BASES_MAX 16

static const char *const paths[] = {"a",   "a/b", "c",     "d",  "d/e/z", "d/x",
				    "d/y", "f/g", "f/g.h", "f0", "i",     "j/k/l"};
#define N_PATHS ARRAY_SIZE(paths)

/* What a tree holds: the number of each path's content, 0 where it is absent. */
struct state {
	int has[N_PATHS];
};

struct node {
	struct lake_id id;
	struct git_id git;
	struct state state;
	size_t n_parents;
	size_t parents[2]; /* nodes */
};

struct world {
	struct lake *lake;
	struct virtual_clock clock;
	struct git_peer *git;
	struct git_id blobs[N_PATHS][VALUES + 1];
	char digests[N_PATHS][VALUES + 1][LAKE_DIGEST_BYTES];
	size_t merges, conflicts, crossed, stricter, clashes, strategies, reverts, picks;
};

struct run {
	struct world *w;
	uint64_t seed;
	struct rng rng;
	struct node nodes[2 * STEPS + 2];
	size_t n_nodes;
	size_t branches[BRANCHES]; /* nodes; SIZE_MAX: not there */
	struct buf story;
};

__attribute__((format(printf, 2, 3))) static void tell(struct run *r, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	buf_adds(&r->story, text);
}

__attribute__((format(printf, 2, 3), noreturn)) static void wrong(struct run *r, const char *format,
								  ...)
{
	va_list args;

	fprintf(stderr, "seed %llu:\n%s", (unsigned long long)r->seed, buf_str(&r->story));
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\nagain: test_against_git %llu\n", (unsigned long long)r->seed);
	exit(1);
}

static void must(struct run *r, enum status st, const struct err *err)
{
	if (st != ST_OK)
		wrong(r, "%s: %s", status_name(st), err->text);
}

static const char *shown(const struct state *s)
{
	static _Thread_local char text[4][512];
	static _Thread_local unsigned turn;
	char *out = text[turn++ % 4];
	size_t at = 0;

	out[0] = '\0';
	for (size_t i = 0; i < N_PATHS; i++)
		if (s->has[i])
			at += (size_t)snprintf(out + at, sizeof(text[0]) - at, " %s=%d", paths[i],
					       s->has[i]);
	return out;
}

static bool same(const struct state *a, const struct state *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

/* The place of a path, N_PATHS where it is none of ours. */
static size_t path_index(const char *path)
{
	size_t i = 0;

	while (i < N_PATHS && strcmp(paths[i], path) != 0)
		i++;
	return i;
}

/* Is one a file and the other below a folder of that name? */
static bool clash(size_t a, size_t b)
{
	size_t n = strlen(paths[a]), m = strlen(paths[b]);

	if (n > m)
		return clash(b, a);
	return n < m && strncmp(paths[a], paths[b], n) == 0 && paths[b][n] == '/';
}

/* No two paths have one content: `git merge-tree` looks for renames whatever its
 * configuration says, and a lake does not. */
static char *content_of(size_t path, int value)
{
	return xasprintf("%d in %s\n", value, paths[path]);
}

/* ---- both stores ---- */

static struct state lake_tree(struct run *r, const struct lake_id *id)
{
	AUTO(lake_list_closep) struct lake_list *list = NULL;
	struct err err = ERR_INIT;
	struct state s = {.has = {0}};
	struct lake_entry e;
	enum status st;

	must(r, lake_list_open(r->w->lake, id, "", &list, &err), &err);
	while ((st = lake_list_next(list, &e, &err)) == ST_OK) {
		size_t i = path_index(e.path);

		for (int v = 1; i < N_PATHS && v <= VALUES; v++)
			if (strcmp(r->w->digests[i][v], e.checksum) == 0)
				s.has[i] = v;
		if (i == N_PATHS || !s.has[i])
			wrong(r, "the lake has '%s' with checksum %s", e.path, e.checksum);
		lake_entry_release(&e);
	}
	if (st != ST_END)
		must(r, st, &err);
	return s;
}

static struct git_id git_tree(struct run *r, const struct state *s)
{
	struct git_file files[N_PATHS];
	size_t n = 0;

	for (size_t i = 0; i < N_PATHS; i++)
		if (s->has[i])
			files[n++] = (struct git_file){.path = paths[i],
						       .blob = r->w->blobs[i][s->has[i]]};
	return git_peer_tree(r->w->git, files, n);
}

static struct state git_state(struct run *r, const struct git_id *tree)
{
	const struct git_file *files;
	size_t n = git_peer_list(r->w->git, tree, &files);
	struct state s = {.has = {0}};

	for (size_t k = 0; k < n; k++) {
		size_t i = path_index(files[k].path);

		for (int v = 1; i < N_PATHS && v <= VALUES; v++)
			if (strcmp(r->w->blobs[i][v].hex, files[k].blob.hex) == 0)
				s.has[i] = v;
	}
	return s;
}

/* A new commit of the lake, which must hold what is wanted: git's counterpart
 * is made of the lake's tree. */
static size_t add_node(struct run *r, const struct lake_id *id, const struct state *wanted,
		       const size_t *parents, size_t n)
{
	AUTO(lake_commit_release) struct lake_commit c = {.n_parents = 0};
	struct node *node = &r->nodes[r->n_nodes];
	struct git_id tree, above[2];
	struct err err = ERR_INIT;

	virtual_clock_advance(&r->w->clock, 1000); /* no two in one second: git's unit */
	must(r, lake_commit_read(r->w->lake, id, &c, &err), &err);
	*node = (struct node){.id = *id, .state = lake_tree(r, id), .n_parents = n};
	if (!same(&node->state, wanted))
		wrong(r, "the lake's tree is  %s\nand should be       %s", shown(&node->state),
		      shown(wanted));
	if (c.n_parents != n)
		wrong(r, "%zu parents in place of %zu", c.n_parents, n);
	for (size_t i = 0; i < n; i++) {
		if (!lake_id_equal(&c.parents[i], &r->nodes[parents[i]].id))
			wrong(r, "parent %zu is another", i + 1);
		node->parents[i] = parents[i];
		above[i] = r->nodes[parents[i]].git;
	}
	tree = git_tree(r, &node->state);
	node->git = git_peer_commit(r->w->git, &tree, above, n, c.time_ms / 1000);
	tell(r, "  -> %zu:%s\n", r->n_nodes, shown(&node->state));
	return r->n_nodes++;
}

static char *branch_name(const struct run *r, size_t b)
{
	return xasprintf("s%llu-%zu", (unsigned long long)r->seed, b);
}

/* node SIZE_MAX: deletes it. */
static void move_branch(struct run *r, size_t b, size_t node)
{
	AUTO(freep) char *name = branch_name(r, b);
	struct lake_move move = {.kind = LAKE_BRANCH, .name = name};
	struct err err = ERR_INIT;

	if (r->branches[b] != SIZE_MAX)
		move.expected = r->nodes[r->branches[b]].id;
	if (node != SIZE_MAX)
		move.to = r->nodes[node].id;
	must(r, lake_refs_move(r->w->lake, &move, 1, "test", &err), &err);
	r->branches[b] = node;
}

/* ---- three ways, by our rule and by git ---- */

struct verdict {
	struct state result; /* where there is no conflict */
	bool conflict[N_PATHS];
	bool any;
	bool clashes; /* a file against a folder; git: a path that is none of ours */
};

static void add_conflict(struct verdict *v, size_t i)
{
	v->conflict[i] = v->any = true;
}

/* Drops what cannot stand beside the paths that theirs brings: anew, or where
 * its word counts, again. */
static void naive_clashes(const struct state *base, const struct state *ours,
			  const struct state *theirs, enum lake_strategy prefer, struct verdict *v)
{
	for (size_t t = 0; t < N_PATHS; t++) {
		bool brings =
			prefer == LAKE_THEIRS ? theirs->has[t] != base->has[t] : !base->has[t];

		if (!theirs->has[t] || ours->has[t] || !brings)
			continue;
		for (size_t o = 0; o < N_PATHS; o++) {
			bool stays = prefer == LAKE_THEIRS ? !base->has[o]
							   : base->has[o] != ours->has[o];

			if (!clash(o, t) || !ours->has[o] || theirs->has[o] || !stays)
				continue;
			v->clashes = true;
			v->result.has[prefer == LAKE_THEIRS ? o : t] = 0;
			if (prefer != LAKE_NO_STRATEGY)
				continue;
			add_conflict(v, o);
			add_conflict(v, t);
		}
	}
}

static struct verdict naive_merge(const struct state *base, const struct state *ours,
				  const struct state *theirs, enum lake_strategy prefer)
{
	struct verdict v = {.any = false};

	for (size_t i = 0; i < N_PATHS; i++) {
		int b = base->has[i], o = ours->has[i], t = theirs->has[i];

		v.result.has[i] = o == b ? t : o;
		if (o == b || t == b || o == t)
			continue;
		if (prefer == LAKE_THEIRS)
			v.result.has[i] = t;
		else if (prefer == LAKE_NO_STRATEGY)
			add_conflict(&v, i);
	}
	naive_clashes(base, ours, theirs, prefer, &v);
	return v;
}

static struct verdict git_merge(struct run *r, const struct git_id *ours,
				const struct git_id *theirs)
{
	struct git_merge m = git_peer_merge(r->w->git, ours, theirs);
	struct verdict v = {.any = !m.clean};

	for (size_t k = 0; k < m.n; k++) {
		size_t i = path_index(m.conflicts[k]);

		if (i == N_PATHS)
			v.clashes = true;
		else
			v.conflict[i] = true;
	}
	v.result = git_state(r, &m.tree);
	return v;
}

/* With commits made for it, so that any trees can be merged on any base. */
static struct verdict git_three_way(struct run *r, const struct state *base,
				    const struct state *ours, const struct state *theirs)
{
	struct git_id tree = git_tree(r, base), root, a, b;

	root = git_peer_commit(r->w->git, &tree, NULL, 0, 1);
	tree = git_tree(r, ours);
	a = git_peer_commit(r->w->git, &tree, &root, 1, 2);
	tree = git_tree(r, theirs);
	b = git_peer_commit(r->w->git, &tree, &root, 1, 3);
	return git_merge(r, &a, &b);
}

/* Does a file or folder of that name stand against i on either side? */
static bool near_clash(size_t i, const struct state *ours, const struct state *theirs)
{
	for (size_t k = 0; k < N_PATHS; k++)
		if (clash(i, k) && (ours->has[k] || theirs->has[k]))
			return true;
	return false;
}

static void compare_sets(struct run *r, const char *what, const bool *got, const bool *wanted)
{
	for (size_t i = 0; i < N_PATHS; i++)
		if (got[i] != wanted[i])
			wrong(r, "%s: '%s' is %sa conflict, and should %sbe one", what, paths[i],
			      got[i] ? "" : "no ", wanted[i] ? "" : "not ");
}

/* A merge on one base: our rule's verdict, which git must share but for files
 * against folders. */
static struct verdict judge(struct run *r, const struct state *base, const struct state *ours,
			    const struct state *theirs, const struct verdict *git)
{
	struct verdict v = naive_merge(base, ours, theirs, LAKE_NO_STRATEGY);

	if (v.any != git->any)
		wrong(r, "git %s a conflict, and our rule %s one", git->any ? "has" : "has not",
		      v.any ? "has" : "has not");
	if (!v.clashes && !git->clashes) {
		compare_sets(r, "our rule, beside git", v.conflict, git->conflict);
		if (!v.any && !same(&v.result, &git->result))
			wrong(r, "our rule gives %s\nand git         %s", shown(&v.result),
			      shown(&git->result));
		return v;
	}
	r->w->clashes++;
	for (size_t i = 0; i < N_PATHS; i++)
		if (!near_clash(i, ours, theirs) && v.conflict[i] != git->conflict[i])
			wrong(r, "'%s' is a conflict on one side only", paths[i]);
	return v;
}

/* What a prepare of the lake said; must be what is wanted. */
static void check_prepared(struct run *r, enum status st, const struct err *err,
			   const struct lake_conflicts *c, const struct verdict *wanted)
{
	bool got[N_PATHS] = {false};

	if (st != ST_OK && st != ST_CONFLICT && st != ST_EMPTY)
		must(r, st, err);
	for (size_t i = 0; i < c->n; i++) {
		size_t k = path_index(c->paths[i]);

		if (k == N_PATHS)
			wrong(r, "a conflict on '%s'", c->paths[i]);
		got[k] = true;
	}
	compare_sets(r, "the lake", got, wanted->conflict);
	if ((st == ST_CONFLICT) != wanted->any)
		wrong(r, "the lake says %s", status_name(st));
}

/* ---- bases ---- */

struct bases {
	struct git_id git[BASES_MAX];
	struct state states[BASES_MAX];
	size_t n;
};

static const struct node *node_of(struct run *r, const struct lake_id *id)
{
	for (size_t i = 0; i < r->n_nodes; i++)
		if (lake_id_equal(&r->nodes[i].id, id))
			return &r->nodes[i];
	wrong(r, "the lake names a commit of another history");
}

/* The lake's are git's, in git's order turned round. */
static struct bases check_bases(struct run *r, const struct node *a, const struct node *b)
{
	AUTO(freep) struct lake_id *ids = NULL;
	struct bases out = {.n = 0};
	struct git_id git[BASES_MAX];
	struct err err = ERR_INIT;
	struct lake_id one;
	bool is_best = false;
	size_t n = 0;

	must(r, lake_merge_bases(r->w->lake, &a->id, &b->id, &ids, &n, &err), &err);
	must(r, lake_merge_base(r->w->lake, &a->id, &b->id, &one, &err), &err);
	out.n = git_peer_bases(r->w->git, &a->git, &b->git, git, BASES_MAX);
	if (n != out.n)
		wrong(r, "%zu merge bases; git has %zu", n, out.n);
	for (size_t i = 0; i < n; i++) {
		const struct node *base = node_of(r, &ids[i]);

		if (strcmp(base->git.hex, git[n - 1 - i].hex) != 0)
			wrong(r, "merge base %zu is not git's", i + 1);
		is_best |= lake_id_equal(&one, &ids[i]);
		out.git[i] = base->git;
		out.states[i] = base->state;
	}
	if (!is_best)
		wrong(r, "the best merge base is none of them");
	return out;
}

/* Do two of the bases disagree on the path, in git's own eyes? */
static bool bases_disagree(struct run *r, const struct bases *bases, size_t path)
{
	for (size_t i = 0; i < bases->n; i++)
		for (size_t k = i + 1; k < bases->n; k++) {
			struct verdict v = git_merge(r, &bases->git[i], &bases->git[k]);

			if (v.conflict[path] || v.clashes)
				return true;
		}
	return false;
}

/* ---- merge ---- */

struct merging {
	const struct node *ours;
	const struct node *theirs;
	struct bases bases;
	struct verdict git;
	struct verdict lake; /* what the lake said, where git does not settle it */
};

static enum status prepare(struct run *r, const struct merging *m, enum lake_strategy strategy,
			   struct lake_id *out, struct lake_conflicts *c, struct err *err)
{
	const struct lake_merge wish = {
		.source = m->theirs->id, .dest = m->ours->id, .strategy = strategy};

	return lake_merge_prepare(r->w->lake, &wish, out, c, err);
}

/* Several bases: the lake may have more conflicts than git, where those bases
 * disagree. */
static struct verdict judge_crossed(struct run *r, const struct merging *m,
				    const struct lake_conflicts *c)
{
	struct verdict v = {.result = m->git.result, .any = c->n > 0};

	r->w->crossed++;
	for (size_t i = 0; i < c->n; i++)
		v.conflict[path_index(c->paths[i])] = true;
	if (m->git.any && !v.any)
		wrong(r, "git has a conflict here");
	for (size_t i = 0; i < N_PATHS; i++) {
		bool near = near_clash(i, &m->ours->state, &m->theirs->state);

		if (m->git.conflict[i] && !v.conflict[i] && !near)
			wrong(r, "git has a conflict on '%s'", paths[i]);
		if (!v.conflict[i] || m->git.conflict[i] || near)
			continue;
		r->w->stricter++;
		if (!bases_disagree(r, &m->bases, i))
			wrong(r, "a conflict on '%s' on which the bases agree", paths[i]);
	}
	return v;
}

/* Merges without a strategy and checks it; ST_OK, ST_CONFLICT or ST_EMPTY. */
static enum status check_merge(struct run *r, struct merging *m, struct lake_id *out)
{
	AUTO(lake_conflicts_release) struct lake_conflicts c = {.n = 0};
	struct err err = ERR_INIT;
	bool held = false;
	enum status st = prepare(r, m, LAKE_NO_STRATEGY, out, &c, &err);

	r->w->merges++;
	m->bases = check_bases(r, m->ours, m->theirs);
	must(r, lake_is_ancestor(r->w->lake, &m->theirs->id, &m->ours->id, &held, &err), &err);
	if (held != (m->bases.n == 1 && strcmp(m->bases.git[0].hex, m->theirs->git.hex) == 0) ||
	    held != (st == ST_EMPTY))
		wrong(r, "is the source an ancestor? The lake says %s", status_name(st));
	if (held)
		return st;
	m->git = git_merge(r, &m->ours->git, &m->theirs->git);
	if (m->bases.n == 1)
		m->lake =
			judge(r, &m->bases.states[0], &m->ours->state, &m->theirs->state, &m->git);
	else
		m->lake = judge_crossed(r, m, &c);
	check_prepared(r, st, &err, &c, &m->lake);
	r->w->conflicts += st == ST_CONFLICT;
	return st;
}

/* May git's own -X be asked? It leaves deletions and folders open, and takes its
 * own view of bases that disagree. */
static bool git_decides(const struct merging *m)
{
	if (m->git.clashes || m->lake.clashes ||
	    memcmp(m->git.conflict, m->lake.conflict, sizeof(m->git.conflict)) != 0)
		return false;
	for (size_t i = 0; i < N_PATHS; i++)
		if (m->git.conflict[i] && (!m->ours->state.has[i] || !m->theirs->state.has[i]))
			return false;
	return true;
}

/* What a strategy must give: git's tree where there is no conflict, else that
 * side's. False: not known (crossed histories with files against folders). */
static bool strategy_result(struct run *r, const struct merging *m, enum lake_strategy strategy,
			    struct state *out)
{
	const struct node *side = strategy == LAKE_OURS ? m->ours : m->theirs;
	struct git_id tree;

	if (m->bases.n == 1) {
		*out = naive_merge(&m->bases.states[0], &m->ours->state, &m->theirs->state,
				   strategy)
			       .result;
	} else {
		*out = m->git.result;
		for (size_t i = 0; i < N_PATHS; i++) {
			if (m->lake.conflict[i])
				out->has[i] = side->state.has[i];
			if (near_clash(i, &m->ours->state, &m->theirs->state))
				return false;
		}
	}
	if (!git_decides(m))
		return true;
	r->w->strategies++;
	if (!git_peer_merge_strategy(r->w->git, strategy == LAKE_OURS ? "ours" : "theirs",
				     m->bases.git, m->bases.n, &m->ours->git, &m->theirs->git,
				     &tree))
		wrong(r, "git finds a conflict all the same");
	if (strcmp(tree.hex, git_tree(r, out).hex) != 0)
		wrong(r, "git's strategy gives another tree than%s", shown(out));
	return true;
}

/* A conflict that somebody resolves by hand: on top of a strategy's result, some
 * of the paths get any content. */
static void resolve(struct run *r, const struct merging *m, struct state *s, struct lake_id *id)
{
	AUTO(lake_txn_freep) struct lake_txn *txn = NULL;
	const struct lake_id parents[] = {m->ours->id, m->theirs->id};
	struct err err = ERR_INIT;

	must(r, lake_txn_begin(r->w->lake, id, &txn, &err), &err);
	for (size_t i = 0; i < N_PATHS; i++) {
		int v = (int)rng_below(&r->rng, VALUES) + 1;
		AUTO(freep) char *text = content_of(i, v);

		if (!m->lake.conflict[i] || near_clash(i, s, s) || rng_below(&r->rng, 2))
			continue;
		must(r, lake_txn_put_bytes(txn, paths[i], text, strlen(text), NULL, NULL, &err),
		     &err);
		s->has[i] = v;
	}
	lake_txn_parents(txn, parents, 2);
	must(r, lake_txn_prepare(txn, id, &err), &err);
	tell(r, "resolved by hand\n");
}

/* source: a node. */
static void step_merge(struct run *r, size_t dest, size_t source)
{
	size_t parents[2] = {r->branches[dest], source};
	struct merging m = {.ours = &r->nodes[parents[0]], .theirs = &r->nodes[parents[1]]};
	enum lake_strategy strategy = rng_below(&r->rng, 2) ? LAKE_OURS : LAKE_THEIRS;
	struct err err = ERR_INIT;
	struct lake_id id;
	struct state s;
	enum status st;
	bool known = true;

	tell(r, "merge %zu into branch %zu (%zu)\n", parents[1], dest, parents[0]);
	st = check_merge(r, &m, &id);
	if (st == ST_EMPTY)
		return;
	s = m.lake.result;
	if (st == ST_CONFLICT || rng_below(&r->rng, 4) == 0) {
		tell(r, "strategy %s\n", strategy == LAKE_OURS ? "ours" : "theirs");
		known = strategy_result(r, &m, strategy, &s);
		must(r, prepare(r, &m, strategy, &id, NULL, &err), &err);
		if (!known)
			s = lake_tree(r, &id);
		if (st == ST_CONFLICT && rng_below(&r->rng, 3) == 0)
			return; /* given up */
		if (st == ST_CONFLICT && rng_below(&r->rng, 2))
			resolve(r, &m, &s, &id);
	}
	move_branch(r, dest, add_node(r, &id, &s, parents, 2));
}

/* Two branches that merge each other's head have two best bases from then on. */
static void step_cross(struct run *r, size_t a, size_t b)
{
	size_t old = r->branches[a];

	step_merge(r, a, r->branches[b]);
	step_merge(r, b, old);
}

/* ---- revert and cherry-pick ---- */

/* from to the commit's own tree, or back. */
static struct verdict check_change(struct run *r, const struct state *from, const struct state *to,
				   const struct state *head)
{
	struct verdict git = git_three_way(r, from, head, to);

	return judge(r, from, head, to, &git);
}

/* The state before the node, by its parent-th parent, counted from 1. */
static const struct state *before(const struct run *r, const struct node *n, unsigned parent)
{
	static const struct state nothing;

	return n->n_parents ? &r->nodes[n->parents[parent ? parent - 1 : 0]].state : &nothing;
}

static void finish_change(struct run *r, size_t branch, enum status st, const struct err *err,
			  const struct lake_conflicts *c, const struct verdict *v,
			  const struct lake_id *id)
{
	size_t head = r->branches[branch];
	bool empty = !v->any && same(&v->result, &r->nodes[head].state);

	check_prepared(r, st, err, c, v);
	if ((st == ST_EMPTY) != empty)
		wrong(r, "the lake says %s, and the tree %s", status_name(st),
		      empty ? "would stay as it is" : "would change");
	if (st == ST_OK)
		move_branch(r, branch, add_node(r, id, &v->result, &head, 1));
}

static void step_revert(struct run *r, size_t branch)
{
	AUTO(lake_conflicts_release) struct lake_conflicts c = {.n = 0};
	size_t which[2] = {1 + rng_below(&r->rng, r->n_nodes - 1),
			   1 + rng_below(&r->rng, r->n_nodes - 1)};
	const struct lake_id ids[2] = {r->nodes[which[0]].id, r->nodes[which[1]].id};
	struct lake_revert wish = {.commits = ids, .n = 1 + rng_below(&r->rng, 2)};
	struct verdict v = {.result = r->nodes[r->branches[branch]].state};
	struct err err = ERR_INIT;
	struct lake_id id;
	enum status st;

	if (wish.n == 1)
		wish.parent = (unsigned)rng_below(&r->rng, r->nodes[which[0]].n_parents + 1);
	tell(r, "revert %zu", which[0]);
	if (wish.n == 2)
		tell(r, " and %zu", which[1]);
	tell(r, " --parent %u on branch %zu (%zu)\n", wish.parent, branch, r->branches[branch]);
	for (size_t i = 0; i < wish.n && !v.any; i++)
		v = check_change(r, &r->nodes[which[i]].state,
				 before(r, &r->nodes[which[i]], wish.parent), &v.result);
	st = lake_revert_prepare(r->w->lake, &r->nodes[r->branches[branch]].id, &wish, &id, &c,
				 &err);
	finish_change(r, branch, st, &err, &c, &v, &id);
	r->w->reverts++;
}

static void step_pick(struct run *r, size_t branch)
{
	AUTO(lake_conflicts_release) struct lake_conflicts c = {.n = 0};
	size_t which = rng_below(&r->rng, r->n_nodes);
	const struct node *from = &r->nodes[which];
	unsigned parent = from->n_parents > 1 ? 1 + (unsigned)rng_below(&r->rng, 2) : 0;
	struct err err = ERR_INIT;
	struct verdict v;
	struct lake_id id;
	enum status st;

	tell(r, "cherry-pick %zu --parent %u on branch %zu (%zu)\n", which, parent, branch,
	     r->branches[branch]);
	v = check_change(r, before(r, from, parent), &from->state,
			 &r->nodes[r->branches[branch]].state);
	st = lake_cherry_pick_prepare(r->w->lake, &r->nodes[r->branches[branch]].id, &from->id,
				      parent, &id, &c, &err);
	finish_change(r, branch, st, &err, &c, &v, &id);
	r->w->picks++;
}

/* ---- changes ---- */

static void step_change(struct run *r, size_t branch)
{
	AUTO(lake_txn_freep) struct lake_txn *txn = NULL;
	size_t head = r->branches[branch];
	struct state s = r->nodes[head].state, old = s;
	struct err err = ERR_INIT;
	struct lake_id id;

	for (size_t k = 1 + rng_below(&r->rng, 3); k; k--) {
		size_t i = rng_below(&r->rng, N_PATHS);

		/* Of paths that can clash, seldom the short one. */
		if (near_clash(i, &s, &s) && rng_below(&r->rng, 3))
			continue;
		s.has[i] = rng_below(&r->rng, 4) ? (int)rng_below(&r->rng, VALUES) + 1 : 0;
		for (size_t o = 0; s.has[i] && o < N_PATHS; o++)
			if (clash(i, o))
				s.has[o] = 0;
	}
	tell(r, "change branch %zu (%zu)\n", branch, head);
	must(r, lake_txn_begin(r->w->lake, &r->nodes[head].id, &txn, &err), &err);
	for (size_t i = 0; i < N_PATHS; i++) {
		AUTO(freep) char *text = content_of(i, s.has[i]);

		if (s.has[i] == old.has[i])
			continue;
		if (s.has[i])
			must(r,
			     lake_txn_put_bytes(txn, paths[i], text, strlen(text), NULL, NULL,
						&err),
			     &err);
		else
			must(r, lake_txn_remove(txn, paths[i], &err), &err);
	}
	must(r, lake_txn_prepare(txn, &id, &err), &err);
	move_branch(r, branch, add_node(r, &id, &s, &head, 1));
}

/* ---- a history ---- */

static size_t any_branch(struct run *r)
{
	size_t b;

	do
		b = rng_below(&r->rng, BRANCHES);
	while (r->branches[b] == SIZE_MAX);
	return b;
}

static void step(struct run *r)
{
	size_t what = rng_below(&r->rng, 100), b = any_branch(r), other;

	if (what < 40) {
		step_change(r, b);
	} else if (what < 50) {
		other = rng_below(&r->rng, BRANCHES);
		tell(r, "branch or reset %zu to %zu\n", other, r->branches[b]);
		move_branch(r, other, r->branches[b]);
	} else if (what < 54) {
		other = rng_below(&r->rng, r->n_nodes);
		tell(r, "reset %zu to %zu\n", b, other);
		move_branch(r, b, other);
	} else if (what < 74) {
		step_merge(r, b, r->branches[any_branch(r)]);
	} else if (what < 84) {
		step_cross(r, b, any_branch(r));
	} else if (what < 92 && r->n_nodes > 1) {
		step_revert(r, b);
	} else {
		step_pick(r, b);
	}
}

static void run_seed(struct world *w, uint64_t seed)
{
	struct run *r = xcalloc(1, sizeof(*r));
	const struct state nothing = {.has = {0}};
	struct err err = ERR_INIT;
	struct lake_id root;

	r->w = w;
	r->seed = seed;
	r->rng = rng_seeded(seed);
	must(r, lake_resolve(w->lake, "main", &root, &err), &err);
	add_node(r, &root, &nothing, NULL, 0);
	for (size_t b = 0; b < BRANCHES; b++)
		r->branches[b] = SIZE_MAX;
	move_branch(r, 0, 0);
	step_change(r, 0);
	for (size_t b = 1; b < BRANCHES; b++)
		move_branch(r, b, r->branches[0]);
	for (int i = 0; i < STEPS; i++)
		step(r);
	for (size_t b = 0; b < BRANCHES; b++)
		if (r->branches[b] != SIZE_MAX)
			move_branch(r, b, SIZE_MAX);
	buf_release(&r->story);
	free(r);
}

static void world_open(struct world *w, const char *dir)
{
	struct lake_options options = {.access = LAKE_OWN, .create = true, .committer = "tester"};
	AUTO(freep) char *lake = xasprintf("%s/lake", dir);
	struct err err = ERR_INIT;

	virtual_clock_init(&w->clock, 1700000000000);
	options.clock = &w->clock.clock;
	w->git = git_peer_new();
	for (size_t i = 0; i < N_PATHS * VALUES; i++) {
		size_t path = i / VALUES, v = i % VALUES + 1;
		AUTO(freep) char *text = content_of(path, (int)v);

		w->blobs[path][v] = git_peer_blob(w->git, text, strlen(text));
		lake_digest(text, strlen(text), w->digests[path][v]);
	}
	if (lake_open(lake, &options, &w->lake, &err) != ST_OK) {
		fprintf(stderr, "%s\n", err.text);
		abort();
	}
}

/* Bases of bases leave nodes that nothing names: they are no damage. */
static void check_whole(struct world *w)
{
	const struct lake_fsck_options all = {.quick = false};
	struct lake_fsck_report report = {.items = NULL};
	struct err err = ERR_INIT;
	enum status st = lake_fsck(w->lake, &all, &report, &err);

	if (st != ST_OK || report.damaged) {
		fprintf(stderr, "fsck: %s: %s\n", status_name(st),
			report.n ? report.items[0].text : err.text);
		abort();
	}
	lake_fsck_report_release(&report);
}

int main(int argc, char **argv)
{
	uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
	uint64_t last = argc > 2 ? strtoull(argv[2], NULL, 10) : argc > 1 ? first : 300;
	AUTO(tempdir_remove) char *dir = NULL;
	struct world w = {.merges = 0};

	if (access("/dev/shm", W_OK) == 0)
		setenv("TIDEMARK_TEST_DIR", "/dev/shm", 0);
	dir = tempdir_new();
	world_open(&w, dir);
	for (uint64_t seed = first; seed <= last; seed++)
		run_seed(&w, seed);
	check_whole(&w);
	lake_close(w.lake);
	git_peer_free(w.git);
	printf("%llu histories: %zu merges, %zu with conflicts, %zu crossed (%zu paths stricter "
	       "than git), %zu files against folders, %zu strategies, %zu reverts, %zu picks\n",
	       (unsigned long long)(last - first + 1), w.merges, w.conflicts, w.crossed, w.stricter,
	       w.clashes, w.strategies, w.reverts, w.picks);
	if (last - first < 200)
		return 0;
	/* Each kind must have come up, or this test shows nothing of it. */
	return !(w.conflicts && w.crossed && w.stricter && w.clashes && w.strategies);
}
