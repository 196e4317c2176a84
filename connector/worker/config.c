#include "connector/worker/config.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "connector/kafka/consumer.h"
#include "connector/worker/config_partitioner.h"
#include "connector/worker/config_values.h"
#include "connector/writer/record_metadata.h"

/* librdkafka properties that the promise rests on, and why. */
static const struct {
	const char *key, *why;
} promised[] = {
	{"group.id", "it is connect-<name>"},
	{"group.instance.id", "it is made of the connector's name and worker.id"},
	{"group.protocol",
	 "a static member of the classic protocol takes its partitions back at once"},
	{"enable.auto.commit", "the lake's commits are the only authority on offsets"},
	{"enable.auto.offset.store", "the lake's commits are the only authority on offsets"},
	{"enable.partition.eof", "ranges end at the consumer's position"},
	{"auto.offset.reset",
	 "use auto.offset.reset of the connector: it is for its first commit alone"},
	{"isolation.level", "aborted records never land"},
	{"check.crcs", "what the broker sent is checked"},
	{"allow.auto.create.topics", "reading must not create topics"},
	{"queued.max.messages.kbytes", "use memory.max.bytes"},
	{"bootstrap.servers", "use bootstrap.servers of the connector"},
};

static enum status name_check(const char *name, struct err *err)
{
	if (lake_ref_name_check(LAKE_BRANCH, name, NULL) != ST_OK || strlen(name) > 100)
		return err_set(err, ST_USAGE,
			       "name=%s: give 1 to 100 letters, digits, `_` or `-`, not first `-`",
			       name);
	return ST_OK;
}

char *config_published_branch(const char *name, const char *target)
{
	return xasprintf("published-%s-%s", name, target);
}

static enum status branches(struct config *c, struct err *err)
{
	const char *branch = props_get(&c->props, "lake.branch");

	c->target = prop_text(&connector_table, &c->props, "lake.target");
	c->branch = branch ? xstrdup(branch) : xasprintf("ingest-%s", c->name);
	c->published = config_published_branch(c->name, c->target);
	if (lake_ref_name_check(LAKE_BRANCH, c->branch, err) != ST_OK)
		return err_wrap(err, ST_USAGE, "lake.branch=%s", c->branch);
	if (lake_ref_name_check(LAKE_BRANCH, c->target, err) != ST_OK)
		return err_wrap(err, ST_USAGE, "lake.target=%s", c->target);
	if (strcmp(c->branch, c->target) == 0)
		return err_set(err, ST_USAGE,
			       "lake.branch=%s is lake.target too; give the ingest branch a name "
			       "of its own",
			       c->branch);
	return ST_OK;
}

static enum status topics(struct config *c, struct err *err)
{
	const char *list = props_get(&c->props, "topics");
	const char *regex = props_get(&c->props, "topics.regex");

	if (!list == !regex)
		return err_set(err, ST_USAGE,
			       list ? "topics and topics.regex are both set; keep one"
				    : "topics is not set: name the topics to read");
	if (regex) {
		c->topics_regex = true;
		c->topics = (struct text_list){.items = xmalloc(sizeof(char *)), .n = 1};
		c->topics.items[0] = xstrdup(regex);
		return ST_OK;
	}
	c->topics = text_list_split(list);
	if (c->topics.n == 0)
		return err_set(err, ST_USAGE, "topics is empty: name the topics to read");
	for (size_t i = 0; i < c->topics.n; i++) {
		const char *t = c->topics.items[i];

		if (strlen(t) > 249 || strcmp(t, ".") == 0 || strcmp(t, "..") == 0 ||
		    strspn(t,
			   "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") !=
			    strlen(t))
			return err_set(
				err, ST_USAGE,
				"topics: %s is no topic's name (letters, digits, `.`, `_`, `-`, at "
				"most 249)",
				t);
		for (size_t j = 0; j < i; j++)
			if (strcmp(t, c->topics.items[j]) == 0)
				return err_set(err, ST_USAGE, "topics: %s is named twice", t);
	}
	return ST_OK;
}

