#include "connector/schema/compiled.h"

#include <stdlib.h>
#include <string.h>

enum status compiled_schema_new(const char *name, const char *json, struct compiled_schema **out,
				struct err *err)
{
	AUTO(compiled_schema_freep) struct compiled_schema *c = xcalloc(1, sizeof(*c));
	struct buf fingerprint = BUF_INIT;
	enum status st = schema_parse(json, strlen(json), &c->schema, err);

	if (st != ST_OK)
		return st;
	c->json = xstrdup(json);
	c->walker = walker_new(c->schema);
	if (!name)
		schema_fingerprint(c->schema, &fingerprint);
	c->name = name ? xstrdup(name) : buf_detach(&fingerprint);
	*out = MOVE(c);
	return ST_OK;
}

enum status compiled_schema_of_text(const char *json, struct compiled_schema **out, struct err *err)
{
	AUTO(buf_release) struct buf name = BUF_INIT;

	schema_digest(json, strlen(json), &name);
	return compiled_schema_new(name.data, json, out, err);
}

void compiled_schema_free(struct compiled_schema *c)
{
	if (!c)
		return;
	free(c->name);
	free(c->json);
	walker_free(c->walker);
	schema_free(c->schema);
	free(c);
}
