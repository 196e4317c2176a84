/* Avro schemas as a tree of our own (Apache Avro specification 1.11: names,
 * namespaces, aliases, references by name, recursion, logical types), their
 * parsing canonical form and its SHA-256 fingerprint.
 *
 * A schema does not change once it is parsed and may be read by any number of
 * threads. A logical type that is unknown, or does not fit its type, is
 * ignored, as the specification asks. */
#ifndef TIDEMARK_SCHEMA_SCHEMA_H
#define TIDEMARK_SCHEMA_SCHEMA_H

#include <jansson.h>

#include "core/base/buf.h"
#include "core/base/err.h"

enum schema_type {
	SCHEMA_NULL,
	SCHEMA_BOOLEAN,
	SCHEMA_INT,
	SCHEMA_LONG,
	SCHEMA_FLOAT,
	SCHEMA_DOUBLE,
	SCHEMA_BYTES,
	SCHEMA_STRING, /* the last of the primitive types */
	SCHEMA_RECORD,
	SCHEMA_ENUM,
	SCHEMA_FIXED, /* the last of the named types */
	SCHEMA_ARRAY,
	SCHEMA_MAP,
	SCHEMA_UNION,
};

enum schema_logical {
	LOGICAL_NONE,
	LOGICAL_DECIMAL,
	LOGICAL_UUID,
	LOGICAL_DATE,
	LOGICAL_TIME_MILLIS,
	LOGICAL_TIME_MICROS,
	LOGICAL_TIMESTAMP_MILLIS,
	LOGICAL_TIMESTAMP_MICROS,
	LOGICAL_TIMESTAMP_NANOS,
	LOGICAL_LOCAL_TIMESTAMP_MILLIS,
	LOGICAL_LOCAL_TIMESTAMP_MICROS,
	LOGICAL_LOCAL_TIMESTAMP_NANOS,
	LOGICAL_DURATION,
	LOGICAL_JSON, /* of a string; not Avro's own: text that is JSON */
};

struct schema_node;

struct schema_field {
	const char *name;
	/* "iceberg-field-name": what a column of it is called, where Avro does not allow that
	 * for a name; else its name. */
	const char *column;
	const char **aliases;
	size_t n_aliases;
	const json_t *default_json; /* NULL: none */
	/* The default as Avro bytes, once json_encode_prepare() was called. */
	void *default_bytes;
	size_t default_len;
	int32_t id; /* "field-id", as Iceberg gives them; 0: none */
	const struct schema_node *type;
};

struct schema_node {
	enum schema_type type;
	enum schema_logical logical;
	int precision; /* decimal */
	int scale;
	uint32_t index; /* 0 to schema_nodes() - 1, for tables beside the tree */
	const char *name; /* full name of a record, enum or fixed; else NULL */
	const char **aliases; /* of a named type, as they are written */
	size_t n_aliases;
	size_t size; /* fixed: bytes */
	struct schema_field *fields; /* record */
	size_t n_fields;
	const char **symbols; /* enum */
	size_t n_symbols;
	const char *default_symbol; /* enum; NULL: none */
	/* union: its branches; array, map: one, the item. A node may be met
	 * again below itself. */
	const struct schema_node **branches;
	size_t n_branches;
	/* array: "element-id"; map: "key-id" and "value-id"; 0: none */
	int32_t item_id;
	int32_t key_id;
};

struct schema;

/* ST_FAILED where the text is no Avro schema; err says where and why. */
MUST_CHECK enum status schema_parse(const char *json, size_t len, struct schema **out,
				    struct err *err);
void schema_free(struct schema *s);
AUTO_DESTRUCTOR(struct schema, schema_free)
const struct schema_node *schema_root(const struct schema *s); /* s's life */
size_t schema_nodes(const struct schema *s);

const char *schema_type_name(enum schema_type type);
/* Returns false where name is no primitive type. */
bool schema_primitive(const char *name, enum schema_type *out);

/* Appends the parsing canonical form. */
void schema_canonical(const struct schema *s, struct buf *out);
/* Appends "sha256:<hex>" of the parsing canonical form. */
void schema_fingerprint(const struct schema *s, struct buf *out);
/* Appends "sha256:<hex>" of a text. */
void schema_digest(const char *text, size_t len, struct buf *out);

/* Why the bytes are not exactly one value, with the path of the field:
 * "value.items[3].sku: the string is not UTF-8". ST_POISON, or ST_OK where
 * they are one. The slow, plain form of walker_check(). */
MUST_CHECK enum status schema_explain(const struct schema *s, const void *data, size_t len,
				      struct err *err);

#endif
