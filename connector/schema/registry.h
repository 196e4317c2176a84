/* A client of a Confluent-style schema registry: schema text by id, cached for
 * the life of the client (an id never changes its meaning). Thread-safe: a
 * look-up in the cache takes no lock that is held over I/O. */
#ifndef TIDEMARK_SCHEMA_REGISTRY_H
#define TIDEMARK_SCHEMA_REGISTRY_H

#include "core/base/err.h"

struct registry;

struct registry_options {
	const char *urls; /* comma-separated, each may have a path; tried in turn */
	const char *user; /* basic authentication, NULL: none (user info in a URL counts too) */
	const char *password;
	int64_t timeout_ms; /* a request; 0: 10,000 */
};

/* ST_USAGE where a URL is none, naming value.converter.schema.registry.url. */
MUST_CHECK enum status registry_open(const struct registry_options *options, struct registry **out,
				     struct err *err);
void registry_close(struct registry *r);
AUTO_DESTRUCTOR(struct registry, registry_close)
/* One cheap request: does any of the URLs answer, and take the credentials?
 * ST_UNREACHABLE, ST_USAGE (401, 403). */
MUST_CHECK enum status registry_check(struct registry *r, struct err *err);
/* The writer's schema as JSON text, references resolved into it; valid as long
 * as r. ST_NOT_FOUND no such id (404); ST_POISON it is no Avro schema;
 * ST_UNREACHABLE no URL answers, 5xx, 429; ST_USAGE 401, 403. */
MUST_CHECK enum status registry_schema(struct registry *r, int32_t id, const char **json_out,
				       struct err *err);
struct compiled_schema;
/* The same schema, parsed and compiled, shared by all who ask. Same errors. */
MUST_CHECK enum status registry_compiled(struct registry *r, int32_t id,
					 const struct compiled_schema **out, struct err *err);

#endif
