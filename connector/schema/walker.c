/* The walker: a compiler from schemas to operations, and their interpreter.
 *
 * Records disappear: their fields' operations follow each other. A record is
 * compiled where it is met, but as a subroutine where it is met inside itself
 * or where the table has grown long. Fields of fixed width next to each other
 * become one skip.
 *
 * Bounds: an operation begins with p <= end, reads at most WALKER_SLACK bytes
 * from there without looking, and compares p with end before the next begins;
 * lengths are compared with what is left before p moves. */
#include "connector/schema/walker.h"

#include <stdlib.h>
#include <string.h>

#include "connector/schema/utf8.h"

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* From so many operations on, a record becomes a subroutine. */
#define INLINE_OPS 2048

enum op_code {
	OP_END,
	OP_SKIP, /* arg bytes */
	OP_BOOLEAN,
	OP_INT,
	OP_LONG,
	OP_BYTES,
	OP_STRING,
	OP_ENUM, /* arg symbols */
	OP_NULLABLE, /* aux: index of null; arg: where to go on if it is null */
	OP_NULLABLE_STRING, /* aux: index of null */
	OP_NULLABLE_LONG,
	OP_UNION, /* arg branches; as many OP_JUMP follow */
	OP_JUMP, /* to arg */
	OP_ARRAY, /* arg: behind it; the item's operations follow, then OP_NEXT */
	OP_NEXT, /* arg: the item's first operation */
	OP_EMPTY_ARRAY, /* items of no width */
	OP_CALL, /* arg */
	OP_RETURN,
};

struct op {
	uint16_t code;
	uint16_t aux;
	uint32_t arg;
};

struct walker {
	size_t n;
	struct op ops[];
};

/* ---- compiler ---- */

struct subroutine {
	const struct schema_node *node;
	uint32_t entry; /* 0: not compiled yet */
};

struct compiler {
	struct op *ops;
	size_t n;
	size_t cap;
	uint8_t *width; /* by node: 0 unknown, 1 being asked, 2 none, 3 some */
	bool *open; /* by node: being compiled */
	struct subroutine *subs;
	size_t n_subs;
	size_t cap_subs;
	bool fuse; /* may the next skip join the last operation? */
};

static size_t emit(struct compiler *c, enum op_code code, unsigned aux, size_t arg)
{
	GROW(c->ops, c->n, c->cap);
	c->ops[c->n] = (struct op){(uint16_t)code, (uint16_t)aux, (uint32_t)arg};
	c->fuse = false;
	return c->n++;
}

static void emit_skip(struct compiler *c, size_t bytes)
{
	if (c->fuse && c->ops[c->n - 1].arg + (uint64_t)bytes <= UINT32_MAX)
		c->ops[c->n - 1].arg += (uint32_t)bytes;
	else
		emit(c, OP_SKIP, 0, bytes);
	c->fuse = true;
}

/* Does a value of the type take at least a byte? (If not, it never does.) */
static bool has_width(struct compiler *c, const struct schema_node *n)
{
	bool some = false;

	if (n->type == SCHEMA_NULL)
		return false;
	if (n->type == SCHEMA_FIXED)
		return n->size > 0;
	if (n->type != SCHEMA_RECORD)
		return true;
	/* A record directly inside itself has no finite value. */
	if (c->width[n->index])
		return c->width[n->index] != 2;
	c->width[n->index] = 1;
	for (size_t i = 0; i < n->n_fields && !some; i++)
		some = has_width(c, n->fields[i].type);
	c->width[n->index] = some ? 3 : 2;
	return some;
}

static void compile(struct compiler *c, const struct schema_node *n);

static void compile_call(struct compiler *c, const struct schema_node *n)
{
	size_t i = 0;

	while (i < c->n_subs && c->subs[i].node != n)
		i++;
	if (i == c->n_subs) {
		GROW(c->subs, c->n_subs, c->cap_subs);
		c->subs[c->n_subs++] = (struct subroutine){.node = n};
	}
	/* The entry is put in when all subroutines are compiled. */
	emit(c, OP_CALL, 0, i);
}

static void compile_fields(struct compiler *c, const struct schema_node *n)
{
	c->open[n->index] = true;
	for (size_t i = 0; i < n->n_fields; i++)
		compile(c, n->fields[i].type);
	c->open[n->index] = false;
}

static void compile_record(struct compiler *c, const struct schema_node *n)
{
	if (!has_width(c, n))
		return;
	if (c->open[n->index] || c->n > INLINE_OPS)
		compile_call(c, n);
	else
		compile_fields(c, n);
}

