#include "connector/columnar/column_keys.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "connector/columnar/column_rows_impl.h"

struct key {
	const struct column *column;
	uint32_t *ranks; /* ENUM: by symbol, its place among the texts */
};

struct column_keys {
	struct key *items;
	size_t n;
};

/* ---- which columns ---- */

static bool has_order(const struct column *c)
{
	return c->op != COLUMN_STRUCT && c->op != COLUMN_UNION && c->op != COLUMN_LIST &&
	       c->op != COLUMN_MAP && c->op != COLUMN_DURATION;
}

/* The column of the path, through records and the branches of unions; NULL: there is none.
 * A name may hold dots itself. */
static const struct column *find(const struct column *in, const char *path)
{
	for (size_t i = 0; i < in->n_children; i++) {
		const struct column *c = &in->children[i];
		size_t len = strlen(c->name);

		if (strcmp(c->name, path) == 0)
			return c;
		if ((c->op == COLUMN_STRUCT || c->op == COLUMN_UNION) && path[len] == '.' &&
		    strncmp(c->name, path, len) == 0) {
			const struct column *found = find(c, path + len + 1);

			if (found)
				return found;
		}
	}
	return NULL;
}

/* "a, b, c"; of many the first. */
static void add_names(const struct columns *c, struct buf *out)
{
	size_t i = 0;

	for (; i < c->root.n_children && out->len < 200; i++)
		buf_addf(out, "%s%s", i ? ", " : "", c->root.children[i].name);
	if (i < c->root.n_children)
		buf_adds(out, ", ...");
}

enum status column_keys_check(const struct columns *c, const char *const *paths, size_t n,
			      struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		const struct column *column = find(&c->root, paths[i]);
		AUTO(buf_release) struct buf names = BUF_INIT;

		if (column && has_order(column))
			continue;
		if (column)
			return err_set(err, ST_FAILED,
				       "the column '%s' holds lists, maps, records or durations, "
				       "which have no order",
				       paths[i]);
		add_names(c, &names);
		return err_set(err, ST_FAILED, "there is no column '%s'; there are %s", paths[i],
			       buf_str(&names));
	}
	return ST_OK;
}

struct symbol {
	char *text;
	uint32_t at;
};

static int by_text(const void *x, const void *y)
{
	const struct symbol *a = x, *b = y;

	return strcmp(a->text, b->text);
}

/* Files hold an enum's text, by which readers compare. */
static uint32_t *ranks_of(const struct column *c)
{
	AUTO(freep) struct symbol *symbols = xcalloc(c->n_symbols + 1, sizeof(*symbols));
	uint32_t *ranks = xcalloc(c->n_symbols + 1, sizeof(*ranks));
	const struct duckdb_api *duck;
	struct err err = ERR_INIT;

	if (duckdb_api_load(&duck, &err) != ST_OK)
		abort(); /* who has columns has the library */
	for (size_t i = 0; i < c->n_symbols; i++)
		symbols[i] = (struct symbol){duck->enum_dictionary_value(c->type, i), (uint32_t)i};
	if (c->n_symbols)
		qsort(symbols, c->n_symbols, sizeof(*symbols), by_text);
	for (size_t i = 0; i < c->n_symbols; i++) {
		ranks[symbols[i].at] = (uint32_t)i;
		duck->free(symbols[i].text);
	}
	return ranks;
}

struct column_keys *column_keys_new(const struct columns *c, const char *const *paths, size_t n)
{
	struct column_keys *k = xcalloc(1, sizeof(*k));

	k->items = xcalloc(n + 1, sizeof(*k->items));
	for (size_t i = 0; i < n; i++) {
		const struct column *column = find(&c->root, paths[i]);

		if (!column || !has_order(column) || column->op == COLUMN_NULL)
			continue;
		k->items[k->n++] =
			(struct key){column, column->op == COLUMN_ENUM ? ranks_of(column) : NULL};
	}
	return k;
}

void column_keys_free(struct column_keys *k)
{
	if (!k)
		return;
	for (size_t i = 0; i < k->n; i++)
		free(k->items[i].ranks);
	free(k->items);
	free(k);
}

