/* A connector's configuration: the properties that it was given, checked as a
 * whole, and the values that the code reads. Immutable after config_load(). */
#ifndef TIDEMARK_WORKER_CONFIG_H
#define TIDEMARK_WORKER_CONFIG_H

#include "connector/gates/gates.h"
#include "connector/worker/cron.h"
#include "connector/worker/notify.h"
#include "connector/writer/partition_writer.h"
#include "core/base/props.h"

/* Policies for what cannot be read on: stop, or go on and record the loss. */
enum policy { POLICY_FAIL, POLICY_EARLIEST, POLICY_LATEST, POLICY_DEADLETTER };

struct config {
	struct props props; /* aliases resolved, values shortened */
	struct props client; /* librdkafka's, for the consumer */
	struct props producer; /* librdkafka's, for dead-letter copies */
	char *warnings; /* one a line; "" none */

	const char *name; /* borrowed from props, as all texts below */
	char *branch; /* ingest */
	const char *target;
	char *published; /* the publication branch */
	struct text_list topics; /* or one regular expression: */
	bool topics_regex;
	int tasks_max; /* 0: 4, or the number of partitions */
	char *group_id;
	char *instance_id;
	const char *bootstrap;
	const char *lake_url;
	int64_t gc_interval_ms; /* 0: never */
	const char *path_prefix;

	bool start_at_latest; /* auto.offset.reset, for the first commit alone */
	enum policy on_out_of_range, on_recreated, on_unknown_schema;

	enum value_converter converter;
	enum file_format format;
	enum file_codec codec;
	struct partitioner *partitioner; /* NULL: the default one */
	bool record_metadata;
	int64_t row_group_bytes, row_group_rows; /* Parquet; bytes 0: by memory.max.bytes */
	struct text_list sort_columns; /* Parquet */
	bool json_infer;
	char *schema_text; /* of value.converter.schema.file; NULL */
	const char *registry_urls;
	char *registry_user, *registry_password; /* NULL: none */

	int64_t checkpoint_interval_ms, checkpoint_records, checkpoint_bytes; /* 0: unset */
	struct cron *checkpoint_cron; /* NULL: unset */
	int64_t publish_checkpoints, publish_interval_ms; /* 0: unset */
	struct cron *publish_cron; /* NULL: unset */
	bool publish_prefix; /* publish.on.hold */
	const char *export_dir; /* NULL: unset */
	struct gate_config *gates;
	size_t n_gates;
	struct notifier *notifiers;
	size_t n_notifiers;
	struct text_list
		withheld; /* of saved properties: keys whose value the lake does not keep */

	bool tolerate_errors;
	bool log_errors, log_error_messages;
	int64_t retry_timeout_ms;
	const char *deadletter_topic; /* NULL: none */
	bool deadletter_headers;

	int64_t memory_max_bytes;
};

extern const struct prop_table connector_table;

/* Checks props (consumed in any case) and fills the rest. ST_USAGE names key,
 * value and remedy. Nothing outside the process is asked, but schema files and
 * time zones are read. */
MUST_CHECK enum status config_load(struct props *props, struct config *out, struct err *err);
/* The same for properties that the lake keeps, as config_public_json() made them: converters,
 * schema files and schedules are not looked at, since a command does not need them. */
MUST_CHECK enum status config_load_saved(const char *json, struct config *out, struct err *err);
/* What writers are told, but for the lake, the registry and the library; borrows from
 * config. */
struct writer_settings config_writer(const struct config *config);
bool config_withholds(const struct config *config, const char *key);
/* Can a command run the gates as they are configured? ST_USAGE: a webhook's secret is kept
 * in no lake, and it would be asked unsigned. */
MUST_CHECK enum status config_check_gates(const struct config *config, struct err *err);
void config_release(struct config *config);

/* The properties without secrets, as a JSON object; "withheld" is an array of the keys
 * whose value is left out, or shortened by user and password. */
void config_public_json(const struct config *config, struct buf *out);
/* Is the key's value a secret: by the table, or by what librdkafka calls so? */
bool config_key_is_secret(const char *key);
/* "ingest-<name>" of this connector; likewise its publication branch. */
char *config_published_branch(const char *name, const char *target);

#endif