static void compile_items(struct compiler *c, const struct schema_node *n)
{
	const struct schema_node *item = n->branches[0];
	size_t at;

	if (n->type == SCHEMA_ARRAY && !has_width(c, item)) {
		emit(c, OP_EMPTY_ARRAY, 0, 0);
		return;
	}
	at = emit(c, OP_ARRAY, 0, 0);
	if (n->type == SCHEMA_MAP)
		emit(c, OP_STRING, 0, 0);
	compile(c, item);
	emit(c, OP_NEXT, 0, at + 1);
	c->ops[at].arg = (uint32_t)c->n;
}

static bool compile_nullable(struct compiler *c, const struct schema_node *n)
{
	unsigned null_at = n->branches[0]->type == SCHEMA_NULL ? 0 : 1;
	const struct schema_node *other = n->branches[1 - null_at];
	size_t at;

	if (n->branches[null_at]->type != SCHEMA_NULL)
		return false;
	if (other->type == SCHEMA_STRING) {
		emit(c, OP_NULLABLE_STRING, null_at, 0);
	} else if (other->type == SCHEMA_LONG) {
		emit(c, OP_NULLABLE_LONG, null_at, 0);
	} else {
		at = emit(c, OP_NULLABLE, null_at, 0);
		compile(c, other);
		c->ops[at].arg = (uint32_t)c->n;
		c->fuse = false;
	}
	return true;
}

static void compile_union(struct compiler *c, const struct schema_node *n)
{
	AUTO(freep) size_t *ends = xcalloc(n->n_branches + 1, sizeof(*ends));
	size_t first;

	if (n->n_branches == 2 && compile_nullable(c, n))
		return;
	first = emit(c, OP_UNION, 0, n->n_branches) + 1;
	for (size_t i = 0; i < n->n_branches; i++)
		emit(c, OP_JUMP, 0, 0);
	for (size_t i = 0; i < n->n_branches; i++) {
		c->ops[first + i].arg = (uint32_t)c->n;
		compile(c, n->branches[i]);
		ends[i] = emit(c, OP_JUMP, 0, 0);
	}
	for (size_t i = 0; i < n->n_branches; i++)
		c->ops[ends[i]].arg = (uint32_t)c->n;
}

static void compile(struct compiler *c, const struct schema_node *n)
{
	switch (n->type) {
	case SCHEMA_NULL:
		break;
	case SCHEMA_BOOLEAN:
		emit(c, OP_BOOLEAN, 0, 0);
		break;
	case SCHEMA_INT:
		emit(c, OP_INT, 0, 0);
		break;
	case SCHEMA_LONG:
		emit(c, OP_LONG, 0, 0);
		break;
	case SCHEMA_FLOAT:
		emit_skip(c, 4);
		break;
	case SCHEMA_DOUBLE:
		emit_skip(c, 8);
		break;
	case SCHEMA_BYTES:
		emit(c, OP_BYTES, 0, 0);
		break;
	case SCHEMA_STRING:
		emit(c, OP_STRING, 0, 0);
		break;
	case SCHEMA_RECORD:
		compile_record(c, n);
		break;
	case SCHEMA_ENUM:
		emit(c, OP_ENUM, 0, n->n_symbols);
		break;
	case SCHEMA_FIXED:
		if (n->size)
			emit_skip(c, n->size);
		break;
	case SCHEMA_ARRAY:
	case SCHEMA_MAP:
		compile_items(c, n);
		break;
	case SCHEMA_UNION:
		compile_union(c, n);
		break;
	}
}

struct walker *walker_new(const struct schema *s)
{
	AUTO(freep) uint8_t *width = xcalloc(schema_nodes(s), sizeof(*width));
	AUTO(freep) bool *open = xcalloc(schema_nodes(s), sizeof(*open));
	struct compiler c = {.width = width, .open = open};
	struct walker *w;

	compile(&c, schema_root(s));
	emit(&c, OP_END, 0, 0);
	for (size_t i = 0; i < c.n_subs; i++) { /* more may be added on the way */
		c.subs[i].entry = (uint32_t)c.n;
		compile_fields(&c, c.subs[i].node);
		emit(&c, OP_RETURN, 0, 0);
	}
	for (size_t i = 0; i < c.n; i++)
		if (c.ops[i].code == OP_CALL)
			c.ops[i].arg = c.subs[c.ops[i].arg].entry;
	w = xmalloc(sizeof(*w) + c.n * sizeof(*c.ops));
	w->n = c.n;
	memcpy(w->ops, c.ops, c.n * sizeof(*c.ops));
	free(c.ops);
	free(c.subs);
	return w;
}

