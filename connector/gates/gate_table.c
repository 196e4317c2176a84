/* Every property of a gate, and which types take it. */
#include "connector/gates/gate_table.h"

#define BIG (1LL << 50)
#define MS_MAX (366LL * 24 * 3600 * 1000)

static const char *const type_names[GATE_TYPES] = {
	[GATE_ROW_COUNT] = "row_count", [GATE_NULLS] = "nulls",
	[GATE_UNIQUE] = "unique",       [GATE_RANGE] = "range",
	[GATE_PATTERN] = "pattern",     [GATE_FRESHNESS] = "freshness",
	[GATE_SCHEMA] = "schema",       [GATE_OFFSETS] = "offsets",
	[GATE_FILE_SIZE] = "file_size", [GATE_SQL] = "sql",
	[GATE_COMMAND] = "command",     [GATE_WEBHOOK] = "webhook",
};

#define OF(type) (1U << GATE_##type)
#define ANY (~0U)
#define OF_FIELDS (OF(NULLS) | OF(UNIQUE) | OF(RANGE) | OF(PATTERN))

static const unsigned monotone_types =
	OF(NULLS) | OF(RANGE) | OF(PATTERN) | OF(SCHEMA) | OF(OFFSETS) | OF(FILE_SIZE);

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
	ROW_QUERY,
	ROW_MEMORY,
	ROW_COMMAND,
	ROW_FILES,
	ROW_COMPATIBILITY,
	ROW_URL,
	ROW_SECRET,
	ROWS,
};

/* Which types take a row. */
static const unsigned takers[ROWS] = {
	[ROW_TYPE] = ANY,
	[ROW_TIMEOUT] = ANY,
	[ROW_PATHS] = ANY & ~OF(WEBHOOK),
	[ROW_SCOPE] = ANY & ~(OF(SCHEMA) | OF(SQL) | OF(WEBHOOK)),
	[ROW_MONOTONE] = ANY,
	[ROW_FIELD] = OF_FIELDS | OF(FRESHNESS),
	[ROW_OPTIONAL] = (OF_FIELDS & ~OF(NULLS)) | OF(FRESHNESS),
	[ROW_MIN] = OF(ROW_COUNT) | OF(RANGE) | OF(FILE_SIZE) | OF(SQL),
	[ROW_MAX] = OF(ROW_COUNT) | OF_FIELDS | OF(FILE_SIZE) | OF(SQL),
	[ROW_PATTERN] = OF(PATTERN),
	[ROW_MAX_AGE] = OF(FRESHNESS),
	[ROW_MAX_CHANGE] = OF(ROW_COUNT),
	[ROW_PUBLISHES] = OF(ROW_COUNT),
	[ROW_MAX_MISSING] = OF(OFFSETS),
	[ROW_QUERY] = OF(SQL),
	[ROW_MEMORY] = OF(SQL),
	[ROW_COMMAND] = OF(COMMAND),
	[ROW_FILES] = OF(COMMAND),
	[ROW_COMPATIBILITY] = OF(SCHEMA),
	[ROW_URL] = OF(WEBHOOK),
	[ROW_SECRET] = OF(WEBHOOK),
};

static const struct prop_def defs[ROWS] = {
	[ROW_TYPE] = {.name = PREFIX "type",
		      .type = PROP_CHOICE,
		      .required = true,
		      .choices = "row_count|nulls|unique|range|pattern|freshness|schema|offsets|"
				 "file_size|sql|command|webhook",
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
			    "`file_size`: fewest bytes of a file; `sql`: least value of the "
			    "query's one number"},
	[ROW_MAX] = {.name = PREFIX "max",
		     .doc = "`row_count`: most rows; `range`: greatest value; `nulls`, `unique`, "
			    "`pattern`: most rows that may fail, a number (0) or a share (`1%`); "
			    "`file_size`: most bytes of a file; `sql`: greatest value"},
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
	[ROW_QUERY] = {.name = PREFIX "query",
		       .doc = "`sql`: a SELECT that gives no rows where all is well; with `min` "
			      "or `max`, one number"},
	[ROW_MEMORY] = {.name = PREFIX "memory.max.bytes",
			.type = PROP_BYTES,
			.def = "512 MiB",
			.min = 16 << 20,
			.max = BIG,
			.doc = "`sql`: what DuckDB may use in the query's own process, besides "
			       "the connector's `memory.max.bytes`"},
	[ROW_COMMAND] = {.name = PREFIX "command", .doc = "`command`: run by `/bin/sh -c`"},
	[ROW_FILES] = {.name = PREFIX "files",
		       .type = PROP_BOOL,
		       .def = "false",
		       .doc = "`command`: put the files into a folder, `TIDEMARK_FILES`"},
	[ROW_COMPATIBILITY] =
		{.name = PREFIX "compatibility",
		 .type = PROP_CHOICE,
		 .def = "backward",
		 .choices = "backward|forward|full|none",
		 .doc = "`schema`: new schemas read what is there (`backward`), are read "
			"by what is there (`forward`), or both (`full`)"},
	[ROW_URL] = {.name = PREFIX "url", .doc = "`webhook`: where the event is posted to"},
	[ROW_SECRET] = {.name = PREFIX "secret",
			.secret = true,
			.doc = "`webhook`: key of the signature in `X-Tidemark-Signature`"},
};

const struct prop_table gate_table = {.defs = defs, .n = ROWS};

const char *gate_type_name(enum gate_type type)
{
	return type_names[type];
}

bool gate_takes(enum gate_type type, size_t row)
{
	return (takers[row] & 1U << type) != 0;
}

bool gate_type_monotone(enum gate_type type)
{
	return (monotone_types & 1U << type) != 0;
}
