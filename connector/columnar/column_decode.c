/* Values of Avro into the elements of vectors: one descent of the plan a row.
 *
 * Bounds: as in the walker, a value begins with p <= end and may read
 * COLUMN_ROWS_SLACK bytes from there without looking; p is compared with end
 * before the next begins. What is refused is what the walker refuses, and what a
 * column cannot hold. */
#include <string.h>

#include "connector/columnar/column_rows_impl.h"
#include "connector/schema/utf8.h"
#include "connector/schema/varint.h"

#define INLINE_TEXT 12 /* a duckdb_string_t's own room */

#define US_PER_DAY 86400000000
#define MS_PER_DAY 86400000

static const unsigned char *refuse(struct column_rows *r, const struct column *c, const char *why)
{
	if (!r->why) {
		r->why = why;
		r->where = c;
	}
	return NULL;
}

static void set_invalid(struct column_rows *r, struct slot *s, idx_t row)
{
	if (unlikely(!s->validity)) {
		r->duck->vector_ensure_validity_writable(s->vector);
		s->validity = r->duck->vector_get_validity(s->vector);
	}
	s->validity[row / 64] &= ~((uint64_t)1 << row % 64);
}

/* A row may have been taken back: what it made null is null no longer. */
static inline void set_valid(struct slot *s, idx_t row)
{
	if (s->validity)
		s->validity[row / 64] |= (uint64_t)1 << row % 64;
}

/* Null, with all that is within: COPY reads the children of a null struct. */
static void set_null(struct column_rows *r, const struct column *c, idx_t row)
{
	struct slot *s = &r->slots[c->index];

	set_invalid(r, s, row);
	if (c->op == COLUMN_STRUCT || c->op == COLUMN_UNION)
		for (size_t i = 0; i < c->n_children; i++)
			set_null(r, &c->children[i], row);
	else if (c->op == COLUMN_LIST || c->op == COLUMN_MAP)
		((duckdb_list_entry *)s->data)[row] =
			(duckdb_list_entry){.offset = s->used, .length = 0};
	else if (c->op == COLUMN_TEXT || c->op == COLUMN_BYTES || c->op == COLUMN_FIXED)
		((duckdb_string_t *)s->data)[row] = (duckdb_string_t){.value = {.inlined = {0}}};
}

static inline void set_text(struct slot *s, idx_t row, const unsigned char *p, size_t n)
{
	duckdb_string_t *t = (duckdb_string_t *)s->data + row;

	if (n <= INLINE_TEXT) {
		memset(t, 0, sizeof(*t));
		t->value.inlined.length = (uint32_t)n;
		memcpy(t->value.inlined.inlined, p, n);
		return;
	}
	t->value.pointer.length = (uint32_t)n;
	memcpy(t->value.pointer.prefix, p, sizeof(t->value.pointer.prefix));
	t->value.pointer.ptr = (char *)(uintptr_t)p;
}

/* A varint, checked against the end; width: the most bytes it may have. */
static inline const unsigned char *number(struct column_rows *r, const struct column *c,
					  const unsigned char *p, int64_t *out)
{
	uint64_t v = *p;

	if (likely(v < 0x80)) {
		p++;
	} else {
		p = varint_any(p, &v);
		if (unlikely(!p))
			return refuse(r, c, "a number is over 64 bits");
	}
	if (unlikely(p > r->end))
		return refuse(r, c, "the value ends early");
	*out = unzigzag(v);
	return p;
}

static const unsigned char *small_number(struct column_rows *r, const struct column *c,
					 const unsigned char *p, int64_t *out)
{
	const unsigned char *from = p;

	p = number(r, c, p, out);
	if (p && (p - from > 5 || *out != (int32_t)*out))
		return refuse(r, c, "an int is over 32 bits");
	return p;
}

static inline const unsigned char *bytes_of_length(struct column_rows *r, const struct column *c,
						   const unsigned char *p, size_t *n)
{
	p = length_at(p, r->end, n);
	return likely(p != NULL) ? p
				 : refuse(r, c, "the value ends early, or a length is negative");
}

static const unsigned char *take(struct column_rows *r, const struct column *c,
				 const unsigned char *p, size_t n)
{
	return (size_t)(r->end - p) < n ? refuse(r, c, "the value ends early") : p + n;
}

static unsigned __int128 power_of_ten(int n)
{
	unsigned __int128 v = 1;

	while (n-- > 0)
		v *= 10;
	return v;
}