static enum status forward_client(struct config *c, const char *prefix, struct props *to,
				  struct err *err)
{
	for (size_t i = 0; i < c->props.n; i++) {
		const char *key = c->props.items[i].key;
		const char *rest = key + strlen(prefix);

		if (strncmp(key, prefix, strlen(prefix)) != 0)
			continue;
		for (size_t j = 0; j < ARRAY_SIZE(promised); j++)
			if (strcmp(rest, promised[j].key) == 0)
				return err_set(err, ST_USAGE, "%s=%s is refused: %s; remove it",
					       key, c->props.items[i].value, promised[j].why);
		if (rdkafka_property_check(rest, c->props.items[i].value, err) != ST_OK)
			return err_wrap(err, ST_USAGE, "%s", key);
		props_set(to, rest, c->props.items[i].value);
	}
	return ST_OK;
}

static enum status client(struct config *c, struct err *err)
{
	static const struct {
		const char *key, *value;
	} defaults[] = {
		/* reference figures: docs/performance.md */
		{"fetch.queue.backoff.ms", "10"},
		{"session.timeout.ms", "10000"},
		{"heartbeat.interval.ms", "2000"},
		{"partition.assignment.strategy", "cooperative-sticky"},
		{"reconnect.backoff.max.ms", "2000"},
		{"topic.metadata.refresh.interval.ms", "10000"},
	};
	enum status st;

	props_set(&c->client, "bootstrap.servers", c->bootstrap);
	props_set(&c->producer, "bootstrap.servers", c->bootstrap);
	for (size_t i = 0; i < ARRAY_SIZE(defaults); i++)
		props_set(&c->client, defaults[i].key, defaults[i].value);
	for (size_t i = 0; i < c->props.n; i++) {
		const char *key = c->props.items[i].key;

		if (strncmp(key, "sasl.", 5) == 0 || strncmp(key, "ssl.", 4) == 0 ||
		    strcmp(key, "security.protocol") == 0) {
			st = rdkafka_property_check(key, c->props.items[i].value, err);
			if (st != ST_OK)
				return st;
			props_set(&c->client, key, c->props.items[i].value);
			props_set(&c->producer, key, c->props.items[i].value);
		}
	}
	st = forward_client(c, "consumer.override.", &c->client, err);
	if (st == ST_OK)
		st = forward_client(c, "producer.override.", &c->producer, err);
	return st;
}

static enum policy policy(const struct config *c, const char *key)
{
	const char *text = prop_text(&connector_table, &c->props, key);

	return strcmp(text, "earliest") == 0     ? POLICY_EARLIEST
	       : strcmp(text, "latest") == 0     ? POLICY_LATEST
	       : strcmp(text, "deadletter") == 0 ? POLICY_DEADLETTER
						 : POLICY_FAIL;
}

/* The schema that all files have, as far as it is known; NULL: it is not. */
static char *files_schema(const struct config *c, const char *format)
{
	char *text;

	/* with a registry each record says which schema it has */
	if (!c->schema_text || strcmp(format, "json") == 0 || c->converter == CONVERTER_AVRO)
		return NULL;
	if (c->record_metadata)
		return record_metadata_text(c->schema_text, &text, NULL) == ST_OK ? text : NULL;
	return xstrdup(c->schema_text);
}

static enum status gates(struct config *c, struct err *err)
{
	const char *converter = props_get(&c->props, "value.converter");
	const char *format = prop_text(&connector_table, &c->props, "format");
	AUTO(freep) char *schema = files_schema(c, format);
	const struct gate_surroundings around = {
		.connector = c->name,
		.path_prefix = c->path_prefix,
		.fields = strcmp(format, "bytes") != 0 && strcmp(converter, "bytes") != 0 &&
			  strcmp(converter, "string") != 0,
		.schemas = strcmp(format, "avro") == 0 || strcmp(format, "parquet") == 0,
		.schema = schema,
	};

