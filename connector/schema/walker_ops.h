/* What the walker's compiler hands to its interpreter: a table of operations.
 * Private to the two. */
#ifndef TIDEMARK_SCHEMA_WALKER_OPS_H
#define TIDEMARK_SCHEMA_WALKER_OPS_H

#include <stddef.h>
#include <stdint.h>

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

#endif
