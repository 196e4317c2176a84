/* The table side of props.h: what is allowed, and its documentation. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/props.h"

const struct prop_def *prop_table_find(const struct prop_table *table, const char *key)
{
	const struct prop_def *by_prefix = NULL;

	for (size_t i = 0; i < table->n; i++) {
		const struct prop_def *def = &table->defs[i];

		if (strcmp(def->name, key) == 0)
			return def;
		if (def->prefix && strncmp(def->name, key, strlen(def->name)) == 0 &&
		    key[strlen(def->name)])
			by_prefix = def;
	}
	return by_prefix;
}

static enum status unknown_key(const struct prop_table *table, const char *key, struct err *err)
{
	AUTO(freep) const char **names = xcalloc(table->n, sizeof(*names));
	const char *near;

	for (size_t i = 0; i < table->n; i++)
		names[i] = table->defs[i].name;
	near = nearest_word(key, names, table->n);
	if (near)
		return err_set(err, ST_USAGE, "%s: no such property; did you mean %s?", key, near);
	return err_set(err, ST_USAGE, "%s: no such property; `tidemark config` lists all", key);
}

static enum status rename_aliases(const struct prop_table *table, struct props *p,
				  struct buf *warnings, struct err *err)
{
	for (size_t i = 0; i < p->n;) {
		const struct prop_def *def = prop_table_find(table, p->items[i].key);

		if (!def)
			return unknown_key(table, p->items[i].key, err);
		if (def->ignored) {
			buf_addf(warnings, "%s has no effect here: %s\n", p->items[i].key,
				 def->doc);
			props_unset(p, p->items[i].key);
			continue;
		}
		if (def->alias_of) {
			if (props_get(p, def->alias_of))
				return err_set(
					err, ST_USAGE,
					"%s is another name of %s, which is set too; keep one",
					def->name, def->alias_of);
			free(p->items[i].key);
			p->items[i].key = xstrdup(def->alias_of);
		}
		i++;
	}
	return ST_OK;
}

/* Does the word [from, to) equal text, letters' case aside? */
static bool word_is(const char *from, const char *to, const char *text)
{
	return strlen(text) == (size_t)(to - from) &&
	       strncasecmp(from, text, (size_t)(to - from)) == 0;
}

/* "avro=long.ClassName|json": the short value that text names; caller frees. */
static char *choice(const char *choices, const char *text)
{
	for (const char *p = choices; *p;) {
		const char *end = strchrnul(p, '|');
		const char *equal = memchr(p, '=', (size_t)(end - p));
		const char *stop = equal ? equal : end;

		if (word_is(p, stop, text) || (equal && word_is(equal + 1, end, text)))
			return xstrndup(p, (size_t)(stop - p));
		p = *end ? end + 1 : end;
	}
	return NULL;
}

/* The short values alone, for messages: "avro, json". */
static void choices_text(const char *choices, struct buf *out)
{
	AUTO(buf_release) struct buf seen = BUF_INIT;

	for (const char *p = choices; *p;) {
		const char *end = strchrnul(p, '|');
		const char *equal = memchr(p, '=', (size_t)(end - p));
		AUTO(freep) char *word = xstrndup(p, (size_t)((equal ? equal : end) - p));
		AUTO(freep) char *mark = xasprintf("|%s|", word);

		if (!strstr(buf_str(&seen), mark)) {
			buf_addf(out, "%s%s", out->len ? ", " : "", word);
			buf_adds(&seen, mark);
		}
		p = *end ? end + 1 : end;
	}
}

static bool number_parse(enum prop_type type, const char *text, int64_t *out)
{
	char *end;

	if (type == PROP_BYTES)
		return bytes_parse(text, out);
	if (type == PROP_DURATION)
		return duration_parse(text, out);
	errno = 0;
	*out = strtoll(text, &end, 10);
	return end != text && !*end && !errno;
}

static enum status check_number(const struct prop_def *def, const char *key, const char *value,
				struct err *err)
{
	int64_t n;

	if (!number_parse(def->type, value, &n))
		return err_set(err, ST_USAGE, "%s=%s: %s", key, value,
			       def->type == PROP_BYTES
				       ? "give bytes, or a number with KiB, MiB or GiB"
			       : def->type == PROP_MS ? "give whole milliseconds"
			       : def->type == PROP_DURATION
				       ? "give a duration: 30d, 12h, 90m, 45s, or milliseconds"
				       : "give a whole number");
	if (n < def->min || n > def->max)
		return err_set(err, ST_USAGE, "%s=%s: give a value from %lld to %lld", key, value,
			       (long long)def->min, (long long)def->max);
	return ST_OK;
}

static enum status check_value(const struct prop_def *def, struct prop *item, struct err *err)
{
	AUTO(buf_release) struct buf allowed = BUF_INIT;
	char *shorter;

