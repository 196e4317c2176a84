/* A shape's tree, and the walk over an object's members. Private to
 * json_shape*.c. */
#ifndef TIDEMARK_WRITER_JSON_SHAPE_IMPL_H
#define TIDEMARK_WRITER_JSON_SHAPE_IMPL_H

#include "connector/schema/json_text.h"
#include "connector/writer/json_shape.h"

enum shape_kind {
	SHAPE_NOTHING, /* null alone */
	SHAPE_BOOLEAN,
	SHAPE_LONG,
	SHAPE_DOUBLE,
	SHAPE_TEXT,
	SHAPE_OBJECT,
	SHAPE_LIST,
	SHAPE_JSON,
};

struct shape_node {
	enum shape_kind kind;
	bool wide; /* LONG: one is beyond what a double holds exactly */
	struct shape_field *fields; /* OBJECT */
	size_t n, cap;
	struct shape_node *item; /* LIST */
};

struct shape_field {
	char *name;
	size_t len;
	struct shape_node node;
};

struct slice {
	const char *p, *end;
};

/* A member of an object that is being walked. */
struct member {
	struct slice name, value;
	size_t field; /* in its node; SIZE_MAX: none */
};

struct json_shape {
	const char *reserved;
	struct shape_node root; /* an OBJECT */
	size_t nodes;
	/* Of the objects that are being walked, the innermost last. */
	struct member *members;
	size_t n_members, cap_members;
	char **names; /* that had escapes */
	size_t n_names, cap_names;
};

/* The next item of a list, or the next name of an object (behind a brace, bracket or
 * comma); false: there is none. */
MUST_CHECK bool json_next(const char **p);

enum number_kind { NUMBER_LONG, NUMBER_DOUBLE, NUMBER_NEITHER };

/* Of the number in the slice; *l or *d is set. */
enum number_kind json_number(const struct slice *text, int64_t *l, double *d);
/* Beyond 2^53 a double does not hold every whole number. */
static inline bool json_is_wide(int64_t v)
{
	return v > (int64_t)1 << 53 || v < -((int64_t)1 << 53);
}

/* The members [from, from + n) of one object. */
struct object_walk {
	size_t from, n;
	size_t unknown; /* are no field of the node */
	bool twice; /* two are one field */
};

/* Walks the members of the object at p, over what their values hold. */
struct object_walk shape_walk(struct json_shape *s, const struct shape_node *node, const char *p);
/* Forgets them; the walks of what is within have ended. */
void shape_walk_end(struct json_shape *s, const struct object_walk *walk);

/* Can members of the object never be columns beside the fields of the node, whatever they
 * hold? The limits on how many there may be are not looked at. */
bool shape_never(const struct json_shape *s, const struct shape_node *node,
		 const struct object_walk *walk);

#endif