	return gates_configure(&c->props, &around, &c->gates, &c->n_gates, err);
}

static enum status errors(struct config *c, struct err *err)
{
	const struct prop_table *t = &connector_table;
	const char *topic = prop_text(t, &c->props, "errors.deadletterqueue.topic.name");

	c->tolerate_errors = strcmp(prop_text(t, &c->props, "errors.tolerance"), "all") == 0;
	c->log_errors = prop_flag(t, &c->props, "errors.log.enable");
	c->log_error_messages = prop_flag(t, &c->props, "errors.log.include.messages");
	c->retry_timeout_ms = prop_number(t, &c->props, "errors.retry.timeout");
	if (c->retry_timeout_ms == 0)
		c->retry_timeout_ms = 300000;
	c->deadletter_headers =
		prop_flag(t, &c->props, "errors.deadletterqueue.context.headers.enable");
	c->deadletter_topic = *topic ? topic : NULL;
	for (size_t i = 0; topic && *topic && !c->topics_regex && i < c->topics.n; i++)
		if (strcmp(c->topics.items[i], topic) == 0)
			return err_set(err, ST_USAGE,
				       "errors.deadletterqueue.topic.name=%s is one of topics; "
				       "name another",
				       topic);
	return ST_OK;
}

static void numbers(struct config *c)
{
	const struct prop_table *t = &connector_table;
	const struct props *p = &c->props;

	c->tasks_max = (int)prop_number(t, p, "tasks.max");
	c->checkpoint_interval_ms = prop_number(t, p, "checkpoint.interval.ms");
	c->checkpoint_records = prop_number(t, p, "checkpoint.records");
	c->checkpoint_bytes = prop_number(t, p, "checkpoint.bytes");
	c->publish_checkpoints = prop_number(t, p, "publish.checkpoints");
	c->publish_interval_ms = prop_number(t, p, "publish.interval.ms");
	c->publish_prefix = strcmp(prop_text(t, p, "publish.on.hold"), "prefix") == 0;
	c->gc_interval_ms = prop_number(t, p, "lake.gc.interval.ms");
	c->memory_max_bytes = prop_number(t, p, "memory.max.bytes");
	c->row_group_bytes = prop_number(t, p, "parquet.row.group.bytes");
	c->row_group_rows = prop_number(t, p, "parquet.row.group.rows");
	c->on_out_of_range = policy(c, "on.offset.out.of.range");
	c->on_recreated = policy(c, "on.topic.recreated");
	c->on_unknown_schema = policy(c, "on.unknown.schema");
	c->start_at_latest = strcmp(prop_text(t, p, "auto.offset.reset"), "latest") == 0;
}

/* FNV-1a of what is subscribed to. A broker gives a static member that comes back
 * its old partitions, whatever it subscribes to now; so another subscription
 * is another member. */
static uint32_t subscription_hash(const struct config *c)
{
	uint32_t hash = 2166136261U;

	for (size_t i = 0; i < c->topics.n; i++)
		for (const char *p = c->topics.items[i]; p == c->topics.items[i] || p[-1]; p++)
			hash = (hash ^ (unsigned char)*p) * 16777619U;
	return hash;
}

static void identity(struct config *c)
{
	const char *worker = props_get(&c->props, "worker.id");
	char host[256] = "localhost";

	gethostname(host, sizeof(host) - 1);
	c->group_id = xasprintf("connect-%s", c->name);
	c->instance_id =
		xasprintf("%s-%s-%08x", c->name, worker ? worker : host, subscription_hash(c));
}

/* A cron line and its time zone. */
static enum status schedule(const struct config *c, const char *key, struct cron **out,
			    struct err *err)
{
	AUTO(freep) char *zone_key = xasprintf("%s.timezone", key);
	const char *line = props_get(&c->props, key);
	const char *name = prop_text(&connector_table, &c->props, zone_key);
	struct zone *zone;

