/* Gates as they are configured: one table of properties; each gate takes those
 * of its type. */
#include <math.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "connector/gates/avro_fields.h"
#include "connector/gates/gates.h"

#define BIG (1LL << 50)
#define MS_MAX (366LL * 24 * 3600 * 1000)
#define PREFIX "gates.<g>."

static const char *const type_names[GATE_TYPES] = {
	[GATE_ROW_COUNT] = "row_count", [GATE_NULLS] = "nulls",
	[GATE_UNIQUE] = "unique",       [GATE_RANGE] = "range",
	[GATE_PATTERN] = "pattern",     [GATE_FRESHNESS] = "freshness",
	[GATE_OFFSETS] = "offsets",     [GATE_FILE_SIZE] = "file_size",
	[GATE_COMMAND] = "command",
};

#define OF(type) (1U << GATE_##type)
#define ANY (~0U)
#define OF_FIELDS (OF(NULLS) | OF(UNIQUE) | OF(RANGE) | OF(PATTERN))

static const unsigned monotone_types =
	OF(NULLS) | OF(RANGE) | OF(PATTERN) | OF(OFFSETS) | OF(FILE_SIZE);

enum row {
	ROW_TYPE,
	ROW_TIMEOUT,
	ROW_PATHS,
	ROW_SCOPE,
	ROW_MONOTONE,
	ROW_FIELD,
	ROW_OPTIONAL,
	ROW_MIN,
	ROW_MAX,
	ROW_PATTERN,
	ROW_MAX_AGE,
	ROW_MAX_CHANGE,
	ROW_PUBLISHES,
	ROW_MAX_MISSING,
	ROW_COMMAND,
	ROW_FILES,
	ROWS,
};

/* Which types take a row. */
static const unsigned takers[ROWS] = {
	[ROW_TYPE] = ANY,
	[ROW_TIMEOUT] = ANY,
	[ROW_PATHS] = ANY,
	[ROW_SCOPE] = ANY,
	[ROW_MONOTONE] = ANY,
	[ROW_FIELD] = OF_FIELDS | OF(FRESHNESS),
	[ROW_OPTIONAL] = (OF_FIELDS & ~OF(NULLS)) | OF(FRESHNESS),
	[ROW_MIN] = OF(ROW_COUNT) | OF(RANGE) | OF(FILE_SIZE),
	[ROW_MAX] = OF(ROW_COUNT) | OF_FIELDS | OF(FILE_SIZE),
	[ROW_PATTERN] = OF(PATTERN),
	[ROW_MAX_AGE] = OF(FRESHNESS),
	[ROW_MAX_CHANGE] = OF(ROW_COUNT),
	[ROW_PUBLISHES] = OF(ROW_COUNT),
	[ROW_MAX_MISSING] = OF(OFFSETS),
	[ROW_COMMAND] = OF(COMMAND),
	[ROW_FILES] = OF(COMMAND),
};

