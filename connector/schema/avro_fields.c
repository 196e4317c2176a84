#include "connector/schema/avro_fields.h"

#include <stdlib.h>
#include <string.h>

#include "connector/schema/walker.h"

/* More than the walker lets through: each of its levels is at most a few nodes. */
#define MAX_DEPTH 4096

/* Beside a schema's node: what is wanted of it and below it. */
struct plan {
	size_t *slots; /* fields that end here */
	size_t n_slots;
	size_t cap_slots;
	struct plan **below; /* record: by field; union: by branch. NULL: nothing */
	size_t n_below;
};

struct avro_fields {
	const struct schema *schema;
	struct plan *plan;
	size_t n;
};

static void plan_free(struct plan *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->n_below; i++)
		plan_free(p->below[i]);
	free(p->below);
	free(p->slots);
	free(p);
}

/* ---- where fields are ---- */

static struct plan *plan_below(struct plan *p, size_t n, size_t i)
{
	if (!p->below) {
		p->below = xcalloc(n, sizeof(struct plan *));
		p->n_below = n;
	}
	if (!p->below[i])
		p->below[i] = xcalloc(1, sizeof(*p));
	return p->below[i];
}

static void names_of(const struct schema_node *n, struct buf *out)
{
	for (size_t i = 0; i < n->n_fields; i++)
		buf_addf(out, "%s%s", i ? ", " : "", n->fields[i].name);
}

/* NULL, or why the path leads nowhere. p NULL: only looks. */
static char *plan_add(struct plan *p, const struct schema_node *n, const char *path, size_t slot)
{
	size_t len = strcspn(path, ".");
	AUTO(buf_release) struct buf names = BUF_INIT;
	char *why = NULL;
	bool found = false;

	if (n->type == SCHEMA_UNION) {
		for (size_t i = 0; i < n->n_branches; i++) {
			char *one = n->branches[i]->type == SCHEMA_NULL
					    ? NULL
					    : plan_add(p ? plan_below(p, n->n_branches, i) : NULL,
						       n->branches[i], path, slot);

			found = found || (!one && n->branches[i]->type != SCHEMA_NULL);
			if (one && why)
				free(one);
			else if (one)
				why = one;
		}
		if (!found)
			return why ? why : xasprintf("it has no field %s: it is null", path);
		free(why);
		return NULL;
	}
	if (!*path) {
		if (p) {
			GROW(p->slots, p->n_slots, p->cap_slots);
			p->slots[p->n_slots++] = slot;
		}
		return NULL;
	}
	if (n->type != SCHEMA_RECORD)
		return xasprintf("it has no field %s: that lies in %s, not in a record", path,
				 schema_type_name(n->type));
	for (size_t i = 0; i < n->n_fields; i++)
		if (strlen(n->fields[i].name) == len && strncmp(n->fields[i].name, path, len) == 0)
			return plan_add(p ? plan_below(p, n->n_fields, i) : NULL, n->fields[i].type,
					path + len + (path[len] == '.'), slot);
	names_of(n, &names);
	return xasprintf("it has no field %.*s; it has %s", (int)len, path, buf_str(&names));
}

char *avro_field_lack(const struct schema *schema, const char *field)
{
	return plan_add(NULL, schema_root(schema), field, 0);
}

struct avro_fields *avro_fields_new(const struct schema *schema, const char *const *fields,
				    size_t n, char **lack)
{
	struct avro_fields *f = xcalloc(1, sizeof(*f));

	f->schema = schema;
	f->n = n;
	f->plan = xcalloc(1, sizeof(*f->plan));
	for (size_t i = 0; i < n; i++)
		lack[i] = plan_add(f->plan, schema_root(schema), fields[i], i);
	return f;
}

void avro_fields_free(struct avro_fields *f)
{
	if (!f)
		return;
	plan_free(f->plan);
	free(f);
}

/* ---- values ---- */

struct reading {
	struct bytes *in;
	struct value *values;
	const char *why; /* static; NULL: nothing is wrong */
	unsigned depth;
	uint64_t empty; /* items without a byte so far */
	size_t wanted; /* fields that are not found yet; 0: nothing more is read */
};

static void read_value(struct reading *r, const struct schema_node *n, const struct plan *p);

static bool bad(struct reading *r, const char *why)
{
	if (!r->why)
		r->why = why;
	return false;
}

static bool take_long(struct reading *r, int64_t *out)
{
	uint64_t raw;

	if (!bytes_varint(r->in, &raw))
		return bad(r, "a number ends too early");
	*out = (int64_t)(raw >> 1) ^ -(int64_t)(raw & 1);
	return true;
}

static bool take_bytes(struct reading *r, size_t len, struct value *v)
{
	const unsigned char *p;

	if (len > bytes_left(r->in) || !bytes_take(r->in, len, &p))
		return bad(r, "a value ends too early");
	v->data = (const char *)p;
	v->len = len;
	return true;
}

static bool take_text(struct reading *r, struct value *v)
{
	int64_t len;

	if (!take_long(r, &len))
		return false;
	if (len < 0)
		return bad(r, "a length is negative");
	return take_bytes(r, (size_t)len, v);
}

static bool take_float(struct reading *r, struct value *v)
{
	uint32_t bits = 0;
	float f;

	if (!take_bytes(r, 4, v))
		return false;
	for (int i = 3; i >= 0; i--)
		bits = bits << 8 | (unsigned char)v->data[i];
	memcpy(&f, &bits, sizeof(f));
	v->real = f;
	return true;
}