void walker_free(struct walker *w)
{
	free(w);
}

/* ---- interpreter ---- */

struct frame {
	const struct op *back; /* of a call */
	uint64_t left; /* items of the block, this one included */
	const unsigned char *block_end; /* NULL: the block names no size */
};

#define HIGH_BITS 0x8080808080808080u

static inline uint64_t load64(const unsigned char *p)
{
	uint64_t w;

	memcpy(&w, p, sizeof(w));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	w = __builtin_bswap64(w);
#endif
	return w;
}

/* Bytes of the varint at p; 11 where it is over 64 bits. */
static inline size_t varint_width(const unsigned char *p)
{
	uint64_t ends = ~load64(p) & HIGH_BITS;

	if (likely(ends))
		return (size_t)(__builtin_ctzll(ends) >> 3) + 1;
	if (p[8] < 0x80)
		return 9;
	return p[9] <= 1 ? 10 : 11;
}

/* Decodes a varint of any width; the slack makes its bytes readable. */
static __attribute__((noinline)) const unsigned char *varint_any(const unsigned char *p,
								 uint64_t *out)
{
	size_t n = varint_width(p);
	uint64_t v = 0;

	if (n > 10)
		return NULL;
	for (size_t i = 0; i < n; i++)
		v |= (uint64_t)(p[i] & 0x7f) << (7 * i);
	*out = v;
	return p + n;
}

/* A length at p: sets n and moves p, both within end. */
static inline const unsigned char *length_at(const unsigned char *p, const unsigned char *end,
					     size_t *n)
{
	uint64_t v = p[0];

	if (likely(v < 0x80)) {
		p += 1;
	} else if (likely(p[1] < 0x80)) {
		v = (v & 0x7f) | (uint64_t)p[1] << 7;
		p += 2;
	} else {
		p = varint_any(p, &v);
		if (!p)
			return NULL;
	}
	if (unlikely(v & 1) || unlikely((int64_t)(v >> 1) > end - p))
		return NULL;
	*n = v >> 1;
	return p;
}

/* Reads the head of a block: *left items (0: the end). */
static const unsigned char *block_at(const unsigned char *p, const unsigned char *end,
				     uint64_t *left, const unsigned char **block_end)
{
	uint64_t v;
	size_t size;

	*block_end = NULL;
	p = varint_any(p, &v);
	if (!p || p > end)
		return NULL;
	*left = v >> 1;
	if (!(v & 1))
		return p;
	*left += 1; /* zigzag: -n is 2n - 1 */
	p = length_at(p, end, &size);
	if (!p)
		return NULL;
	*block_end = p + size;
	return p;
}

/* room: items of no width that the value may still have. */
static const unsigned char *empty_array(const unsigned char *p, const unsigned char *end,
					uint64_t *room)
{
	const unsigned char *block_end;
	uint64_t left;

	for (;;) {
		p = block_at(p, end, &left, &block_end);
		if (!p || (block_end && block_end != p) || left > *room)
			return NULL;
		if (!left)
			return p;
		*room -= left;
	}
}

#define NEXT_OP goto *labels[(++pc)->code]
#define CHECK_END                                                                                  \
	do {                                                                                       \
		if (unlikely(p > end))                                                             \
			return false;                                                              \
	} while (0)

