/* The walker's interpreter. walker_compile.c makes what it runs.
 *
 * Bounds: an operation begins with p <= end, reads at most WALKER_SLACK bytes
 * from there without looking, and compares p with end before the next begins;
 * lengths are compared with what is left before p moves. */
#include "connector/schema/walker.h"

#include "connector/schema/utf8.h"
#include "connector/schema/varint.h"
#include "connector/schema/walker_ops.h"

struct frame {
	const struct op *back; /* of a call */
	uint64_t left; /* items of the block, this one included */
	const unsigned char *block_end; /* NULL: the block names no size */
};

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
