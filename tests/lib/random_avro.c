#include "tests/lib/random_avro.h"

#include <string.h>

struct maker {
	struct rng *r;
	struct buf *out;
	unsigned names; /* n0, n1, ... are defined */
	unsigned open[16]; /* records being defined */
	unsigned n_open;
};

static void make_type(struct maker *m, int depth, bool in_union);

static void make_record(struct maker *m, int depth)
{
	unsigned name = m->names++;
	unsigned fields = (unsigned)rng_below(m->r, 6);

	m->open[m->n_open++] = name;
	buf_addf(m->out, "{\"type\":\"record\",\"name\":\"n%u\",\"fields\":[", name);
	for (unsigned i = 0; i < fields; i++) {
		buf_addf(m->out, "%s{\"name\":\"f%u\",\"type\":", i ? "," : "", i);
		/* Into itself only behind a union, so that values end. */
		if (rng_below(m->r, 8) == 0)
			buf_addf(m->out, "[\"null\",\"n%u\"]", m->open[rng_below(m->r, m->n_open)]);
		else
			make_type(m, depth + 1, false);
		buf_addc(m->out, '}');
	}
	buf_adds(m->out, "]}");
	m->n_open--;
}

static void make_union(struct maker *m, int depth)
{
	static const char *const simple[] = {"\"null\"",  "\"boolean\"", "\"int\"",    "\"long\"",
					     "\"float\"", "\"double\"",  "\"string\"", "\"bytes\""};
	unsigned n = 0;

	buf_addc(m->out, '[');
	for (unsigned i = 0; i < ARRAY_SIZE(simple); i++)
		if (rng_below(m->r, 4) == 0)
			buf_addf(m->out, "%s%s", n++ ? "," : "", simple[i]);
	if (!n || rng_below(m->r, 2)) {
		if (n)
			buf_addc(m->out, ',');
		make_type(m, depth + 1, true);
	}
	buf_addc(m->out, ']');
}

/* in_union: a type that no other branch can be. */
static void make_type(struct maker *m, int depth, bool in_union)
{
	static const char *const simple[] = {"null",  "boolean", "int",    "long",
					     "float", "double",  "string", "bytes"};
	unsigned kind = (unsigned)rng_below(m->r, in_union ? 5 : 16);

	if (depth > 4 && (kind == 0 || kind == 3 || kind == 4 || kind == 5))
		kind = 1;
	switch (kind) {
	case 0:
		make_record(m, depth);
		break;
	case 1:
		buf_addf(m->out,
			 "{\"type\":\"enum\",\"name\":\"n%u\",\"symbols\":[\"A\",\"B\",\"C\"]}",
			 m->names++);
		break;
	case 2:
		buf_addf(m->out, "{\"type\":\"fixed\",\"name\":\"n%u\",\"size\":%u}", m->names++,
			 (unsigned)rng_below(m->r, 20) + 1);
		break;
	case 3:
		buf_adds(m->out, "{\"type\":\"array\",\"items\":");
		make_type(m, depth + 1, false);
		buf_addc(m->out, '}');
		break;
	case 4:
		buf_adds(m->out, "{\"type\":\"map\",\"values\":");
		make_type(m, depth + 1, false);
		buf_addc(m->out, '}');
		break;
	case 5:
		make_union(m, depth);
		break;
	default:
		buf_addf(m->out, "\"%s\"", simple[rng_below(m->r, ARRAY_SIZE(simple))]);
	}
}

void random_schema(struct rng *r, struct buf *out)
{
	struct maker m = {.r = r, .out = out};

	if (rng_below(r, 4))
		make_record(&m, 0);
	else
		make_type(&m, 0, false);
}

/* ---- values ---- */

struct filler {
	struct rng *r;
	struct buf *out;
	int depth;
};

static void fill(struct filler *f, const struct schema_node *n);

static void add_long(struct buf *out, int64_t v)
{
	buf_add_varint(out, ((uint64_t)v << 1) ^ (uint64_t)(v >> 63));
}