	if (!line && props_get(&c->props, zone_key))
		return err_set(err, ST_USAGE, "%s=%s: %s is not set; set it, or remove this",
			       zone_key, name, key);
	if (!line)
		return ST_OK;
	if (zone_open(name, &zone, err) != ST_OK)
		return err_wrap(err, ST_USAGE, "%s=%s", zone_key, name);
	if (cron_parse(line, zone, out, err) != ST_OK)
		return err_wrap(err, ST_USAGE, "%s=%s", key, line);
	return ST_OK;
}

static enum status schedules(struct config *c, struct err *err)
{
	enum status st = schedule(c, "checkpoint.schedule", &c->checkpoint_cron, err);

	return st == ST_OK ? schedule(c, "publish.schedule", &c->publish_cron, err) : st;
}

static enum status load(struct config *c, bool saved, struct err *err)
{
	AUTO(buf_release) struct buf warnings = BUF_INIT;
	enum status st = prop_table_check(&connector_table, &c->props, &warnings, err);
	const char *class;

	if (st == ST_OK && !saved)
		st = config_partitioner(&c->props, &warnings, &c->partitioner, err);
	if (st != ST_OK)
		return st;
	c->warnings = buf_detach(&warnings);
	class = prop_text(&connector_table, &c->props, "connector.class");
	if (strcmp(class, "tidemark") != 0)
		return err_set(err, ST_USAGE, "connector.class=%s: give tidemark", class);
	c->name = props_get(&c->props, "name");
	c->bootstrap = props_get(&c->props, "bootstrap.servers");
	c->lake_url = prop_text(&connector_table, &c->props, "lake.url");
	c->path_prefix = prop_text(&connector_table, &c->props, "path.prefix");
	c->export_dir = props_get(&c->props, "publish.export");
	st = name_check(c->name, err);
	if (st == ST_OK && lake_path_check(c->path_prefix, err) != ST_OK)
		st = err_wrap(err, ST_USAGE, "path.prefix=%s", c->path_prefix);
	if (st == ST_OK && (c->path_prefix[0] == '_'))
		st = err_set(err, ST_USAGE,
			     "path.prefix=%s: names that begin with `_` are Tidemark's own",
			     c->path_prefix);
	if (st == ST_OK)
		st = branches(c, err);
	if (st == ST_OK)
		st = topics(c, err);
	if (st == ST_OK)
		st = client(c, err);
	if (st == ST_OK && !saved)
		st = config_values(c, err);
	if (st == ST_OK && !saved)
		st = schedules(c, err);
	if (st == ST_OK)
		st = gates(c, err);
	if (st == ST_OK)
		st = notify_configure(&c->props, &c->notifiers, &c->n_notifiers, err);
	if (st == ST_OK)
		st = errors(c, err);
	numbers(c);
	identity(c);
	return st;
}

static enum status load_from(struct props *props, bool saved, struct config *out, struct err *err)
{
	struct config c = {.props = *props};
	enum status st;

	*props = (struct props)PROPS_INIT;
	st = load(&c, saved, err);
	if (st != ST_OK) {
		config_release(&c);
		return st;
	}
	*out = c;
	return ST_OK;
}

enum status config_load(struct props *props, struct config *out, struct err *err)
{
	return load_from(props, false, out, err);
}

enum status config_load_saved(const char *json, struct config *out, struct err *err)
{
	struct props props = PROPS_INIT;
	struct text_list withheld = {.n = 0};
	json_t *root = json_loads(json, 0, NULL), *keys = json_object_get(root, "withheld"), *value;
	const char *key;
	enum status st;
	size_t i;

	json_object_foreach(root, key, value) if (json_is_string(value))
		props_set(&props, key, json_string_value(value));
	withheld.items = xcalloc(json_array_size(keys) + 1, sizeof(char *));
	json_array_foreach(keys, i, value) if (json_is_string(value)) withheld.items[withheld.n++] =
		xstrdup(json_string_value(value));
	json_decref(root);
	st = load_from(&props, true, out, err);
	if (st == ST_OK)
		out->withheld = withheld;
	else
		text_list_release(&withheld);
	return st;
}