	switch (def->type) {
	case PROP_STRING:
	case PROP_LIST:
		if (def->required && !*item->value)
			return err_set(err, ST_USAGE, "%s is empty: %s", item->key, def->doc);
		return ST_OK;
	case PROP_INT:
	case PROP_BYTES:
	case PROP_MS:
	case PROP_DURATION:
		return check_number(def, item->key, item->value, err);
	case PROP_BOOL:
		if (strcasecmp(item->value, "true") != 0 && strcasecmp(item->value, "false") != 0)
			return err_set(err, ST_USAGE, "%s=%s: give true or false", item->key,
				       item->value);
		return ST_OK;
	case PROP_CHOICE:
		shorter = choice(def->choices, item->value);
		if (!shorter) {
			choices_text(def->choices, &allowed);
			return err_set(err, ST_USAGE, "%s=%s: give one of %s", item->key,
				       item->value, buf_str(&allowed));
		}
		free(item->value);
		item->value = shorter;
		return ST_OK;
	}
	return ST_OK;
}

enum status prop_table_check(const struct prop_table *table, struct props *p, struct buf *warnings,
			     struct err *err)
{
	enum status st = rename_aliases(table, p, warnings, err);

	if (st != ST_OK)
		return st;
	for (size_t i = 0; i < p->n; i++) {
		st = check_value(prop_table_find(table, p->items[i].key), &p->items[i], err);
		if (st != ST_OK)
			return st;
	}
	for (size_t i = 0; i < table->n; i++)
		if (table->defs[i].required && !props_get(p, table->defs[i].name))
			return err_set(err, ST_USAGE, "%s is not set: %s", table->defs[i].name,
				       table->defs[i].doc);
	return ST_OK;
}

const char *prop_text(const struct prop_table *table, const struct props *p, const char *key)
{
	const char *value = props_get(p, key);
	const struct prop_def *def;

	if (value)
		return value;
	def = prop_table_find(table, key);
	return def ? def->def : NULL;
}

int64_t prop_number(const struct prop_table *table, const struct props *p, const char *key)
{
	const struct prop_def *def = prop_table_find(table, key);
	const char *text = prop_text(table, p, key);
	int64_t n = 0;

	if (!text || !number_parse(def->type, text, &n))
		return 0;
	return n;
}

bool prop_flag(const struct prop_table *table, const struct props *p, const char *key)
{
	const char *text = prop_text(table, p, key);

	return text && strcasecmp(text, "true") == 0;
}

static void type_text(const struct prop_def *def, struct buf *out)
{
	static const char *const names[] = {
		[PROP_STRING] = "text",       [PROP_LIST] = "list",
		[PROP_INT] = "number",        [PROP_BYTES] = "bytes",
		[PROP_MS] = "milliseconds",   [PROP_BOOL] = "true, false",
		[PROP_DURATION] = "duration",
	};

	if (def->type == PROP_CHOICE) {
		choices_text(def->choices, out);
		return;
	}
	buf_adds(out, names[def->type]);
	if (def->type == PROP_INT || def->type == PROP_MS)
		buf_addf(out, " %lld..%lld", (long long)def->min, (long long)def->max);
}

void prop_table_markdown(const struct prop_table *table, struct buf *out)
{
	buf_adds(out, "| property | type | default | |\n|---|---|---|---|\n");
	for (size_t i = 0; i < table->n; i++) {
		const struct prop_def *def = &table->defs[i];
		AUTO(buf_release) struct buf type = BUF_INIT;

		type_text(def, &type);
		buf_addf(out, "| `%s%s` | %s | %s%s%s | ", def->name, def->prefix ? "*" : "",
			 def->ignored ? "-" : buf_str(&type), def->def ? "`" : "",
			 def->def ? def->def : "-", def->def ? "`" : "");
		if (def->alias_of)
			buf_addf(out, "another name of `%s`. ", def->alias_of);
		if (def->ignored)
			buf_adds(out, "accepted with a warning, no effect: ");
		if (def->required)
			buf_adds(out, "**Required.** ");
		if (def->secret)
			buf_adds(out, "Secret. ");
		buf_addf(out, "%s |\n", def->doc ? def->doc : "");
	}
}

void prop_def_describe(const struct prop_def *def, struct buf *out)
{
	AUTO(buf_release) struct buf type = BUF_INIT;

	type_text(def, &type);
	buf_addf(out, "%s%s\n  type:    %s\n  default: %s\n", def->name, def->prefix ? "*" : "",
		 buf_str(&type), def->def ? def->def : "unset");
	if (def->alias_of)
		buf_addf(out, "  another name of %s\n", def->alias_of);
	if (def->required)
		buf_adds(out, "  required\n");
	if (def->secret)
		buf_adds(out, "  secret\n");
	if (def->doc && *def->doc)
		buf_addf(out, "  %s\n", def->doc);
}