/* An unscaled number, two's complement, big-endian, of any length. */
static bool decimal_value(const struct column *c, const unsigned char *p, size_t n, __int128 *out)
{
	unsigned char sign = n && (p[0] & 0x80) ? 0xff : 0;
	unsigned __int128 v = sign ? ~(unsigned __int128)0 : 0, magnitude;

	while (n > sizeof(v)) {
		if (*p != sign)
			return false;
		p++;
		n--;
	}
	for (size_t i = 0; i < n; i++)
		v = v << 8 | p[i];
	if ((v >> 127 != 0) != (sign != 0))
		return false;
	magnitude = sign ? -v : v;
	*out = (__int128)v;
	return magnitude < power_of_ten(c->precision);
}

static const unsigned char *decimal(struct column_rows *r, const struct column *c, idx_t row,
				    const unsigned char *p, size_t n)
{
	char *at = (char *)r->slots[c->index].data + row * c->width;
	__int128 v;

	if (!decimal_value(c, p, n, &v))
		return refuse(r, c, "a decimal has more digits than its precision");
	memcpy(at, &v, c->width); /* little-endian: its low bytes */
	return p + n;
}

static bool uuid_parse(const unsigned char *p, size_t n, unsigned char out[16])
{
	size_t digits = 0;

	if (n != 36)
		return false;
	for (size_t i = 0; i < n; i++) {
		int d = hex_digit((char)p[i]);

		if (i == 8 || i == 13 || i == 18 || i == 23) {
			if (p[i] != '-')
				return false;
			continue;
		}
		if (d < 0)
			return false;
		out[digits / 2] = (unsigned char)(digits % 2 ? out[digits / 2] | d : d << 4);
		digits++;
	}
	return true;
}

/* 128 bits in DuckDB's order, the highest bit flipped. */
static void set_uuid(struct slot *s, idx_t row, const unsigned char id[16])
{
	uint64_t high = 0, low = 0;

	for (size_t i = 0; i < 8; i++) {
		high = high << 8 | id[i];
		low = low << 8 | id[8 + i];
	}
	((duckdb_hugeint *)s->data)[row] =
		(duckdb_hugeint){.lower = low, .upper = (int64_t)(high ^ (uint64_t)1 << 63)};
}

