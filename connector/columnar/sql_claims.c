#include "connector/columnar/sql_claims.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "connector/schema/utf8.h"
#include "connector/writer/path_value.h"
#include "core/base/props.h"

#define NAME_MAX_BYTES 255
#define BIGINT_DIGITS 18
#define INTEGER_DIGITS 9

/* ---- of a path ---- */

/* false: it is none, or cut, or not as the partitioner writes it. */
static bool add_text(struct buf *out, const char *value)
{
	if (!*value || strcmp(value, PATH_VALUE_NONE) == 0)
		return false;
	for (const char *p = value; *p; p++) {
		int high = *p == '%' ? hex_digit(p[1]) : -1;
		int low = high >= 0 ? hex_digit(p[2]) : -1;

		if (*p == '~' || (*p == '%' && low < 0) || (high == 0 && low == 0))
			return false;
		buf_addc(out, low >= 0 ? (char)(high << 4 | low) : *p);
		p += low >= 0 ? 2 : 0;
	}
	return utf8_check((const unsigned char *)buf_str(out), out->len);
}

/* Is it a field of the record itself, and named in paths as it is? */
static bool is_plain(const char *field)
{
	AUTO(buf_release) struct buf shown = BUF_INIT;

	path_value_add(&shown, field, strlen(field), NAME_MAX_BYTES);
	return !strchr(field, '.') && strcmp(buf_str(&shown), field) == 0;
}

/* false: the component is not the field's. */
static bool add_claim(json_t *claims, const char *component, const char *field)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	AUTO(buf_release) struct buf name = BUF_INIT;

	path_value_add(&name, field, strlen(field), NAME_MAX_BYTES);
	if (strncmp(component, buf_str(&name), name.len) != 0 || component[name.len] != '=')
		return false;
	if (is_plain(field) && add_text(&text, component + name.len + 1))
		json_object_set_new(claims, field, json_stringn(buf_str(&text), text.len));
	return true;
}

/* The folders that the file lies in are the fields', one by one, from the last. */
json_t *sql_claims_of(const char *path, const char *fields)
{
	AUTO(freep) char *rest = xstrdup(path);
	struct text_list list = text_list_split(fields ? fields : "");
	char *slash = strrchr(rest, '/');
	json_t *claims = json_object();
	bool all = list.n > 0;

	for (size_t i = list.n; i-- > 0 && all;) {
		all = slash != NULL;
		if (!all)
			break;
		*slash = '\0';
		slash = strrchr(rest, '/');
		all = add_claim(claims, slash ? slash + 1 : rest, list.items[i]);
	}
	text_list_release(&list);
	if (all && json_object_size(claims))
		return claims;
	json_decref(claims);
	return NULL;
}

/* ---- of a schema ---- */

/* Without the null beside it; of any other union itself. */
static const struct schema_node *bare(const struct schema_node *n)
{
	if (n->type == SCHEMA_UNION && n->n_branches == 2)
		for (size_t i = 0; i < 2; i++)
			if (n->branches[i]->type == SCHEMA_NULL)
				return n->branches[1 - i];
	return n;
}

static const char *kind_of(const struct schema_node *n)
{
	if (n->logical == LOGICAL_DATE)
		return n->type == SCHEMA_INT ? "date" : NULL;
	if (n->logical != LOGICAL_NONE)
		return NULL;
	switch (n->type) {
	case SCHEMA_STRING:
	case SCHEMA_ENUM:
		return "text";
	case SCHEMA_INT:
	case SCHEMA_LONG:
		return "integer";
	case SCHEMA_BOOLEAN:
		return "boolean";
	default:
		return NULL;
	}
}

const char *sql_claim_kind(const struct schema_node *record, const char *field)
{
	const struct schema_field *found = NULL;
	size_t alike = 0;

	for (size_t i = 0; record->type == SCHEMA_RECORD && i < record->n_fields; i++) {
		const struct schema_field *f = &record->fields[i];

		alike += strcasecmp(f->column, field) == 0;
		if (strcmp(f->name, field) == 0 && strcmp(f->column, field) == 0)
			found = f;
	}
	return found && alike == 1 ? kind_of(bare(found->type)) : NULL;
}