bool config_withholds(const struct config *c, const char *key)
{
	for (size_t i = 0; i < c->withheld.n; i++)
		if (strcmp(c->withheld.items[i], key) == 0)
			return true;
	return false;
}

enum status config_check_gates(const struct config *c, struct err *err)
{
	static const char *const kept_back[] = {"secret", "url"};

	for (size_t i = 0; i < c->n_gates; i++)
		for (size_t j = 0; j < ARRAY_SIZE(kept_back); j++) {
			AUTO(freep)
			char *key = xasprintf("gates.%s.%s", c->gates[i].name, kept_back[j]);

			if (c->gates[i].type == GATE_WEBHOOK && config_withholds(c, key))
				return err_set(err, ST_USAGE,
					       "%s is a secret, which no lake keeps, and the gate "
					       "is not asked without it: name the configuration "
					       "file in place of %s",
					       key, c->name);
		}
	return ST_OK;
}

void config_release(struct config *c)
{
	gates_config_free(c->gates, c->n_gates);
	notify_config_free(c->notifiers, c->n_notifiers);
	text_list_release(&c->withheld);
	props_release(&c->props);
	props_release(&c->client);
	props_release(&c->producer);
	text_list_release(&c->topics);
	text_list_release(&c->sort_columns);
	free(c->warnings);
	free(c->branch);
	free(c->published);
	free(c->group_id);
	free(c->instance_id);
	free(c->schema_text);
	free(c->registry_user);
	free(c->registry_password);
	partitioner_free(c->partitioner);
	cron_free(c->checkpoint_cron);
	cron_free(c->publish_cron);
	*c = (struct config){0};
}

bool config_key_is_secret(const char *key)
{
	static const char *const marks[] = {"password",   "secret",     "sasl.jaas",
					    "token",      "user.info",  "ssl.key",
					    "passphrase", "credential", "sasl.oauth"};
	const struct prop_def *def = prop_table_find(&connector_table, key);

	if (def && def->secret && !def->prefix)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(marks); i++)
		if (strcasestr(key, marks[i]) && !strcasestr(key, "credentials.source"))
			return true;
	return false;
}

/* A URL may carry user info: "http://user:pw@host" -> "http://host". */
static char *without_user_info(const char *value)
{
	AUTO(buf_release) struct buf out = BUF_INIT;

	while (*value) {
		const char *scheme = strstr(value, "://");
		const char *end = scheme ? scheme + 3 + strcspn(scheme + 3, "/, ") : NULL;
		const char *at =
			scheme ? memrchr(scheme + 3, '@', (size_t)(end - (scheme + 3))) : NULL;

		if (!scheme) {
			buf_adds(&out, value);
			break;
		}
		buf_add(&out, value, (size_t)(scheme + 3 - value));
		value = at ? at + 1 : scheme + 3;
		buf_add(&out, value, (size_t)(end - value));
		value = end;
	}
	return buf_detach(&out);
}

void config_public_json(const struct config *c, struct buf *out)
{
	json_t *object = json_object(), *withheld = json_array();
	char *text;

	for (size_t i = 0; i < c->props.n; i++) {
		const struct prop *p = &c->props.items[i];
		AUTO(freep) char *value = without_user_info(p->value);
		bool secret = config_key_is_secret(p->key);

		if (!secret)
			json_object_set_new(object, p->key, json_string(value));
		if (secret || strcmp(value, p->value) != 0)
			json_array_append_new(withheld, json_string(p->key));
	}
	if (json_array_size(withheld))
		json_object_set(object, "withheld", withheld);
	json_decref(withheld);
	text = json_dumps(object, JSON_SORT_KEYS | JSON_COMPACT);
	buf_adds(out, text);
	free(text);
	json_decref(object);
}
