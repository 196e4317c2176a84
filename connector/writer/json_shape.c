#include "connector/writer/json_shape.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "connector/writer/json_shape_impl.h"

#define MAX_NAME 255

static void widen(struct json_shape *s, struct shape_node *node, const struct slice *value,
		  size_t depth);

/* ---- life ---- */

struct json_shape *json_shape_new(const char *reserved)
{
	struct json_shape *s = xcalloc(1, sizeof(*s));

	s->reserved = reserved;
	s->root.kind = SHAPE_OBJECT;
	return s;
}

/* Frees what is below the node. */
static void empty(struct json_shape *s, struct shape_node *node)
{
	for (size_t i = 0; i < node->n; i++) {
		empty(s, &node->fields[i].node);
		free(node->fields[i].name);
	}
	s->nodes -= node->n;
	free(node->fields);
	if (node->item) {
		empty(s, node->item);
		free(node->item);
		s->nodes--;
	}
	*node = (struct shape_node){.kind = node->kind};
}

void json_shape_free(struct json_shape *s)
{
	if (!s)
		return;
	empty(s, &s->root);
	for (size_t i = 0; i < s->n_names; i++)
		free(s->names[i]);
	free(s->names);
	free(s->members);
	free(s);
}

/* ---- names ---- */

static bool same_but_for_case(const char *a, size_t a_len, const struct slice *b)
{
	return a_len == (size_t)(b->end - b->p) && strncasecmp(a, b->p, a_len) == 0;
}

/* Is the new member's name none, or that of another but for its case? */
static bool never(const struct json_shape *s, const struct shape_node *node,
		  const struct object_walk *walk, size_t at)
{
	const struct slice *name = &s->members[at].name;
	const size_t len = (size_t)(name->end - name->p);

	if (len == 0 || len > MAX_NAME || memchr(name->p, '\0', len))
		return true;
	if (node == &s->root && s->reserved &&
	    same_but_for_case(s->reserved, strlen(s->reserved), name))
		return true;
	for (size_t i = 0; i < node->n; i++)
		if (same_but_for_case(node->fields[i].name, node->fields[i].len, name))
			return true;
	for (size_t i = walk->from; i < at; i++) {
		const struct member *m = &s->members[i];

		if (m->field == SIZE_MAX &&
		    same_but_for_case(m->name.p, (size_t)(m->name.end - m->name.p), name))
			return true;
	}
	return false;
}

bool shape_never(const struct json_shape *s, const struct shape_node *node,
		 const struct object_walk *walk)
{
	if (walk->twice)
		return true;
	if (!walk->unknown)
		return false;
	if (walk->unknown > SHAPE_MAX_NODES)
		return true;
	for (size_t i = walk->from; i < walk->from + walk->n; i++)
		if (s->members[i].field == SIZE_MAX && never(s, node, walk, i))
			return true;
	return false;
}

/* ---- widening ---- */

static void become_json(struct json_shape *s, struct shape_node *node)
{
	empty(s, node);
	node->kind = SHAPE_JSON;
}

/* Takes the members into the node, as fields that it has then. */
static void add_members(struct json_shape *s, struct shape_node *node,
			const struct object_walk *walk, size_t depth)
{
	for (size_t i = walk->from; walk->unknown && i < walk->from + walk->n; i++) {
		struct member *m = &s->members[i];
		size_t len = (size_t)(m->name.end - m->name.p);

		if (m->field != SIZE_MAX)
			continue;
		GROW(node->fields, node->n, node->cap);
		m->field = node->n;
		node->fields[node->n++] =
			(struct shape_field){.name = xstrndup(m->name.p, len), .len = len};
		s->nodes++;
	}
	for (size_t i = walk->from; i < walk->from + walk->n; i++) {
		struct slice value = s->members[i].value; /* members may move */

		widen(s, &node->fields[s->members[i].field].node, &value, depth + 1);
	}
}

/* Is there room for the new members? */
static bool has_room(const struct json_shape *s, const struct shape_node *node,
		     const struct object_walk *walk)
{
	return s->nodes + walk->unknown <= SHAPE_MAX_NODES &&
	       (node == &s->root || node->n + walk->unknown <= SHAPE_MAX_FIELDS);
}

static bool widen_object(struct json_shape *s, struct shape_node *node, const char *p, size_t depth)
{
	struct object_walk walk = shape_walk(s, node, p);
	bool ok = has_room(s, node, &walk) && !shape_never(s, node, &walk);

	if (ok)
		add_members(s, node, &walk, depth);
	shape_walk_end(s, &walk);
	return ok;
}

/* The node's item, made where there is none; NULL: there is no room. */
static struct shape_node *item_of(struct json_shape *s, struct shape_node *node)
{
	if (!node->item && s->nodes < SHAPE_MAX_NODES) {
		node->item = xcalloc(1, sizeof(*node->item));
		s->nodes++;
	}
	return node->item;
}

static bool widen_list(struct json_shape *s, struct shape_node *node, const char *p, size_t depth)
{
	struct shape_node *item = item_of(s, node);

	while (item && json_next(&p)) {
		struct slice value = {p, json_skip(p)};

		widen(s, item, &value, depth + 1);
		p = value.end;
	}
	return item != NULL;
}

static bool widen_number(struct shape_node *node, const struct slice *value)
{
	const enum shape_kind before = node->kind;
	int64_t l = 0;
	double d;
	enum number_kind kind = json_number(value, &l, &d);

	if (kind == NUMBER_NEITHER)
		return false;
	if (before == SHAPE_NOTHING)
		node->kind = kind == NUMBER_LONG ? SHAPE_LONG : SHAPE_DOUBLE;
	else if (kind == NUMBER_DOUBLE && before == SHAPE_LONG)
		node->kind = SHAPE_DOUBLE;
	else if (before != SHAPE_LONG && before != SHAPE_DOUBLE)
		return false;
	node->wide = node->wide || (kind == NUMBER_LONG && json_is_wide(l));
	return node->kind == SHAPE_LONG || !node->wide;
}

static bool become(struct shape_node *node, enum shape_kind kind)
{
	if (node->kind == SHAPE_NOTHING)
		node->kind = kind;
	return node->kind == kind;
}

static void widen(struct json_shape *s, struct shape_node *node, const struct slice *value,
		  size_t depth)
{
	bool ok;

	if (node->kind == SHAPE_JSON)
		return;
	switch (*value->p) {
	case 'n':
		return;
	case 't':
	case 'f':
		ok = become(node, SHAPE_BOOLEAN);
		break;
	case '"':
		ok = become(node, SHAPE_TEXT);
		break;
	case '{':
		ok = depth < SHAPE_MAX_DEPTH && become(node, SHAPE_OBJECT) &&
		     widen_object(s, node, value->p, depth);
		break;
	case '[':
		ok = depth < SHAPE_MAX_DEPTH && become(node, SHAPE_LIST) &&
		     widen_list(s, node, value->p, depth);
		break;
	default:
		ok = widen_number(node, value);
	}
	if (!ok)
		become_json(s, node);
}

bool json_shape_add(struct json_shape *s, const char *text)
{
	return widen_object(s, &s->root, text, 0);
}
