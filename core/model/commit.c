/* A commit's bytes; its id is their SHA-256:
 *
 *   1        format, 1
 *   32       the tree's root
 *   varint   number of parents; 32 bytes for each
 *   varint   generation
 *   varint   depth; 32 bytes, jump; varint, jump_depth
 *   8        time in ms since the epoch, big-endian, two's complement
 *   varint n, n bytes   message
 *   varint n, n bytes   committer
 *   varint   number of metadata pairs, then these (text.h)
 *
 * Nothing follows the last pair. */
#include "core/model/commit.h"

#include <stdlib.h>
#include <string.h>

#include "core/model/text.h"

#define COMMIT_FORMAT 1

void commit_release(struct commit *c)
{
	lake_commit_release(&c->public);
	*c = (struct commit){.depth = 0};
}

static void add_id(const struct lake_id *id, struct buf *out)
{
	buf_add(out, id->bytes, sizeof(id->bytes));
}

void commit_encode(const struct commit *c, struct buf *out)
{
	const struct lake_commit *p = &c->public;

	buf_addc(out, COMMIT_FORMAT);
	add_id(&p->tree, out);
	buf_add_varint(out, p->n_parents);
	for (size_t i = 0; i < p->n_parents; i++)
		add_id(&p->parents[i], out);
	buf_add_varint(out, p->generation);
	buf_add_varint(out, c->depth);
	add_id(&c->jump, out);
	buf_add_varint(out, c->jump_depth);
	buf_add_be64(out, (uint64_t)p->time_ms);
	text_encode(p->message ? p->message : "", out);
	text_encode(p->committer ? p->committer : "", out);
	meta_encode(&p->meta, out);
}

static bool take_id(struct bytes *in, struct lake_id *out)
{
	const unsigned char *p;

	if (!bytes_take(in, sizeof(out->bytes), &p))
		return false;
	memcpy(out->bytes, p, sizeof(out->bytes));
	return true;
}

static bool take_parents(struct bytes *in, struct lake_commit *c)
{
	uint64_t n;

	if (!bytes_varint(in, &n) || n > bytes_left(in) / sizeof(*c->parents))
		return false;
	c->parents = n ? xcalloc(n, sizeof(*c->parents)) : NULL;
	c->n_parents = n;
	for (size_t i = 0; i < n; i++)
		if (!take_id(in, &c->parents[i]))
			return false;
	return true;
}

static bool parse(struct bytes *in, struct commit *c)
{
	const unsigned char *format;
	uint64_t time;

	if (!bytes_take(in, 1, &format) || *format != COMMIT_FORMAT ||
	    !take_id(in, &c->public.tree) || !take_parents(in, &c->public) ||
	    !bytes_varint(in, &c->public.generation) || !bytes_varint(in, &c->depth) ||
	    !take_id(in, &c->jump) || !bytes_varint(in, &c->jump_depth) || !bytes_be64(in, &time))
		return false;
	c->public.time_ms = (int64_t)time;
	return text_decode(in, &c->public.message) && text_decode(in, &c->public.committer) &&
	       meta_decode(in, &c->public.meta) && bytes_left(in) == 0;
}

/* What a search along jumps relies on: each leads back. */
static bool makes_sense(const struct commit *c)
{
	if (c->public.n_parents == 0)
		return c->depth == 0 && c->jump_depth == 0 && lake_id_is_none(&c->jump);
	return c->depth > 0 && c->jump_depth < c->depth && !lake_id_is_none(&c->jump);
}

static enum status damaged(const struct lake_id *id, const char *why, struct err *err)
{
	char hex[LAKE_ID_HEX_BYTES];

	lake_id_hex(id, hex);
	return err_set(err, ST_DAMAGED, "commit %s %s", hex, why);
}

enum status commit_decode(const struct lake_id *id, const void *data, size_t len,
			  struct commit *out, struct err *err)
{
	AUTO(commit_release) struct commit c = {.depth = 0};
	struct bytes in = bytes_of(data, len);
	struct hash hash;

	hash_of(data, len, &hash);
	if (memcmp(hash.bytes, id->bytes, sizeof(hash.bytes)) != 0)
		return damaged(id, "holds other bytes", err);
	if (!parse(&in, &c) || !makes_sense(&c))
		return damaged(id, "cannot be decoded", err);
	c.public.id = *id;
	*out = c;
	c = (struct commit){.depth = 0};
	return ST_OK;
}

/* ---- sealing ---- */

/* The skew-binary rule (E. W. Myers, "An applicative random-access stack",
 * 1983): two jumps of one length become one over both. */
static enum status set_jump(const struct commit_store *store, struct commit *c,
			    const struct commit *parent, struct err *err)
{
	AUTO(commit_release) struct commit jump = {.depth = 0};
	enum status st;

	c->depth = parent->depth + 1;
	c->jump = parent->public.id;
	c->jump_depth = parent->depth;
	if (parent->depth == 0)
		return ST_OK;
	st = store->get(store->ctx, &parent->jump, &jump, err);
	if (st != ST_OK)
		return st == ST_NOT_FOUND ? damaged(&parent->jump, "is missing", err) : st;
	if (jump.depth > 0 && parent->depth - jump.depth == jump.depth - jump.jump_depth) {
		c->jump = jump.jump;
		c->jump_depth = jump.jump_depth;
	}
	return ST_OK;
}

/* Everything of a commit that follows from its parents. */
static enum status derive(const struct commit_store *store, struct commit *c, int64_t now_ms,
			  struct err *err)
{
	c->public.generation = 1;
	c->public.time_ms = now_ms;
	c->depth = 0;
	c->jump = (struct lake_id){.bytes = {0}};
	c->jump_depth = 0;
	for (size_t i = 0; i < c->public.n_parents; i++) {
		AUTO(commit_release) struct commit parent = {.depth = 0};
		enum status st = store->get(store->ctx, &c->public.parents[i], &parent, err);

		if (st == ST_OK && i == 0)
			st = set_jump(store, c, &parent, err);
		if (st != ST_OK)
			return st;
		if (c->public.generation <= parent.public.generation)
			c->public.generation = parent.public.generation + 1;
		if (c->public.time_ms <= parent.public.time_ms)
			c->public.time_ms = parent.public.time_ms + 1;
	}
	return ST_OK;
}

enum status commit_seal(const struct commit_store *store, struct commit *c, int64_t now_ms,
			struct buf *bytes_out, struct err *err)
{
	size_t before = bytes_out->len;
	struct hash hash;
	enum status st = derive(store, c, now_ms, err);

	if (st != ST_OK)
		return st;
	commit_encode(c, bytes_out);
	hash_of(bytes_out->data + before, bytes_out->len - before, &hash);
	memcpy(c->public.id.bytes, hash.bytes, sizeof(hash.bytes));
	return ST_OK;
}

enum status commit_check(const struct commit_store *store, const struct commit *c, struct err *err)
{
	struct commit want = *c; /* its pointers are borrowed */
	enum status st = derive(store, &want, c->public.time_ms, err);

	if (st == ST_NOT_FOUND)
		return err_wrap(err, ST_DAMAGED, "a parent is missing");
	if (st != ST_OK)
		return st;
	if (want.public.generation != c->public.generation)
		return damaged(&c->public.id, "has a generation that its parents do not give", err);
	if (want.depth != c->depth || want.jump_depth != c->jump_depth ||
	    !lake_id_equal(&want.jump, &c->jump))
		return damaged(&c->public.id, "has a depth or skip pointer that is wrong", err);
	if (want.public.time_ms != c->public.time_ms)
		return damaged(&c->public.id, "is not later than its parents", err);
	return ST_OK;
}
