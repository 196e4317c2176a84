/* Properties: Java properties files, and tables that say what is allowed.
 *
 * One row of a table gives a property's name, type, range, default and text;
 * it parses, validates, prints `tidemark config` and docs/configuration.md.
 * A struct props belongs to one thread while it changes. */
#ifndef TIDEMARK_BASE_PROPS_H
#define TIDEMARK_BASE_PROPS_H

#include "core/base/buf.h"
#include "core/base/err.h"

struct prop {
	char *key;
	char *value;
};

struct props {
	struct prop *items; /* in the order in which keys came first */
	size_t n;
	size_t cap;
};

#define PROPS_INIT                                                                                 \
	{                                                                                          \
		.items = NULL                                                                      \
	}

void props_release(struct props *p);
void props_set(struct props *p, const char *key, const char *value); /* copies; replaces */
void props_unset(struct props *p, const char *key);
/* NULL where absent; valid until p changes. */
const char *props_get(const struct props *p, const char *key);

/* Reads the format of java.util.Properties (comments, continued lines, \uXXXX,
 * '=', ':' or a blank as separator). ST_USAGE names file and line of a
 * malformed escape or of a key that comes twice. */
MUST_CHECK enum status props_parse(const char *name, const char *text, size_t len,
				   struct props *out, struct err *err);
MUST_CHECK enum status props_read_file(const char *path, struct props *out, struct err *err);

enum prop_type {
	PROP_STRING,
	PROP_LIST, /* comma-separated */
	PROP_INT, /* min..max */
	PROP_BYTES, /* plain bytes, or with KiB, MiB, GiB; min..max in bytes */
	PROP_MS, /* milliseconds, min..max */
	PROP_DURATION, /* milliseconds, or with ms, s, m, h, d, w; min..max in ms */
	PROP_BOOL, /* true, false */
	PROP_CHOICE, /* one of choices */
};

struct prop_def {
	const char *name;
	enum prop_type type;
	const char *def; /* default, as text; NULL: unset */
	int64_t min, max; /* PROP_INT, PROP_BYTES, PROP_MS, PROP_DURATION */
	/* PROP_CHOICE: "avro|json|bytes"; a name that is known elsewhere follows its
	 * value behind '=': "avro=io.confluent.connect.avro.AvroConverter". */
	const char *choices;
	const char *alias_of; /* another name of that property */
	bool prefix; /* name ends in ".": any key that begins so */
	bool required;
	bool secret;
	/* Known from other products and without effect here; a warning. */
	bool ignored;
	const char *doc;
};

struct prop_table {
	const struct prop_def *defs;
	size_t n;
};

/* The row for key (aliases are not followed; prefix rows match); or NULL. */
const struct prop_def *prop_table_find(const struct prop_table *table, const char *key);
/* Renames aliases, shortens the values of choices, and checks every key and
 * value. ST_USAGE names key, value and remedy; an unknown key gets the nearest
 * known one. Names of ignored keys are appended to warnings (one a line). */
MUST_CHECK enum status prop_table_check(const struct prop_table *table, struct props *p,
					struct buf *warnings, struct err *err);

/* Typed values, after a successful check; defaults fill in. */
const char *prop_text(const struct prop_table *table, const struct props *p, const char *key);
int64_t prop_number(const struct prop_table *table, const struct props *p, const char *key);
bool prop_flag(const struct prop_table *table, const struct props *p, const char *key);

/* Splits a list at commas, trims blanks, drops empty items. */
struct text_list {
	char **items;
	size_t n;
};
struct text_list text_list_split(const char *text);
void text_list_release(struct text_list *list);

/* Size text with unit to bytes. */
MUST_CHECK bool bytes_parse(const char *text, int64_t *out);
/* "30d", "12h", "90m", "45s", "500ms", "2w", or plain milliseconds. */
MUST_CHECK bool duration_parse(const char *text, int64_t *ms_out);
/* The candidate nearest to word by edit distance, or NULL where none is near. */
const char *nearest_word(const char *word, const char *const *candidates, size_t n);

/* Markdown: one table row a property. */
void prop_table_markdown(const struct prop_table *table, struct buf *out);
/* For `tidemark config KEY`: all of one property, for people. */
void prop_def_describe(const struct prop_def *def, struct buf *out);

#endif
