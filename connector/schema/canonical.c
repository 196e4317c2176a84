/* The parsing canonical form of a schema (Apache Avro specification, "Parsing
 * Canonical Form for Schemas"): what decides how bytes are read and nothing
 * else, in one spelling. Its SHA-256 names the schema. */
#include <stdlib.h>

#include "connector/schema/schema.h"
#include "connector/schema/sha256.h"

struct canonical {
	struct buf *out;
	bool *written; /* by node index: a named type is spelled out once */
};

static void add_node(struct canonical *c, const struct schema_node *n);

static void add_record(struct canonical *c, const struct schema_node *n)
{
	buf_addf(c->out, "{\"name\":\"%s\",\"type\":\"record\",\"fields\":[", n->name);
	for (size_t i = 0; i < n->n_fields; i++) {
		buf_addf(c->out, "%s{\"name\":\"%s\",\"type\":", i ? "," : "", n->fields[i].name);
		add_node(c, n->fields[i].type);
		buf_addc(c->out, '}');
	}
	buf_adds(c->out, "]}");
}

static void add_enum(struct canonical *c, const struct schema_node *n)
{
	buf_addf(c->out, "{\"name\":\"%s\",\"type\":\"enum\",\"symbols\":[", n->name);
	for (size_t i = 0; i < n->n_symbols; i++)
		buf_addf(c->out, "%s\"%s\"", i ? "," : "", n->symbols[i]);
	buf_adds(c->out, "]}");
}

static void add_named(struct canonical *c, const struct schema_node *n)
{
	if (c->written[n->index]) {
		buf_addf(c->out, "\"%s\"", n->name);
		return;
	}
	c->written[n->index] = true;
	if (n->type == SCHEMA_RECORD)
		add_record(c, n);
	else if (n->type == SCHEMA_ENUM)
		add_enum(c, n);
	else
		buf_addf(c->out, "{\"name\":\"%s\",\"type\":\"fixed\",\"size\":%zu}", n->name,
			 n->size);
}

static void add_node(struct canonical *c, const struct schema_node *n)
{
	switch (n->type) {
	case SCHEMA_RECORD:
	case SCHEMA_ENUM:
	case SCHEMA_FIXED:
		add_named(c, n);
		break;
	case SCHEMA_ARRAY:
	case SCHEMA_MAP:
		buf_addf(c->out, "{\"type\":\"%s\",\"%s\":", schema_type_name(n->type),
			 n->type == SCHEMA_ARRAY ? "items" : "values");
		add_node(c, n->branches[0]);
		buf_addc(c->out, '}');
		break;
	case SCHEMA_UNION:
		buf_addc(c->out, '[');
		for (size_t i = 0; i < n->n_branches; i++) {
			if (i)
				buf_addc(c->out, ',');
			add_node(c, n->branches[i]);
		}
		buf_addc(c->out, ']');
		break;
	default:
		buf_addf(c->out, "\"%s\"", schema_type_name(n->type));
	}
}

void schema_canonical(const struct schema *s, struct buf *out)
{
	AUTO(freep) bool *written = xcalloc(schema_nodes(s), sizeof(*written));
	struct canonical c = {.out = out, .written = written};

	add_node(&c, schema_root(s));
}

void schema_digest(const char *text, size_t len, struct buf *out)
{
	unsigned char digest[SHA256_BYTES];

	sha256_of(text, len, digest);
	buf_adds(out, "sha256:");
	buf_add_hex(out, digest, sizeof(digest));
}

void schema_fingerprint(const struct schema *s, struct buf *out)
{
	AUTO(buf_release) struct buf text = BUF_INIT;

	schema_canonical(s, &text);
	schema_digest(text.data, text.len, out);
}
