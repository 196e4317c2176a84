/* The walker's compiler, from schemas to operations.
 *
 * Records disappear: their fields' operations follow each other. A record is
 * compiled where it is met, but as a subroutine where it is met inside itself
 * or where the table has grown long. Fields of fixed width next to each other
 * become one skip. */
#include <stdlib.h>
#include <string.h>

#include "connector/schema/walker.h"
#include "connector/schema/walker_ops.h"

/* From so many operations on, a record becomes a subroutine. */
#define INLINE_OPS 2048

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