static const struct prop_def defs[ROWS] = {
	[ROW_TYPE] = {.name = PREFIX "type",
		      .type = PROP_CHOICE,
		      .required = true,
		      .choices = "row_count|nulls|unique|range|pattern|freshness|offsets|file_size|"
				 "command",
		      .doc = "what the gate asks: docs/gates.md"},
	[ROW_TIMEOUT] = {.name = PREFIX "timeout.ms",
			 .type = PROP_MS,
			 .def = "600000",
			 .min = 1,
			 .max = MS_MAX,
			 .doc = "a gate without a verdict by then refuses"},
	[ROW_PATHS] = {.name = PREFIX "paths",
		       .type = PROP_LIST,
		       .doc = "files to look at: beginnings of paths, or globs; unset: all data of "
			      "the connector"},
	[ROW_SCOPE] = {.name = PREFIX "scope",
		       .type = PROP_CHOICE,
		       .def = "added",
		       .choices = "added|all",
		       .doc = "what the publish adds, or all that the target would hold"},
	[ROW_MONOTONE] = {.name = PREFIX "monotone",
			  .type = PROP_BOOL,
			  .doc = "what it refuses it also refuses with later checkpoints on top; "
				 "unset: as docs/gates.md says of the type"},
	[ROW_FIELD] =
		{.name = PREFIX "field",
		 .doc = "`nulls`, `unique`, `range`, `pattern`, `freshness`: the field, with "
			"dots into records (`customer.address.zip`); `freshness` without: the "
			"records' timestamps"},
	[ROW_OPTIONAL] =
		{.name = PREFIX "optional",
		 .type = PROP_BOOL,
		 .def = "false",
		 .doc = "`unique`, `range`, `pattern`, `freshness`: files without the field "
			"are fine"},
	[ROW_MIN] = {.name = PREFIX "min",
		     .doc = "`row_count`: fewest rows; `range`: least value, a number or a time; "
			    "`file_size`: fewest bytes of a file"},
	[ROW_MAX] = {.name = PREFIX "max",
		     .doc = "`row_count`: most rows; `range`: greatest value; `nulls`, `unique`, "
			    "`pattern`: most rows that may fail, a number (0) or a share (`1%`); "
			    "`file_size`: most bytes of a file"},
	[ROW_PATTERN] = {.name = PREFIX "pattern",
			 .doc = "`pattern`: a POSIX extended regular expression that a whole value "
				"matches"},
	[ROW_MAX_AGE] = {.name = PREFIX "max.age.ms",
			 .type = PROP_MS,
			 .min = 1,
			 .max = 100 * MS_MAX,
			 .doc = "`freshness`: greatest age of the newest"},
	[ROW_MAX_CHANGE] = {.name = PREFIX "max.change",
			    .doc = "`row_count`: how far the rows added may be from the median of "
				   "the last publishes: a share of it (`0.5`, `50%`)"},
	[ROW_PUBLISHES] = {.name = PREFIX "max.change.publishes",
			   .type = PROP_INT,
			   .def = "10",
			   .min = 1,
			   .max = 1000,
			   .doc = "`row_count`: of how many publishes"},
	[ROW_MAX_MISSING] = {.name = PREFIX "max.missing",
			     .type = PROP_INT,
			     .def = "0",
			     .max = BIG,
			     .doc = "`offsets`: how many may be missing that no policy left out; "
				    "markers of transactions and what was compacted away are "
				    "missing too"},
	[ROW_COMMAND] = {.name = PREFIX "command", .doc = "`command`: run by `/bin/sh -c`"},
	[ROW_FILES] = {.name = PREFIX "files",
		       .type = PROP_BOOL,
		       .def = "false",
		       .doc = "`command`: put the files into a folder, `TIDEMARK_FILES`"},
};

const struct prop_table gate_table = {.defs = defs, .n = ARRAY_SIZE(defs)};

void gates_config_free(struct gate_config *gates, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(gates[i].name);
		text_list_release(&gates[i].paths);
		free(gates[i].field);
		free(gates[i].low);
		free(gates[i].high);
		free(gates[i].pattern);
		free(gates[i].command);
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

static void table_of(struct reading *r, unsigned types)
{
	for (size_t i = 0; i < r->table.n; i++)
		free((char *)(uintptr_t)r->defs[i].name);
	free(r->defs);
	r->defs = xcalloc(ARRAY_SIZE(defs), sizeof(*r->defs));
	r->table = (struct prop_table){.defs = r->defs};
	for (size_t i = 0; i < ARRAY_SIZE(defs); i++) {
		if (!(takers[i] & types))
			continue;
		r->defs[r->table.n] = defs[i];
		r->defs[r->table.n++].name =
			xasprintf("gates.%s.%s", r->name, defs[i].name + strlen(PREFIX));
	}
}

static enum status not_taken(const struct reading *r, const char *key, struct err *err)
{
	AUTO(buf_release) struct buf known = BUF_INIT;

	for (size_t i = 0; i < r->table.n; i++)
		buf_addf(&known, "%s%s", i ? ", " : "",
			 r->defs[i].name + strlen("gates.") + strlen(r->name) + 1);
	return err_set(err, ST_USAGE, "%s: no such property of a gate of type %s; it takes %s", key,
		       type_names[r->type], buf_str(&known));
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
		buf_addf(&types, "%s%s", i ? ", " : "", type_names[i]);
		if (type && strcmp(type, type_names[i]) == 0)
			found = i;
	}
	if (!type)
		return err_set(err, ST_USAGE, "%s is not set: give one of %s", type_key,
			       buf_str(&types));
	if (found < 0)
		return err_set(err, ST_USAGE, "%s=%s: give one of %s", type_key, type,
			       buf_str(&types));
	r->type = (enum gate_type)found;
	table_of(r, 1U << found);
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
	AUTO(freep) char *dead = xasprintf("_deadletters/%s/", r->around->connector);

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

static enum status values_of(const struct reading *r, struct gate_config *g, struct err *err)
{
	const char *monotone = text_of(r, "monotone");
	enum status st = paths_of(r, g, err);

	g->type = r->type;
	g->timeout_ms = number_of(r, "timeout.ms");
	g->all = strcmp(text_of(r, "scope"), "all") == 0;
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
	case GATE_COMMAND:
		st = command_of(r, g, err);
		break;
	case GATE_TYPES:
		break;
	}
	g->monotone =
		monotone ? strcasecmp(monotone, "true") == 0
			 : !g->all && !g->tolerance.share && (monotone_types & 1U << g->type) != 0;
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
