/* Gates as they are configured: one table of properties; each gate takes those
 * of its type. */
#include <math.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "connector/columnar/sql.h"
#include "connector/schema/avro_fields.h"
#include "connector/gates/gate_table.h"
#include "connector/writer/deadletter_writer.h"

void gates_config_free(struct gate_config *gates, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(gates[i].name);
		text_list_release(&gates[i].paths);
		free(gates[i].field);
		free(gates[i].low);
		free(gates[i].high);
		free(gates[i].pattern);
		free(gates[i].query);
		free(gates[i].command);
		free(gates[i].url);
		if (gates[i].secret)
			explicit_bzero(gates[i].secret, strlen(gates[i].secret));
		free(gates[i].secret);
	}
	free(gates);
}

/* ---- one gate's properties, with its own table ---- */

struct reading {
	const char *name;
	const struct gate_surroundings *around;
	enum gate_type type;
	struct prop_table table; /* the rows of this type, under this gate's name */
	struct prop_def *defs;
	struct props props; /* this gate's */
};

static void reading_release(struct reading *r)
{
	for (size_t i = 0; i < r->table.n; i++)
		free((char *)(uintptr_t)r->defs[i].name);
	free(r->defs);
	props_release(&r->props);
}

static const char *text_of(const struct reading *r, const char *key)
{
	AUTO(freep) char *whole = xasprintf("gates.%s.%s", r->name, key);

	return prop_text(&r->table, &r->props, whole);
}

static int64_t number_of(const struct reading *r, const char *key)
{
	AUTO(freep) char *whole = xasprintf("gates.%s.%s", r->name, key);

	return prop_number(&r->table, &r->props, whole);
}

/* "gates.g.min=x: " and what to give. */
static enum status wrong(const struct reading *r, const char *key, const char *remedy,
			 struct err *err)
{
	const char *value = text_of(r, key);

	if (!value)
		return err_set(err, ST_USAGE, "gates.%s.%s is not set: %s", r->name, key, remedy);
	return err_set(err, ST_USAGE, "gates.%s.%s=%s: %s", r->name, key, value, remedy);
}

static void table_of(struct reading *r)
{
	r->defs = xcalloc(gate_table.n, sizeof(*r->defs));
	r->table = (struct prop_table){.defs = r->defs};
	for (size_t i = 0; i < gate_table.n; i++) {
		if (!gate_takes(r->type, i))
			continue;
		r->defs[r->table.n] = gate_table.defs[i];
		r->defs[r->table.n++].name =
			xasprintf("gates.%s.%s", r->name, gate_table.defs[i].name + strlen(PREFIX));
	}
}

static enum status not_taken(const struct reading *r, const char *key, struct err *err)
{
	AUTO(buf_release) struct buf known = BUF_INIT;

	for (size_t i = 0; i < r->table.n; i++)
		buf_addf(&known, "%s%s", i ? ", " : "",
			 r->defs[i].name + strlen("gates.") + strlen(r->name) + 1);
	return err_set(err, ST_USAGE, "%s: no such property of a gate of type %s; it takes %s", key,
		       gate_type_name(r->type), buf_str(&known));
}

/* Finds this gate's properties, its type, and its table; checks them by it. */
static enum status read_props(struct reading *r, const struct props *props, struct err *err)
{
	AUTO(freep) char *prefix = xasprintf("gates.%s.", r->name);
	AUTO(freep) char *type_key = xasprintf("gates.%s.type", r->name);
	AUTO(buf_release) struct buf warnings = BUF_INIT;
	AUTO(buf_release) struct buf types = BUF_INIT;
	const char *type = props_get(props, type_key);
	int found = -1;