static bool take_double(struct reading *r, struct value *v)
{
	uint64_t bits = 0;

	if (!take_bytes(r, 8, v))
		return false;
	for (int i = 7; i >= 0; i--)
		bits = bits << 8 | (unsigned char)v->data[i];
	memcpy(&v->real, &bits, sizeof(v->real));
	return true;
}

static bool take_enum(struct reading *r, const struct schema_node *n, struct value *v)
{
	int64_t i;

	if (!take_long(r, &i))
		return false;
	if (i < 0 || (uint64_t)i >= n->n_symbols)
		return bad(r, "an enum has no such symbol");
	v->data = n->symbols[i];
	v->len = strlen(n->symbols[i]);
	return true;
}

static bool take_items(struct reading *r, const struct schema_node *n)
{
	for (;;) {
		struct value key;
		int64_t count, size;

		if (!take_long(r, &count))
			return false;
		if (count == 0)
			return true;
		if (count < 0) { /* its size follows: nothing in it is wanted */
			if (!take_long(r, &size))
				return false;
			if (size < 0 || !take_bytes(r, (size_t)size, &key))
				return bad(r, "a block ends too early");
			continue;
		}
		for (; count > 0 && !r->why; count--) {
			const unsigned char *before = r->in->p;

			if (n->type == SCHEMA_MAP && !take_text(r, &key))
				return false;
			read_value(r, n->branches[0], NULL);
			if (r->in->p == before && ++r->empty > WALKER_MAX_EMPTY)
				return bad(r, "too many items without a byte");
		}
		if (r->why)
			return false;
	}
}

static void found(struct reading *r, size_t slot, const struct value *v)
{
	/* A null may stand for several branches, each of which leads here. */
	if (r->wanted < SIZE_MAX && r->values[slot].kind == VALUE_ABSENT)
		r->wanted--;
	r->values[slot] = *v;
}

static void read_union(struct reading *r, const struct schema_node *n, const struct plan *p)
{
	const struct plan *below;
	int64_t i;

	if (!take_long(r, &i))
		return;
	if (i < 0 || (uint64_t)i >= n->n_branches) {
		bad(r, "a union has no such branch");
		return;
	}
	if (n->branches[i]->type != SCHEMA_NULL) {
		read_value(r, n->branches[i], p && p->below ? p->below[i] : NULL);
		return;
	}
	/* what ends at the union is null; what lies below it is absent */
	for (size_t k = 0; p && p->below && k < p->n_below; k++) {
		below = p->below[k];
		for (size_t s = 0; below && s < below->n_slots; s++)
			found(r, below->slots[s], &(struct value){.kind = VALUE_NULL});
	}
}

static bool read_plain(struct reading *r, const struct schema_node *n, struct value *v)
{
	v->type = n;
	switch (n->type) {
	case SCHEMA_NULL:
		v->kind = VALUE_NULL;
		return true;
	case SCHEMA_BOOLEAN:
		v->kind = VALUE_BOOLEAN;
		if (!take_bytes(r, 1, v))
			return false;
		v->number = v->data[0] != 0;
		v->len = 0;
		return true;
	case SCHEMA_INT:
	case SCHEMA_LONG:
		v->kind = VALUE_LONG;
		return take_long(r, &v->number);
	case SCHEMA_FLOAT:
		v->kind = VALUE_FLOAT;
		return take_float(r, v);
	case SCHEMA_DOUBLE:
		v->kind = VALUE_DOUBLE;
		return take_double(r, v);
	case SCHEMA_BYTES:
		v->kind = VALUE_BYTES;
		return take_text(r, v);
	case SCHEMA_STRING:
		v->kind = VALUE_TEXT;
		return take_text(r, v);
	case SCHEMA_FIXED:
		v->kind = VALUE_BYTES;
		return take_bytes(r, n->size, v);
	case SCHEMA_ENUM:
		v->kind = VALUE_TEXT;
		return take_enum(r, n, v);
	default:
		v->kind = VALUE_OTHER;
		return take_items(r, n);
	}
}

static void read_value(struct reading *r, const struct schema_node *n, const struct plan *p)
{
	struct value v = {.kind = VALUE_OTHER};
	const char *from = (const char *)r->in->p;

	if (r->why)
		return;
	if (++r->depth > MAX_DEPTH) {
		bad(r, "it is nested too deeply");
		return;
	}
	if (n->type == SCHEMA_UNION)
		read_union(r, n, p);
	else if (n->type == SCHEMA_RECORD)
		for (size_t i = 0; i < n->n_fields && r->wanted; i++)
			read_value(r, n->fields[i].type, p && p->below ? p->below[i] : NULL);
	else if (!read_plain(r, n, &v))
		bad(r, "it ends too early");
	r->depth--;
	if (n->type == SCHEMA_UNION || r->why)
		return;
	if (v.kind == VALUE_OTHER) {
		v.data = from;
		v.len = (size_t)((const char *)r->in->p - from);
	}
	for (size_t s = 0; p && s < p->n_slots; s++)
		found(r, p->slots[s], &v);
}

const char *avro_fields_read(const struct avro_fields *f, struct bytes *in, struct value *values)
{
	struct reading r = {.in = in, .values = values, .wanted = SIZE_MAX};

	read_value(&r, schema_root(f->schema), f->plan);
	return r.why;
}

const char *avro_fields_peek(const struct avro_fields *f, struct bytes *in, struct value *values)
{
	struct reading r = {.in = in, .values = values, .wanted = f->n};

	read_value(&r, schema_root(f->schema), f->plan);
	return r.why;
}
