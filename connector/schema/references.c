#include "connector/schema/references.h"

#include <stdlib.h>
#include <string.h>

#include "connector/schema/schema.h"

#define MAX_DEPTH 400

struct definition {
	char *full;
	const json_t *body;
	bool spelled_out;
};

struct inliner {
	struct definition *defs; /* of the documents, and what main defines itself */
	size_t n;
	size_t cap;
	int depth;
};

static void inliner_release(struct inliner *x)
{
	for (size_t i = 0; i < x->n; i++)
		free(x->defs[i].full);
	free(x->defs);
}

static struct definition *find(struct inliner *x, const char *full)
{
	for (size_t i = 0; i < x->n; i++)
		if (strcmp(x->defs[i].full, full) == 0)
			return &x->defs[i];
	return NULL;
}

static struct definition *find_or_add(struct inliner *x, const char *full, const json_t *body)
{
	struct definition *d = find(x, full);

	if (d)
		return d;
	GROW(x->defs, x->n, x->cap);
	x->defs[x->n] = (struct definition){.full = xstrdup(full), .body = body};
	return &x->defs[x->n++];
}

static const char *text_of(const json_t *j, const char *key)
{
	return json_string_value(json_object_get(j, key));
}

static char *full_name(const char *name, const char *ns)
{
	return strchr(name, '.') || !*ns ? xstrdup(name) : xasprintf("%s.%s", ns, name);
}

static char *namespace_of(const char *full)
{
	const char *dot = strrchr(full, '.');

	return dot ? xstrndup(full, (size_t)(dot - full)) : xstrdup("");
}

static bool is_definition(const json_t *j)
{
	const char *type = text_of(j, "type");

	return type && text_of(j, "name") &&
	       (strcmp(type, "record") == 0 || strcmp(type, "error") == 0 ||
		strcmp(type, "enum") == 0 || strcmp(type, "fixed") == 0);
}

static char *definition_name(const json_t *j, const char *ns)
{
	const char *own = text_of(j, "namespace");

	return full_name(text_of(j, "name"), own ? own : ns);
}

/* Notes every definition in j. */
static void collect(struct inliner *x, const json_t *j, const char *ns)
{
	AUTO(freep) char *inner = NULL;
	size_t i;
	json_t *item;

	if (++x->depth > MAX_DEPTH) {
		x->depth--;
		return;
	}
	if (is_definition(j)) {
		AUTO(freep) char *full = definition_name(j, ns);

		find_or_add(x, full, j);
		inner = namespace_of(full);
		ns = inner;
	}
	json_array_foreach(j, i, item) collect(x, item, ns);
	if (json_is_object(j)) {
		json_array_foreach(json_object_get(j, "fields"), i, item)
			collect(x, json_object_get(item, "type"), ns);
		collect(x, json_object_get(j, "items"), ns);
		collect(x, json_object_get(j, "values"), ns);
		collect(x, json_object_get(j, "type"), ns);
	}
	x->depth--;
}

static json_t *rewrite(struct inliner *x, const json_t *j, const char *ns);

/* Replaces the type at key, where there is one. */
static void rewrite_member(struct inliner *x, json_t *object, const char *key, const char *ns)
{
	json_t *old = json_object_get(object, key);

	if (old)
		json_object_set_new(object, key, rewrite(x, old, ns));
}

static json_t *rewrite_definition(struct inliner *x, const json_t *j, const char *full)
{
	struct definition *d = find_or_add(x, full, j);
	AUTO(freep) char *ns = namespace_of(full);
	json_t *copy, *fields, *item;
	size_t i;

	if (d->spelled_out)
		return json_string(full);
	d->spelled_out = true;
	copy = json_deep_copy(j);
	json_object_set_new(copy, "name", json_string(*ns ? full + strlen(ns) + 1 : full));
	json_object_set_new(copy, "namespace", json_string(ns));
	fields = json_object_get(copy, "fields");
	json_array_foreach(fields, i, item) rewrite_member(x, item, "type", ns);
	return copy;
}

static json_t *rewrite_name(struct inliner *x, const char *name, const char *ns)
{
	AUTO(freep) char *full = full_name(name, ns);
	enum schema_type primitive;
	const struct definition *d;

	if (schema_primitive(name, &primitive))
		return json_string(name);
	d = find(x, full);
	if (!d)
		d = find(x, name);
	if (!d)
		return json_string(full);
	/* full is copied: the array of definitions may move. */
	AUTO(freep) char *found = xstrdup(d->full);
	return rewrite_definition(x, d->body, found);
}

static json_t *rewrite_object(struct inliner *x, const json_t *j, const char *ns)
{
	const char *type = text_of(j, "type");
	json_t *copy;

	if (is_definition(j)) {
		AUTO(freep) char *full = definition_name(j, ns);

		return rewrite_definition(x, j, full);
	}
	copy = json_deep_copy(j);
	rewrite_member(x, copy, "items", ns);
	rewrite_member(x, copy, "values", ns);
	if (!type || (strcmp(type, "array") != 0 && strcmp(type, "map") != 0))
		rewrite_member(x, copy, "type", ns);
	return copy;
}

static json_t *rewrite(struct inliner *x, const json_t *j, const char *ns)
{
	json_t *out, *item;
	size_t i;

	/* Cut short where it is too deep; the caller looks at the depth. */
	if (x->depth >= MAX_DEPTH) {
		x->depth = MAX_DEPTH + 1;
		return json_null();
	}
	x->depth++;
	if (json_is_string(j)) {
		out = rewrite_name(x, json_string_value(j), ns);
	} else if (json_is_array(j)) {
		out = json_array();
		json_array_foreach(j, i, item) json_array_append_new(out, rewrite(x, item, ns));
	} else if (json_is_object(j)) {
		out = rewrite_object(x, j, ns);
	} else {
		out = json_deep_copy(j);
	}
	if (x->depth <= MAX_DEPTH)
		x->depth--;
	return out;
}

enum status references_inline(const json_t *main, json_t *const *docs, size_t n_docs, json_t **out,
			      struct err *err)
{
	AUTO(inliner_release) struct inliner x = {.n = 0};
	json_t *result;

	/* What main defines itself wins over a reference of the same name. */
	collect(&x, main, "");
	for (size_t i = 0; i < n_docs; i++)
		collect(&x, docs[i], "");
	result = rewrite(&x, main, "");
	if (x.depth > MAX_DEPTH) {
		json_decref(result);
		return err_set(err, ST_FAILED, "the schema with its references is nested too deep");
	}
	*out = result;
	return ST_OK;
}