	for (int i = 0; i < GATE_TYPES; i++) {
		buf_addf(&types, "%s%s", i ? ", " : "", gate_type_name((enum gate_type)i));
		if (type && strcmp(type, gate_type_name((enum gate_type)i)) == 0)
			found = i;
	}
	if (!type)
		return err_set(err, ST_USAGE, "%s is not set: give one of %s", type_key,
			       buf_str(&types));
	if (found < 0)
		return err_set(err, ST_USAGE, "%s=%s: give one of %s", type_key, type,
			       buf_str(&types));
	r->type = (enum gate_type)found;
	table_of(r);
	for (size_t i = 0; i < props->n; i++) {
		const char *key = props->items[i].key;

		if (strncmp(key, prefix, strlen(prefix)) != 0)
			continue;
		if (!prop_table_find(&r->table, key))
			return not_taken(r, key, err);
		props_set(&r->props, key, props->items[i].value);
	}
	return prop_table_check(&r->table, &r->props, &warnings, err);
}

/* ---- values ---- */

/* May the pattern match something that begins with root, or the other way round? */
static bool may_meet(const char *pattern, const char *root)
{
	size_t plain = strcspn(pattern, "*?["), len = strlen(root);

	return strncmp(pattern, root, plain < len ? plain : len) == 0;
}

static enum status paths_of(const struct reading *r, struct gate_config *g, struct err *err)
{
	AUTO(freep) char *data = xasprintf("%s/", r->around->path_prefix);
	AUTO(freep) char *dead = xasprintf(DEADLETTER_FOLDER "%s/", r->around->connector);

	g->paths = text_list_split(text_of(r, "paths"));
	for (size_t i = 0; i < g->paths.n; i++)
		if (!may_meet(g->paths.items[i], data) && !may_meet(g->paths.items[i], dead))
			return err_set(err, ST_USAGE,
				       "gates.%s.paths: %s is no path of this connector; its files "
				       "are under %s and %s",
				       r->name, g->paths.items[i], data, dead);
	return ST_OK;
}

/* A bound of row_count or file_size; -1 where unset. */
static enum status bound_of(const struct reading *r, const char *key, int64_t *out, struct err *err)
{
	const char *text = text_of(r, key);

	*out = -1;
	if (!text)
		return ST_OK;
	if (!bytes_parse(text, out) || *out < 0 ||
	    (r->type != GATE_FILE_SIZE && text[strspn(text, "0123456789")]))
		return wrong(r, key,
			     r->type == GATE_FILE_SIZE
				     ? "give bytes, or a number with KiB, MiB or GiB"
				     : "give a number of rows",
			     err);
	return ST_OK;
}

static enum status bounds_of(const struct reading *r, struct gate_config *g, struct err *err)
{
	enum status st = bound_of(r, "min", &g->min, err);

	if (st == ST_OK)
		st = bound_of(r, "max", &g->max, err);
	if (st == ST_OK && g->min >= 0 && g->max >= 0 && g->min > g->max)
		st = wrong(r, "min", "it is above max; give a smaller number", err);
	return st;
}

/* "0.5" or "50%"; false: it is no share. */
static bool share_parse(const char *text, double *out)
{
	char *end;
	double v = strtod(text, &end);

	if (end == text || !isfinite(v) || v < 0)
		return false;
	if (*end == '%') {
		v /= 100;
		end++;
	}
	*out = v;
	return !*end;
}

static enum status row_count_of(const struct reading *r, struct gate_config *g, struct err *err)
{
	const char *change = text_of(r, "max.change");
	enum status st = bounds_of(r, g, err);

	g->max_change = -1;
	g->publishes = (size_t)number_of(r, "max.change.publishes");
	if (st != ST_OK)
		return st;
	if (change && !share_parse(change, &g->max_change))
		return wrong(r, "max.change", "give a share of the median: 0.5, or 50%", err);
	if (change && (g->paths.n || g->all))
		return wrong(r, "max.change",
			     "publishes are compared as a whole; remove paths and scope", err);
	if (!change && g->min < 0 && g->max < 0)
		return err_set(err, ST_USAGE,
			       "gates.%s.min, .max and .max.change are not set: give one of them",
			       r->name);
	return ST_OK;
}