bool column_keys_are_equal(const struct column_keys *k)
{
	return k->n == 0;
}

/* ---- their bytes ---- */

static void add_number(struct buf *out, int64_t v)
{
	buf_add_be64(out, (uint64_t)v ^ (uint64_t)1 << 63);
}

/* 128 bits, two's complement. */
static void add_huge(struct buf *out, const void *at)
{
	__int128 v;

	memcpy(&v, at, sizeof(v));
	add_number(out, (int64_t)(v >> 64));
	buf_add_be64(out, (uint64_t)v);
}

/* NaN is the greatest; -0.0 is 0.0. */
static void add_real(struct buf *out, double v)
{
	uint64_t bits;

	if (v == 0)
		v = 0;
	if (isnan(v))
		v = NAN;
	memcpy(&bits, &v, sizeof(bits));
	if (isnan(v))
		bits &= ~((uint64_t)1 << 63);
	buf_add_be64(out, bits >> 63 ? ~bits : bits | (uint64_t)1 << 63);
}

/* A zero byte is 00 ff, the end 00 00: so that no key begins with another. */
static void add_text(struct buf *out, const duckdb_string_t *t)
{
	size_t len = t->value.inlined.length;
	const char *p = len <= sizeof(t->value.inlined.inlined) ? t->value.inlined.inlined
								: t->value.pointer.ptr;

	while (len) {
		const char *zero = memchr(p, '\0', len);
		size_t n = zero ? (size_t)(zero - p) : len;

		buf_add(out, p, n);
		if (zero) {
			buf_add(out, "\0\xff", 2);
			n++;
		}
		p += n;
		len -= n;
	}
	buf_add(out, "\0\0", 2);
}

static void add_decimal(struct buf *out, const struct column *c, const char *data, size_t row)
{
	const void *at = data + row * c->width;
	int64_t v = 0;

	if (c->width == 16) {
		add_huge(out, at);
	} else {
		const unsigned unused = 64 - 8 * (unsigned)c->width;

		memcpy(&v, at, c->width); /* little-endian */
		add_number(out, (int64_t)((uint64_t)v << unused) >> unused);
	}
}

static void add_symbol(struct buf *out, const struct key *k, const char *data, size_t row)
{
	uint32_t symbol = 0;

	memcpy(&symbol, data + row * k->column->width, k->column->width);
	buf_add_be32(out, k->ranks[symbol]);
}

static void add_value(struct buf *out, const struct key *k, const void *data, size_t row)
{
	switch (k->column->op) {
	case COLUMN_BOOLEAN:
	case COLUMN_PRESENT:
		buf_addc(out, (char)((const bool *)data)[row]);
		break;
	case COLUMN_INT:
		add_number(out, ((const int32_t *)data)[row]);
		break;
	case COLUMN_FLOAT:
		add_real(out, (double)((const float *)data)[row]);
		break;
	case COLUMN_DOUBLE:
		add_real(out, ((const double *)data)[row]);
		break;
	case COLUMN_TEXT:
	case COLUMN_BYTES:
	case COLUMN_FIXED:
		add_text(out, (const duckdb_string_t *)data + row);
		break;
	case COLUMN_ENUM:
		add_symbol(out, k, data, row);
		break;
	case COLUMN_DECIMAL_BYTES:
	case COLUMN_DECIMAL_FIXED:
		add_decimal(out, k->column, data, row);
		break;
	case COLUMN_UUID_TEXT:
	case COLUMN_UUID_FIXED: /* its highest bit is flipped: as a signed number it has the
				   order of its bytes */
		add_huge(out, (const duckdb_hugeint *)data + row);
		break;
	default: /* times and whole numbers */
		add_number(out, ((const int64_t *)data)[row]);
	}
}

void column_keys_add(const struct column_keys *k, const struct column_rows *rows, size_t row,
		     struct buf *out)
{
	for (size_t i = 0; i < k->n; i++) {
		const struct slot *s = &rows->slots[k->items[i].column->index];
		const bool null = s->validity && !(s->validity[row / 64] >> row % 64 & 1);

		buf_addc(out, null);
		if (!null)
			add_value(out, &k->items[i], s->data, row);
	}
}
