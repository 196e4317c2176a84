/* To which folder below `<path.prefix>/<topic>/` a record goes, by its fields or
 * its time. docs/partitioners.md says what the folders are.
 *
 * The folder depends on the settings and the record alone, so what is read again
 * goes where it was. */
#ifndef TIDEMARK_WRITER_PARTITIONER_H
#define TIDEMARK_WRITER_PARTITIONER_H

#include "connector/kafka/record.h"
#include "connector/schema/schema.h"

struct partitioner_options {
	const char *path_prefix;
	/* By fields: dotted paths. */
	const char *const *fields;
	size_t n_fields; /* 0: by time */
	/* By time. */
	const char *path_format;
	int64_t duration_ms; /* > 0 */
	const char *timezone;
	const char *timestamp_field; /* NULL: the record's timestamp */
};

/* Does not change; shared by all threads of a connector. */
struct partitioner;

/* ST_USAGE names the property. */
MUST_CHECK enum status partitioner_new(const struct partitioner_options *options,
				       struct partitioner **out, struct err *err);
void partitioner_free(struct partitioner *p);
AUTO_DESTRUCTOR(struct partitioner, partitioner_free)
/* Does it look into values? Else into timestamps alone. */
bool partitioner_reads_values(const struct partitioner *p);
/* "country,customer.kind": what folders are made of; NULL: of a time. p's life. */
const char *partitioner_fields(const struct partitioner *p);
/* ST_USAGE: values of the schema have not all of its fields. */
MUST_CHECK enum status partitioner_check_schema(const struct partitioner *p,
						const struct schema *schema, struct err *err);

/* Where the fields are in values of one schema, which must outlive it. */
struct partition_plan;

struct partition_plan *partition_plan_new(const struct partitioner *p, const struct schema *schema);
void partition_plan_free(struct partition_plan *plan);

/* A record's value. */
struct partition_value {
	const void *data; /* NULL: there is none, or none with fields (a tombstone) */
	size_t len;
	const struct partition_plan *plan; /* of Avro bytes; NULL: JSON text, checked */
};

/* The folder of one record after the other. Belongs to one thread; borrows p. */
struct partition_path;

struct partition_path *partition_path_new(const struct partitioner *p);
void partition_path_free(struct partition_path *path);
/* *folder_out: no slash in front or behind; valid until the next call.
 * ST_POISON: the record has no folder; err says why. */
MUST_CHECK enum status partition_path_of(struct partition_path *path, const struct record *r,
					 const struct partition_value *value,
					 const struct buf **folder_out, struct err *err);

#endif