static enum status file_size_of(const struct reading *r, struct gate_config *g, struct err *err)
{
	enum status st = bounds_of(r, g, err);

	if (st == ST_OK && g->min < 0 && g->max < 0)
		return err_set(err, ST_USAGE, "gates.%s.min and .max are not set: give one of them",
			       r->name);
	return st;
}

/* "3", or "1%": rows that may fail; 0 where unset. */
static enum status tolerance_of(const struct reading *r, struct gate_config *g, struct err *err)
{
	const char *text = text_of(r, "max");
	struct gate_tolerance *t = &g->tolerance;

	if (!text)
		return ST_OK;
	t->share = *text && text[strlen(text) - 1] == '%';
	if (!share_parse(text, &t->most) || (!t->share && t->most != floor(t->most)))
		return wrong(r, "max", "give a number of rows, or a share of them: 1%", err);
	return ST_OK;
}

static enum status field_of(const struct reading *r, struct gate_config *g, struct err *err)
{
	AUTO(schema_freep) struct schema *schema = NULL;
	AUTO(freep) char *lack = NULL;
	const char *field = text_of(r, "field");
	const char *optional = text_of(r, "optional");
	size_t len = field ? strlen(field) : 0;

	if (!len || field[0] == '.' || field[len - 1] == '.' || strstr(field, ".."))
		return wrong(r, "field", "name a field, with dots into records", err);
	if (!r->around->fields)
		return wrong(r, "field",
			     "records of format or value.converter bytes or string have no fields; "
			     "remove the gate",
			     err);
	g->field = xstrdup(field);
	g->optional = optional && strcasecmp(optional, "true") == 0;
	if (!r->around->schema ||
	    schema_parse(r->around->schema, strlen(r->around->schema), &schema, NULL) != ST_OK)
		return ST_OK;
	lack = avro_field_lack(schema, field);
	if (lack && !g->optional)
		return err_set(err, ST_USAGE, "gates.%s.field=%s: look at the schema file: %s",
			       r->name, field, lack);
	return ST_OK;
}

static enum status range_of(const struct reading *r, struct gate_config *g, struct err *err)
{
	static const char remedy[] = "give a number, or a time: 2026-01-31T12:00:00Z";
	const char *low = text_of(r, "min"), *high = text_of(r, "max");
	struct bound min = {.set = false}, max = {.set = false};

	if (!low && !high)
		return err_set(err, ST_USAGE, "gates.%s.min and .max are not set: give one of them",
			       r->name);
	if (low && !bound_parse(low, &min))
		return wrong(r, "min", remedy, err);
	if (high && !bound_parse(high, &max))
		return wrong(r, "max", remedy, err);
	if (low && high && min.is_time != max.is_time)
		return wrong(r, "min", "max is of another kind; give two numbers or two times",
			     err);
	if (low && high && (min.is_time ? min.us > max.us : min.exact > max.exact))
		return wrong(r, "min", "it is above max; give a smaller one", err);
	g->low = low ? xstrdup(low) : NULL;
	g->high = high ? xstrdup(high) : NULL;
	return field_of(r, g, err);
}

static enum status pattern_of(const struct reading *r, struct gate_config *g, struct err *err)
{
	const char *text = text_of(r, "pattern");
	enum status st = tolerance_of(r, g, err);
	regex_t pattern;

	if (st != ST_OK)
		return st;
	if (!text || !*text || regcomp(&pattern, text, REG_EXTENDED | REG_NOSUB) != 0)
		return wrong(r, "pattern", "give a POSIX extended regular expression", err);
	regfree(&pattern);
	g->pattern = xstrdup(text);
	return field_of(r, g, err);
}

