/* The plan of a schema's columns: a tree, compiled by columns.c and run by
 * column_rows.c and column_decode.c; column_keys.c looks columns up in it. Private to
 * these. */
#ifndef TIDEMARK_COLUMNAR_COLUMNS_IMPL_H
#define TIDEMARK_COLUMNAR_COLUMNS_IMPL_H

#include "connector/columnar/columns.h"

/* What the bytes are, and how they go into the vector. */
enum column_op {
	COLUMN_NULL, /* no bytes, always null */
	COLUMN_PRESENT, /* no bytes, always true: of a record without fields */
	COLUMN_BOOLEAN,
	COLUMN_INT, /* int32 */
	COLUMN_LONG, /* int64 */
	COLUMN_TIMES_1000, /* a long in ms as us */
	COLUMN_TIME_MILLIS, /* an int, ms since midnight */
	COLUMN_TIME_MICROS,
	COLUMN_FLOAT,
	COLUMN_DOUBLE,
	COLUMN_TEXT,
	COLUMN_BYTES,
	COLUMN_FIXED,
	COLUMN_ENUM,
	COLUMN_DECIMAL_BYTES,
	COLUMN_DECIMAL_FIXED,
	COLUMN_UUID_TEXT,
	COLUMN_UUID_FIXED,
	COLUMN_DURATION,
	COLUMN_STRUCT,
	COLUMN_LIST, /* children: the item */
	COLUMN_MAP, /* children: the key, the value */
	COLUMN_UNION, /* children: the branches that are not null */
};

#define COLUMN_NO_BRANCH (-1)

struct column {
	enum column_op op;
	/* The bytes begin with a union's branch: this one is null, and the other, if
	 * there is one, is what the column holds. COLUMN_NO_BRANCH: they do not. */
	int null_branch;
	bool single; /* they begin with the 0 of a union of one branch */
	bool has_width; /* a value takes at least a byte */
	size_t index; /* in depth-first order, for what is kept beside the plan */
	const char *name; /* in its struct */
	char *path; /* "who.name", for people */
	duckdb_logical_type type;
	size_t size; /* FIXED, DECIMAL_FIXED */
	int precision; /* DECIMAL_*: digits */
	size_t n_symbols; /* ENUM */
	size_t width; /* ENUM, DECIMAL_*: bytes of an element */
	int32_t id; /* 0: none */
	struct column *children;
	size_t n_children;
	/* UNION: for each branch the child, or COLUMN_NO_BRANCH for null. */
	int *branches;
	size_t n_branches;
};

struct columns {
	struct column root; /* a STRUCT of the columns; has no type */
	bool record; /* else the one column is the whole value */
	size_t n; /* nodes of the tree */
	char **names; /* that are not the schema's own, freed with it */
	size_t n_names, cap_names;
};

#endif