/* ---- in a type ---- */

/* -7, 0, 12: one text for each number. */
static bool is_integer(const char *text, size_t digits)
{
	const char *p = text + (*text == '-');
	size_t n = strspn(p, "0123456789");

	return n > 0 && n <= digits && !p[n] && (*p != '0' || (n == 1 && p == text));
}

static bool is_date(const char *text)
{
	static const char form[] = "0000-00-00";
	static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int year, month, day;

	if (strlen(text) != strlen(form))
		return false;
	for (size_t i = 0; form[i]; i++)
		if (form[i] == '0' ? text[i] < '0' || text[i] > '9' : text[i] != form[i])
			return false;
	year = atoi(text);
	month = atoi(text + 5);
	day = atoi(text + 8);
	if (year < 1 || month < 1 || month > 12 || day < 1)
		return false;
	if (month == 2 && day == 29)
		return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
	return day <= lengths[month - 1];
}

static bool is_boolean(const char *text)
{
	return strcmp(text, "true") == 0 || strcmp(text, "false") == 0;
}

static bool is_of(const char *kind, const char *text)
{
	if (strcmp(kind, "integer") == 0)
		return is_integer(text, BIGINT_DIGITS);
	if (strcmp(kind, "date") == 0)
		return is_date(text);
	if (strcmp(kind, "boolean") == 0)
		return is_boolean(text);
	return true;
}

static bool has_alias(const struct duckdb_api *duck, duckdb_logical_type type)
{
	char *alias = duck->logical_type_get_alias(type);
	bool has = alias && *alias;

	duck->free(alias);
	return has;
}

/* "ENUM('a','b')" where the text is one of them. */
static bool add_enum(const struct duckdb_api *duck, duckdb_logical_type type, const char *text,
		     struct buf *out)
{
	bool has = false;

	buf_adds(out, "ENUM(");
	for (idx_t i = 0, n = duck->enum_dictionary_size(type); i < n; i++) {
		char *symbol = duck->enum_dictionary_value(type, i);

		if (i)
			buf_addc(out, ',');
		sql_add_text(out, symbol);
		has = has || strcmp(symbol, text) == 0;
		duck->free(symbol);
	}
	buf_addc(out, ')');
	return has;
}

static bool add_type(const struct duckdb_api *duck, const char *kind, const char *text,
		     duckdb_logical_type type, struct buf *out)
{
	static const struct {
		duckdb_type id;
		const char *name;
		const char *kind;
	} types[] = {
		{DUCKDB_TYPE_VARCHAR, "VARCHAR", NULL}, /* casts write what a path does */
		{DUCKDB_TYPE_BIGINT, "BIGINT", "integer"},
		{DUCKDB_TYPE_HUGEINT, "HUGEINT", "integer"},
		{DUCKDB_TYPE_INTEGER, "INTEGER", "integer"},
		{DUCKDB_TYPE_BOOLEAN, "BOOLEAN", "boolean"},
		{DUCKDB_TYPE_DATE, "DATE", "date"},
	};
	const duckdb_type id = duck->get_type_id(type);

	if (id == DUCKDB_TYPE_ENUM)
		return strcmp(kind, "text") == 0 && add_enum(duck, type, text, out);
	if (id == DUCKDB_TYPE_INTEGER && !is_integer(text, INTEGER_DIGITS))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		if (types[i].id != id || (types[i].kind && strcmp(types[i].kind, kind) != 0))
			continue;
		buf_adds(out, types[i].name);
		return true;
	}
	return false;
}

bool sql_claim_add(const struct duckdb_api *duck, const char *kind, const char *text,
		   duckdb_logical_type type, struct buf *out)
{
	AUTO(buf_release) struct buf name = BUF_INIT;

	if (!is_of(kind, text) || has_alias(duck, type) || !add_type(duck, kind, text, type, &name))
		return false;
	sql_add_text(out, text);
	buf_addf(out, "::%s", buf_str(&name));
	return true;
}