static enum status freshness_of(const struct reading *r, struct gate_config *g, struct err *err)
{
	g->max_age_ms = number_of(r, "max.age.ms");
	if (!g->max_age_ms)
		return wrong(r, "max.age.ms", "give milliseconds", err);
	if (text_of(r, "field"))
		return field_of(r, g, err);
	if (g->paths.n)
		return wrong(r, "paths",
			     "timestamps are known of whole checkpoints; name a field, or remove "
			     "paths",
			     err);
	return ST_OK;
}

/* A bound of a query's number. */
static enum status query_bound_of(const struct reading *r, const char *key, char **out,
				  struct err *err)
{
	const char *text = text_of(r, key);
	char *end;

	if (!text)
		return ST_OK;
	if (!isfinite(strtold(text, &end)) || end == text || *end)
		return wrong(r, key, "give a number", err);
	*out = xstrdup(text);
	return ST_OK;
}

/* Where DuckDB is not there, the gate says so when it runs. */
static enum status check_query(const struct reading *r, const char *query, struct err *err)
{
	AUTO(freep) char *remedy = NULL;
	struct err why = ERR_INIT;

	if (sql_check(query, &why) != ST_USAGE)
		return ST_OK;
	remedy = xasprintf("%s; give one SELECT over added, merged and target", why.text);
	return wrong(r, "query", remedy, err);
}

static enum status query_of(const struct reading *r, struct gate_config *g, struct err *err)
{
	const char *query = text_of(r, "query");
	enum status st = query_bound_of(r, "min", &g->low, err);

	if (st == ST_OK)
		st = query_bound_of(r, "max", &g->high, err);
	if (st != ST_OK)
		return st;
	if (!query || !query[strspn(query, " \t\r\n;")])
		return wrong(r, "query", "give a SELECT over added, merged and target", err);
	if (g->low && g->high && strtold(g->low, NULL) > strtold(g->high, NULL))
		return wrong(r, "min", "it is above max; give a smaller number", err);
	if (!r->around->fields)
		return wrong(
			r, "query",
			"records of format or value.converter bytes or string have no columns; "
			"remove the gate",
			err);
	g->query = xstrdup(query);
	g->memory_bytes = (uint64_t)number_of(r, "memory.max.bytes");
	return check_query(r, query, err);
}

static enum status command_of(const struct reading *r, struct gate_config *g, struct err *err)
{
	const char *command = text_of(r, "command");
	const char *files = text_of(r, "files");

	if (!command || !*command)
		return wrong(r, "command", "give a command for /bin/sh -c", err);
	g->command = xstrdup(command);
	g->files = strcasecmp(files, "true") == 0;
	return ST_OK;
}

static enum status schema_of(const struct reading *r, struct gate_config *g, struct err *err)
{
	static const char *const names[] = {
		[GATE_BACKWARD] = "backward",
		[GATE_FORWARD] = "forward",
		[GATE_FULL] = "full",
		[GATE_NO_COMPATIBILITY] = "none",
	};

	if (!r->around->schemas)
		return err_set(
			err, ST_USAGE,
			"gates.%s.type=schema: only files of format=avro and parquet have schemas; "
			"remove the gate",
			r->name);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(names[i], text_of(r, "compatibility")) == 0)
			g->compatibility = (enum gate_compatibility)i;
	return ST_OK;
}

static enum status webhook_of(const struct reading *r, struct gate_config *g, struct err *err)
{
	const char *url = text_of(r, "url"), *secret = text_of(r, "secret");
	const char *host = url ? strstr(url, "://") : NULL;

	if (!host || !host[3] ||
	    (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0))
		return wrong(r, "url", "give http://HOST[:PORT]/PATH, or https", err);
	if (secret && !*secret)
		return err_set(err, ST_USAGE, "gates.%s.secret is empty: give a key, or remove it",
			       r->name);
	g->url = xstrdup(url);
	g->secret = secret ? xstrdup(secret) : NULL;
	return ST_OK;
}