bool walker_check(const struct walker *w, const void *data, size_t len)
{
	static const void *const labels[] = {
		[OP_END] = &&op_end,
		[OP_SKIP] = &&op_skip,
		[OP_BOOLEAN] = &&op_boolean,
		[OP_INT] = &&op_int,
		[OP_LONG] = &&op_long,
		[OP_BYTES] = &&op_bytes,
		[OP_STRING] = &&op_string,
		[OP_ENUM] = &&op_enum,
		[OP_NULLABLE] = &&op_nullable,
		[OP_NULLABLE_STRING] = &&op_nullable_string,
		[OP_NULLABLE_LONG] = &&op_nullable_long,
		[OP_UNION] = &&op_union,
		[OP_JUMP] = &&op_jump,
		[OP_ARRAY] = &&op_array,
		[OP_NEXT] = &&op_next,
		[OP_EMPTY_ARRAY] = &&op_empty_array,
		[OP_CALL] = &&op_call,
		[OP_RETURN] = &&op_return,
	};
	const unsigned char *p = data, *const end = p + len;
	const struct op *pc = w->ops;
	struct frame frames[WALKER_MAX_DEPTH], *top = frames - 1;
	uint64_t v, empty_room = WALKER_MAX_EMPTY;
	size_t n;

	goto *labels[pc->code];

op_end:
	return p == end;

op_skip:
	if (unlikely((size_t)(end - p) < pc->arg))
		return false;
	p += pc->arg;
	NEXT_OP;

op_boolean:
	if (unlikely(*p++ > 1))
		return false;
	CHECK_END;
	NEXT_OP;

op_int:
	n = varint_width(p);
	if (unlikely(n >= 5) && (n > 5 || p[4] > 0x0f))
		return false;
	p += n;
	CHECK_END;
	NEXT_OP;

op_long:
	n = varint_width(p);
	if (unlikely(n > 10))
		return false;
	p += n;
	CHECK_END;
	NEXT_OP;

op_bytes:
	p = length_at(p, end, &n);
	if (unlikely(!p))
		return false;
	p += n;
	NEXT_OP;

op_string:
	p = length_at(p, end, &n);
	if (unlikely(!p) || unlikely(!text_is_utf8(p, n)))
		return false;
	p += n;
	NEXT_OP;

op_enum:
	v = *p++;
	if (unlikely(v >= 0x80)) {
		p = varint_any(p - 1, &v);
		if (!p)
			return false;
	}
	if (unlikely(v & 1) || unlikely(v >> 1 >= pc->arg))
		return false;
	CHECK_END;
	NEXT_OP;

op_nullable:
	v = *p++;
	if (unlikely(v & ~(uint64_t)2)) {
		p = varint_any(p - 1, &v);
		if (!p || v & ~(uint64_t)2)
			return false;
	}
	CHECK_END;
	if (v >> 1 != pc->aux)
		NEXT_OP;
	pc = w->ops + pc->arg;
	goto *labels[pc->code];

op_nullable_string:
	v = *p++;
	if (unlikely(v & ~(uint64_t)2)) {
		p = varint_any(p - 1, &v);
		if (!p || v & ~(uint64_t)2)
			return false;
	}
	CHECK_END;
	if (v >> 1 != pc->aux)
		goto op_string;
	NEXT_OP;

op_nullable_long:
	v = *p++;
	if (unlikely(v & ~(uint64_t)2)) {
		p = varint_any(p - 1, &v);
		if (!p || v & ~(uint64_t)2)
			return false;
	}
	CHECK_END;
	if (v >> 1 != pc->aux)
		goto op_long;
	NEXT_OP;

op_union:
	v = *p++;
	if (unlikely(v >= 0x80)) {
		p = varint_any(p - 1, &v);
		if (!p)
			return false;
	}
	CHECK_END;
	if (unlikely(v & 1) || unlikely(v >> 1 >= pc->arg))
		return false;
	pc += 1 + (v >> 1);
op_jump:
	pc = w->ops + pc->arg;
	goto *labels[pc->code];

op_array:
	v = *p;
	if (likely(v < 0x80) && likely(!(v & 1))) {
		p++;
		CHECK_END;
		if (!v) {
			pc = w->ops + pc->arg;
			goto *labels[pc->code];
		}
		if (unlikely(++top == frames + WALKER_MAX_DEPTH))
			return false;
		top->left = v >> 1;
		top->block_end = NULL;
		NEXT_OP;
	}
	if (unlikely(++top == frames + WALKER_MAX_DEPTH))
		return false;
	p = block_at(p, end, &top->left, &top->block_end);
	if (!p)
		return false;
	if (!top->left) {
		top--;
		pc = w->ops + pc->arg;
		goto *labels[pc->code];
	}
	NEXT_OP;

op_next:
	if (--top->left) {
		pc = w->ops + pc->arg;
		goto *labels[pc->code];
	}
	if (unlikely(top->block_end != NULL) && top->block_end != p)
		return false;
	if (likely(*p == 0) && likely(p < end)) {
		p++;
		top--;
		NEXT_OP;
	}
	p = block_at(p, end, &top->left, &top->block_end);
	if (!p)
		return false;
	if (!top->left) {
		top--;
		NEXT_OP;
	}
	pc = w->ops + pc->arg;
	goto *labels[pc->code];

op_empty_array:
	p = empty_array(p, end, &empty_room);
	if (!p)
		return false;
	NEXT_OP;

op_call:
	if (unlikely(++top == frames + WALKER_MAX_DEPTH))
		return false;
	top->back = pc;
	pc = w->ops + pc->arg;
	goto *labels[pc->code];

op_return:
	pc = top->back;
	top--;
	NEXT_OP;
}
