/* The walker's interpreter. walker_compile.c makes what it runs.
 *
 * Bounds: an operation begins with p <= end, reads at most WALKER_SLACK bytes
 * from there without looking, and compares p with end before the next begins;
 * lengths are compared with what is left before p moves. */
#include "connector/schema/walker.h"

#include <string.h>

#include "connector/schema/utf8.h"
#include "connector/schema/walker_ops.h"

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

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

/* lint: long. One label an operation; they share the registers. */
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