static void add_text(struct filler *f)
{
	static const char *const parts[] = {"a",
					    "order",
					    " ",
					    "\xc3\xa9",
					    "\xe2\x82\xac",
					    "\xf0\x9f\x98\x80",
					    "0123456789abcdef"};
	AUTO(buf_release) struct buf text = BUF_INIT;

	for (uint64_t n = rng_below(f->r, 12); n; n--)
		buf_adds(&text, parts[rng_below(f->r, rng_below(f->r, 4) ? 2 : ARRAY_SIZE(parts))]);
	add_long(f->out, (int64_t)text.len);
	buf_add(f->out, buf_str(&text), text.len);
}

static void add_random(struct filler *f, size_t n)
{
	while (n--)
		buf_addc(f->out, (char)rng_next(f->r));
}

static void fill_items(struct filler *f, const struct schema_node *n)
{
	for (uint64_t blocks = f->depth > 12 ? 0 : rng_below(f->r, 3); blocks; blocks--) {
		AUTO(buf_release) struct buf items = BUF_INIT;
		struct filler inner = {.r = f->r, .out = &items, .depth = f->depth};
		int64_t count = (int64_t)rng_below(f->r, 4) + 1;

		for (int64_t i = 0; i < count; i++) {
			if (n->type == SCHEMA_MAP)
				add_text(&inner);
			fill(&inner, n->branches[0]);
		}
		if (rng_below(f->r, 2)) {
			add_long(f->out, -count);
			add_long(f->out, (int64_t)items.len);
		} else {
			add_long(f->out, count);
		}
		buf_add(f->out, buf_str(&items), items.len);
	}
	add_long(f->out, 0);
}

static void fill_union(struct filler *f, const struct schema_node *n)
{
	size_t i = rng_below(f->r, n->n_branches);

	if (f->depth > 12)
		for (i = 0; i + 1 < n->n_branches && n->branches[i]->type != SCHEMA_NULL;)
			i++;
	add_long(f->out, (int64_t)i);
	fill(f, n->branches[i]);
}

static int64_t random_long(struct rng *r)
{
	uint64_t v = rng_next(r) >> rng_below(r, 64);

	return rng_below(r, 2) ? (int64_t)v : (int64_t)~v;
}

static void fill(struct filler *f, const struct schema_node *n)
{
	size_t len;

	f->depth++;
	switch (n->type) {
	case SCHEMA_NULL:
		break;
	case SCHEMA_BOOLEAN:
		buf_addc(f->out, (char)rng_below(f->r, 2));
		break;
	case SCHEMA_INT:
		add_long(f->out, (int32_t)random_long(f->r));
		break;
	case SCHEMA_LONG:
		add_long(f->out, random_long(f->r));
		break;
	case SCHEMA_FLOAT:
		add_random(f, 4);
		break;
	case SCHEMA_DOUBLE:
		add_random(f, 8);
		break;
	case SCHEMA_BYTES:
		len = rng_below(f->r, rng_below(f->r, 8) ? 20 : 300);
		add_long(f->out, (int64_t)len);
		add_random(f, len);
		break;
	case SCHEMA_STRING:
		add_text(f);
		break;
	case SCHEMA_RECORD:
		for (size_t i = 0; i < n->n_fields; i++)
			fill(f, n->fields[i].type);
		break;
	case SCHEMA_ENUM:
		add_long(f->out, (int64_t)rng_below(f->r, n->n_symbols));
		break;
	case SCHEMA_FIXED:
		add_random(f, n->size);
		break;
	case SCHEMA_ARRAY:
	case SCHEMA_MAP:
		fill_items(f, n);
		break;
	case SCHEMA_UNION:
		fill_union(f, n);
		break;
	}
	f->depth--;
}

void random_value_of(struct rng *r, const struct schema_node *n, struct buf *out)
{
	struct filler f = {.r = r, .out = out};

	fill(&f, n);
}

void random_damage(struct rng *r, struct buf *b)
{
	for (uint64_t n = rng_below(r, 3) + 1; n; n--) {
		switch (rng_below(r, 4)) {
		case 0:
			if (b->len)
				b->len -= rng_below(r, b->len) + 1;
			break;
		case 1:
			buf_addc(b, (char)rng_next(r));
			break;
		case 2:
			if (b->len)
				b->data[rng_below(r, b->len)] = (char)rng_next(r);
			break;
		default:
			if (b->len)
				b->data[rng_below(r, b->len)] ^= (char)(1u << rng_below(r, 8));
		}
	}
}
