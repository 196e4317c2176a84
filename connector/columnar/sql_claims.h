/* What a file's folders say of its rows, where partitioner=field made them: each row of
 * c=DE/day=05 has 'DE' in field c. Private to connector/columnar.
 *
 * Only what is exact is claimed: a value that is whole, of a field of the record itself
 * whose name a path shows as it is. In a column's type it is looked at by sql_claim_add(). */
#ifndef TIDEMARK_COLUMNAR_SQL_CLAIMS_H
#define TIDEMARK_COLUMNAR_SQL_CLAIMS_H

#include <jansson.h>

#include "connector/columnar/duckdb_api.h"
#include "connector/schema/schema.h"

/* {"c":"DE"}, the caller's; NULL: none. fields: the file's META_PARTITION_FIELDS; may be
 * NULL. */
json_t *sql_claims_of(const char *path, const char *fields);

/* What a field's values are, in a claim: the name of its kind, static. NULL: they are of a
 * type that a path does not show exactly, or the record has no such field. */
const char *sql_claim_kind(const struct schema_node *record, const char *field);

/* Appends the claim as a constant of the column's type, "'DE'::VARCHAR". false, and
 * nothing: the type does not hold just what a path shows. */
bool sql_claim_add(const struct duckdb_api *duck, const char *kind, const char *text,
		   duckdb_logical_type type, struct buf *out);

#endif