static uint32_t load_le32(const unsigned char *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static const unsigned char *duration(struct column_rows *r, const struct column *c, idx_t row,
				     const unsigned char *p)
{
	uint32_t months = load_le32(p), days = load_le32(p + 4);

	if ((months | days) >> 31)
		return refuse(r, c, "a duration is over 2^31 months or days");
	((duckdb_interval *)r->slots[c->index].data)[row] =
		(duckdb_interval){.months = (int32_t)months,
				  .days = (int32_t)days,
				  .micros = (int64_t)load_le32(p + 8) * 1000};
	return p;
}

static const unsigned char *time_of_day(struct column_rows *r, const struct column *c, idx_t row,
					int64_t v)
{
	bool millis = c->op == COLUMN_TIME_MILLIS;

	if (v < 0 || v > (millis ? MS_PER_DAY : US_PER_DAY))
		return refuse(r, c, "a time of day is not between 00:00 and 24:00");
	((int64_t *)r->slots[c->index].data)[row] = millis ? v * 1000 : v;
	return r->end;
}

/* ---- lists ---- */

/* Room for n more items of the list or map. */
static void make_room(struct column_rows *r, const struct column *c, uint64_t n)
{
	struct slot *s = &r->slots[c->index];
	idx_t cap = s->cap;

	if (s->used + n <= s->cap)
		return;
	while (cap < s->used + n)
		cap *= 2;
	column_rows_reserve(r, c, cap);
}

static bool has_width(const struct column *c)
{
	return c->op == COLUMN_MAP || c->children[0].has_width;
}

static const unsigned char *item(struct column_rows *r, const struct column *c,
				 const unsigned char *p)
{
	idx_t at = r->slots[c->index].used++;

	p = column_decode(r, &c->children[0], at, p);
	if (p && c->op == COLUMN_MAP)
		p = column_decode(r, &c->children[1], at, p);
	return p;
}

/* May a block have so many items? */
static bool block_fits(struct column_rows *r, const struct column *c, uint64_t n,
		       const unsigned char *p)
{
	if (has_width(c))
		return n <= (uint64_t)(r->end - p);
	if (n > r->empty_items)
		return false;
	r->empty_items -= n;
	return true;
}

static const unsigned char *list(struct column_rows *r, const struct column *c, idx_t row,
				 const unsigned char *p)
{
	idx_t from = r->slots[c->index].used;
	const unsigned char *block_end;
	uint64_t n;

	for (;;) {
		p = block_at(p, r->end, &n, &block_end);
		if (!p || !block_fits(r, c, n, p))
			return refuse(r, c,
				      "the items of an array or map end early, or are too many");
		if (!n)
			break;
		make_room(r, c, n);
		for (uint64_t i = 0; p && i < n; i++)
			p = item(r, c, p);
		if (!p)
			return NULL;
		if (block_end && block_end != p)
			return refuse(r, c, "a block's size is not that of its items");
	}
	((duckdb_list_entry *)r->slots[c->index].data)[row] =
		(duckdb_list_entry){.offset = from, .length = r->slots[c->index].used - from};
	return p;
}

/* ---- unions ---- */

static const unsigned char *union_value(struct column_rows *r, const struct column *c, idx_t row,
					const unsigned char *p)
{
	int64_t branch;
	int taken;

	p = number(r, c, p, &branch);
	if (!p)
		return NULL;
	if (branch < 0 || branch >= (int64_t)c->n_branches)
		return refuse(r, c, "a union has no such branch");
	taken = c->branches[branch];
	if (taken == COLUMN_NO_BRANCH) {
		set_null(r, c, row);
		return p;
	}
	for (size_t i = 0; i < c->n_children; i++)
		if ((int)i != taken)
			set_null(r, &c->children[i], row);
	return column_decode(r, &c->children[taken], row, p);
}

/* The branch of a union of one, or of two with null. *null_out: it is null. */
static inline const unsigned char *branch_of(struct column_rows *r, const struct column *c,
					     const unsigned char *p, bool *null_out)
{
	int64_t branch;

	p = number(r, c, p, &branch);
	if (p && unlikely(branch < 0 || branch > (c->single ? 0 : 1)))
		return refuse(r, c, "a union has no such branch");
	*null_out = p && branch == c->null_branch;
	return p;
}

/* ---- one value ---- */

/* lint: long. One case a type. */
const unsigned char *column_decode(struct column_rows *r, const struct column *c, idx_t row,
				   const unsigned char *p)
{
	struct slot *s = &r->slots[c->index];
	unsigned char id[16];
	int64_t v;
	size_t n;

	if (c->null_branch != COLUMN_NO_BRANCH || c->single) {
		bool null;

		p = branch_of(r, c, p, &null);
		if (!p)
			return NULL;
		if (null) {
			set_null(r, c, row);
			return p;
		}
	}
	set_valid(s, row);
	switch (c->op) {
	case COLUMN_NULL:
		set_null(r, c, row);
		return p;
	case COLUMN_PRESENT:
		((bool *)s->data)[row] = true;
		return p;
	case COLUMN_BOOLEAN:
		if (unlikely(p == r->end || *p > 1))
			return refuse(r, c, "a boolean is neither 0 nor 1");
		((bool *)s->data)[row] = *p == 1;
		return p + 1;
	case COLUMN_INT:
		p = small_number(r, c, p, &v);
		((int32_t *)s->data)[row] = p ? (int32_t)v : 0;
		return p;
	case COLUMN_LONG:
		return number(r, c, p, (int64_t *)s->data + row);
	case COLUMN_TIMES_1000:
		p = number(r, c, p, &v);
		if (p && __builtin_mul_overflow(v, 1000, (int64_t *)s->data + row))
			return refuse(r, c, "a timestamp is out of range");
		return p;
	case COLUMN_TIME_MILLIS:
		p = small_number(r, c, p, &v);
		return p && time_of_day(r, c, row, v) ? p : NULL;
	case COLUMN_TIME_MICROS:
		p = number(r, c, p, &v);
		return p && time_of_day(r, c, row, v) ? p : NULL;
	case COLUMN_FLOAT:
		memcpy((float *)s->data + row, p, sizeof(float));
		return take(r, c, p, sizeof(float));
	case COLUMN_DOUBLE:
		memcpy((double *)s->data + row, p, sizeof(double));
		return take(r, c, p, sizeof(double));
	case COLUMN_TEXT:
		p = bytes_of_length(r, c, p, &n);
		if (unlikely(!p))
			return NULL;
		if (unlikely(!text_is_utf8(p, n)))
			return refuse(r, c, "the string is not UTF-8");
		set_text(s, row, p, n);
		return p + n;
	case COLUMN_BYTES:
		p = bytes_of_length(r, c, p, &n);
		if (unlikely(!p))
			return NULL;
		set_text(s, row, p, n);
		return p + n;
	case COLUMN_FIXED:
		if (!take(r, c, p, c->size))
			return NULL;
		set_text(s, row, p, c->size);
		return p + c->size;
	case COLUMN_ENUM:
		p = number(r, c, p, &v);
		if (p && (v < 0 || v >= (int64_t)c->n_symbols))
			return refuse(r, c, "an enum has no such symbol");
		if (p)
			memcpy((char *)s->data + row * c->width, &v, c->width);
		return p;
	case COLUMN_DECIMAL_BYTES:
		p = bytes_of_length(r, c, p, &n);
		return p ? decimal(r, c, row, p, n) : NULL;
	case COLUMN_DECIMAL_FIXED:
		return take(r, c, p, c->size) ? decimal(r, c, row, p, c->size) : NULL;
	case COLUMN_UUID_TEXT:
		p = bytes_of_length(r, c, p, &n);
		if (p && !uuid_parse(p, n, id))
			return refuse(r, c, "the string is no UUID");
		if (p)
			set_uuid(s, row, id);
		return p ? p + n : NULL;
	case COLUMN_UUID_FIXED:
		if (!take(r, c, p, sizeof(id)))
			return NULL;
		set_uuid(s, row, p);
		return p + sizeof(id);
	case COLUMN_DURATION:
		return take(r, c, p, c->size) && duration(r, c, row, p) ? p + c->size : NULL;
	case COLUMN_STRUCT:
		for (size_t i = 0; p && i < c->n_children; i++)
			p = column_decode(r, &c->children[i], row, p);
		return p;
	case COLUMN_LIST:
	case COLUMN_MAP:
		return list(r, c, row, p);
	case COLUMN_UNION:
		break;
	}
	return union_value(r, c, row, p);
}

/* ---- what nobody wants ---- */

static const unsigned char *skip_list(struct column_rows *r, const struct column *c,
				      const unsigned char *p)
{
	const unsigned char *block_end;
	uint64_t n;

	for (;;) {
		p = block_at(p, r->end, &n, &block_end);
		if (!p || !block_fits(r, c, n, p))
			return refuse(r, c,
				      "the items of an array or map end early, or are too many");
		if (!n)
			return p;
		if (block_end) {
			p = block_end;
			continue;
		}
		for (uint64_t i = 0; p && i < n; i++) {
			p = column_skip(r, &c->children[0], p);
			if (p && c->op == COLUMN_MAP)
				p = column_skip(r, &c->children[1], p);
		}
		if (!p)
			return NULL;
	}
}

const unsigned char *column_skip(struct column_rows *r, const struct column *c,
				 const unsigned char *p)
{
	int64_t v;
	size_t n;

	if (c->null_branch != COLUMN_NO_BRANCH || c->single) {
		bool null;

		p = branch_of(r, c, p, &null);
		if (!p || null)
			return p;
	}
	switch (c->op) {
	case COLUMN_NULL:
	case COLUMN_PRESENT:
		return p;
	case COLUMN_BOOLEAN:
		return take(r, c, p, 1);
	case COLUMN_FLOAT:
		return take(r, c, p, sizeof(float));
	case COLUMN_DOUBLE:
		return take(r, c, p, sizeof(double));
	case COLUMN_FIXED:
	case COLUMN_DECIMAL_FIXED:
	case COLUMN_UUID_FIXED:
	case COLUMN_DURATION:
		return take(r, c, p, c->size);
	case COLUMN_TEXT:
	case COLUMN_BYTES:
	case COLUMN_DECIMAL_BYTES:
	case COLUMN_UUID_TEXT:
		p = bytes_of_length(r, c, p, &n);
		return p ? p + n : NULL;
	case COLUMN_STRUCT:
		for (size_t i = 0; p && i < c->n_children; i++)
			p = column_skip(r, &c->children[i], p);
		return p;
	case COLUMN_LIST:
	case COLUMN_MAP:
		return skip_list(r, c, p);
	case COLUMN_UNION:
		p = number(r, c, p, &v);
		if (p && (v < 0 || v >= (int64_t)c->n_branches))
			return refuse(r, c, "a union has no such branch");
		return p && c->branches[v] != COLUMN_NO_BRANCH
			       ? column_skip(r, &c->children[c->branches[v]], p)
			       : p;
	default:
		return number(r, c, p, &v);
	}
}