static enum status values_of(const struct reading *r, struct gate_config *g, struct err *err)
{
	const char *monotone = text_of(r, "monotone"), *scope = text_of(r, "scope");
	enum status st = paths_of(r, g, err);

	g->type = r->type;
	g->timeout_ms = number_of(r, "timeout.ms");
	g->all = scope && strcmp(scope, "all") == 0;
	g->min = g->max = -1;
	if (st != ST_OK)
		return st;
	switch (g->type) {
	case GATE_ROW_COUNT:
		st = row_count_of(r, g, err);
		break;
	case GATE_NULLS:
	case GATE_UNIQUE:
		st = tolerance_of(r, g, err);
		if (st == ST_OK)
			st = field_of(r, g, err);
		break;
	case GATE_RANGE:
		st = range_of(r, g, err);
		break;
	case GATE_PATTERN:
		st = pattern_of(r, g, err);
		break;
	case GATE_FRESHNESS:
		st = freshness_of(r, g, err);
		break;
	case GATE_OFFSETS:
		g->max_missing = (uint64_t)number_of(r, "max.missing");
		break;
	case GATE_FILE_SIZE:
		st = file_size_of(r, g, err);
		break;
	case GATE_SQL:
		st = query_of(r, g, err);
		break;
	case GATE_COMMAND:
		st = command_of(r, g, err);
		break;
	case GATE_SCHEMA:
		st = schema_of(r, g, err);
		break;
	case GATE_WEBHOOK:
		st = webhook_of(r, g, err);
		break;
	case GATE_TYPES:
		break;
	}
	g->monotone = monotone ? strcasecmp(monotone, "true") == 0
			       : !g->all && !g->tolerance.share && gate_type_monotone(g->type);
	return st;
}

static enum status read_gate(const struct props *props, const char *name,
			     const struct gate_surroundings *around, struct gate_config *out,
			     struct err *err)
{
	AUTO(reading_release) struct reading r = {.name = name, .around = around};
	enum status st = read_props(&r, props, err);

	if (st != ST_OK)
		return st;
	out->name = xstrdup(name);
	return values_of(&r, out, err);
}

/* ---- all ---- */

static enum status check_names(const struct props *props, const struct text_list *names,
			       struct err *err)
{
	for (size_t i = 0; i < names->n; i++) {
		if (strchr(names->items[i], '.'))
			return err_set(err, ST_USAGE, "gates: %s has a dot; give another name",
				       names->items[i]);
		for (size_t j = 0; j < i; j++)
			if (strcmp(names->items[i], names->items[j]) == 0)
				return err_set(err, ST_USAGE,
					       "gates: %s is named twice; remove one",
					       names->items[i]);
	}
	for (size_t i = 0; i < props->n; i++) {
		const char *key = props->items[i].key;
		bool known = false;

		if (strncmp(key, "gates.", 6) != 0)
			continue;
		for (size_t j = 0; j < names->n; j++)
			known = known ||
				(strncmp(key + 6, names->items[j], strlen(names->items[j])) == 0 &&
				 key[6 + strlen(names->items[j])] == '.');
		if (!known)
			return err_set(err, ST_USAGE,
				       "%s: gates does not name this gate; add it there", key);
	}
	return ST_OK;
}

enum status gates_configure(const struct props *props, const struct gate_surroundings *around,
			    struct gate_config **out, size_t *n_out, struct err *err)
{
	AUTO(text_list_release)
	struct text_list names = text_list_split(props_get(props, "gates"));
	struct gate_config *gates = xcalloc(names.n, sizeof(*gates));
	enum status st = check_names(props, &names, err);

	for (size_t i = 0; st == ST_OK && i < names.n; i++)
		st = read_gate(props, names.items[i], around, &gates[i], err);
	if (st != ST_OK) {
		gates_config_free(gates, names.n);
		return st;
	}
	*out = gates;
	*n_out = names.n;
	return ST_OK;
}
