/* Values become text by DuckDB's own casts, in its threads; here the text is put
 * together. Where all columns are whole numbers and texts there is nothing to be cast, and
 * the query is run as it was prepared: to bind it to its tables once more, in a statement
 * with casts, takes a millisecond and more. */
#include "connector/columnar/sql_output.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "connector/columnar/sql_table_text.h"

#define WRITE_BYTES ((size_t)256 << 10)
#define NUMBER_BYTES 20 /* of 64 bits, with a sign */

/* ---- the statement ---- */

static bool is_timestamp(duckdb_type type)
{
	return type == DUCKDB_TYPE_TIMESTAMP || type == DUCKDB_TYPE_TIMESTAMP_S ||
	       type == DUCKDB_TYPE_TIMESTAMP_MS || type == DUCKDB_TYPE_TIMESTAMP_NS ||
	       type == DUCKDB_TYPE_TIMESTAMP_TZ;
}

static bool is_real(duckdb_type type)
{
	return type == DUCKDB_TYPE_FLOAT || type == DUCKDB_TYPE_DOUBLE;
}

static bool is_number(duckdb_type type)
{
	return (type >= DUCKDB_TYPE_TINYINT && type <= DUCKDB_TYPE_DOUBLE) ||
	       type == DUCKDB_TYPE_HUGEINT || type == DUCKDB_TYPE_UHUGEINT ||
	       type == DUCKDB_TYPE_DECIMAL;
}

/* A column as text: times as RFC 3339 has them (the process's zone is UTC). */
static void add_text_form(struct buf *sql, size_t i, duckdb_type type)
{
	if (type == DUCKDB_TYPE_TIMESTAMP_TZ)
		buf_addf(sql, "replace(replace(c%zu::VARCHAR,' ','T'),'+00','Z')", i);
	else if (is_timestamp(type))
		buf_addf(sql, "replace(c%zu::VARCHAR,' ','T')", i);
	else
		buf_addf(sql, "c%zu::VARCHAR", i);
}

/* And as JSON, which has no infinity and no NaN: they are texts. */
static void add_json_form(struct buf *sql, size_t i, duckdb_type type)
{
	if (is_timestamp(type)) {
		buf_adds(sql, "to_json(");
		add_text_form(sql, i, type);
		buf_adds(sql, ")::VARCHAR");
	} else if (is_real(type)) {
		buf_addf(sql,
			 "CASE WHEN isfinite(c%zu) THEN c%zu::VARCHAR ELSE "
			 "to_json(c%zu::VARCHAR)::VARCHAR END",
			 i, i, i);
	} else if (is_number(type)) {
		buf_addf(sql, "c%zu::VARCHAR", i);
	} else {
		buf_addf(sql, "to_json(c%zu)::VARCHAR", i);
	}
}

static void add_select(const struct sql_session *s, enum sql_format format, struct buf *sql)
{
	buf_adds(sql, "SELECT ");
	for (size_t i = 0; i < s->n_columns; i++) {
		duckdb_type type = s->duck->prepared_statement_column_type(s->prepared, i);

		if (i)
			buf_addc(sql, ',');
		if (format == SQL_JSON)
			add_json_form(sql, i, type);
		else
			add_text_form(sql, i, type);
	}
	buf_adds(sql, " FROM ");
	buf_addbuf(sql, &s->result);
}

/* ---- forms ---- */

struct column {
	duckdb_type type; /* of its vectors */
	const void *data;
	const uint64_t *valid;
};

struct output {
	struct sql_session *s;
	enum sql_format format;
	struct column *columns;
	int fd;
	struct buf out;
	struct buf *names; /* JSON: what stands before each value */
	struct sql_table_text *table;
	uint64_t rows;
};

static enum status flush(struct output *o, struct err *err)
{
	const char *data = buf_str(&o->out);
	size_t len = o->out.len;

	while (len) {
		ssize_t n = write(o->fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(err, ST_END, "nobody reads the answer");
		data += n;
		len -= (size_t)n;
	}
	buf_clear(&o->out);
	return ST_OK;
}

static void add_csv(struct buf *out, const char *text, size_t len)
{
	bool quote = len == 0;

	for (size_t i = 0; i < len && !quote; i++)
		quote = strchr(",\"\r\n", text[i]) != NULL;
	quote = quote || (len && (text[0] == ' ' || text[len - 1] == ' '));
	if (!quote) {
		buf_add(out, text, len);
		return;
	}
	buf_addc(out, '"');
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '"')
			buf_addc(out, '"');
		buf_addc(out, text[i]);
	}
	buf_addc(out, '"');
}

/* What DuckDB writes within records and lists, where JSON has no number; as texts they are
 * what it writes elsewhere. */
static const struct no_number {
	const char *word, *text;
} no_numbers[] = {{"NaN", "\"nan\""}, {"Infinity", "\"inf\""}, {"-Infinity", "\"-inf\""}};

/* NULL: none begins there. */
static const struct no_number *no_number_at(const char *p, const char *end)
{
	for (size_t i = 0; i < ARRAY_SIZE(no_numbers); i++) {
		size_t len = strlen(no_numbers[i].word);

		if (len <= (size_t)(end - p) && memcmp(p, no_numbers[i].word, len) == 0)
			return &no_numbers[i];
	}
	return NULL;
}

/* A record or a list. */
static void add_json_nested(struct buf *out, const char *p, const char *end)
{
	bool in_text = false;

	while (p < end) {
		const struct no_number *n = in_text ? NULL : no_number_at(p, end);

		if (n) {
			buf_adds(out, n->text);
			p += strlen(n->word);
			continue;
		}
		if (in_text && *p == '\\' && p + 1 < end)
			buf_addc(out, *p++);
		else if (*p == '"')
			in_text = !in_text;
		buf_addc(out, *p++);
	}
}

/* JSON of one line. */
static void add_json(struct buf *out, const char *text, size_t len)
{
	size_t from = out->len;

	if (len && (*text == '{' || *text == '['))
		add_json_nested(out, text, text + len);
	else
		buf_add(out, text, len);
	for (size_t i = from; i < out->len; i++)
		if (out->data[i] == '\n' || out->data[i] == '\r')
			out->data[i] = ' ';
}

/* text NULL: it is NULL. */
static void add_value(struct output *o, size_t column, const char *text, size_t len)
{
	struct buf *out = &o->out;

	switch (o->format) {
	case SQL_TABLE:
		sql_table_text_cell(o->table, text, len);
		break;
	case SQL_CSV:
		if (column)
			buf_addc(out, ',');
		if (text)
			add_csv(out, text, len);
		break;
	case SQL_JSON:
		buf_addbuf(out, &o->names[column]);
		add_json(out, text ? text : "null", text ? len : 4);
		break;
	case SQL_PARQUET:
	case SQL_AVRO_SCHEMA:
		break;
	}
}

static void end_row(struct output *o)
{
	if (o->format == SQL_TABLE)
		sql_table_text_end_row(o->table, &o->out);
	else
		buf_adds(&o->out, o->format == SQL_JSON ? "}\n" : "\n");
	o->rows++;
}

static const char *name_of(const struct output *o, size_t i)
{
	return o->s->duck->prepared_statement_column_name(o->s->prepared, i);
}

static duckdb_type type_of(const struct output *o, size_t i)
{
	return o->s->duck->prepared_statement_column_type(o->s->prepared, i);
}

static void begin(struct output *o)
{
	size_t n = o->s->n_columns;

	o->columns = xcalloc(n + 1, sizeof(*o->columns));
	if (o->format == SQL_TABLE)
		o->table = sql_table_text_new(n);
	if (o->format == SQL_JSON)
		o->names = xcalloc(n + 1, sizeof(*o->names));
	for (size_t i = 0; i < n; i++) {
		const char *name = name_of(o, i);
		duckdb_type type = type_of(o, i);
		json_t *json = json_string(name);
		char *text = json_dumps(json, JSON_ENCODE_ANY);

		if (o->format == SQL_CSV) {
			if (i)
				buf_addc(&o->out, ',');
			add_csv(&o->out, name, strlen(name));
		} else if (o->format == SQL_JSON) {
			buf_addf(&o->names[i], "%c%s:", i ? ',' : '{', text ? text : "\"?\"");
		} else {
			sql_table_text_column(o->table, name, is_number(type));
		}
		o->columns[i].type = type;
		free(text);
		json_decref(json);
		o->s->duck->free((void *)(uintptr_t)name);
	}
	if (o->format == SQL_CSV)
		buf_addc(&o->out, '\n');
}

static void output_release(struct output *o)
{
	buf_release(&o->out);
	sql_table_text_free(o->table);
	for (size_t i = 0; o->names && i < o->s->n_columns; i++)
		buf_release(&o->names[i]);
	free(o->names);
	free(o->columns);
}

/* ---- rows ---- */

/* A whole number, of 64 bits whatever its column has. */
static int64_t signed_at(const struct column *c, idx_t row)
{
	switch (c->type) {
	case DUCKDB_TYPE_TINYINT:
		return ((const int8_t *)c->data)[row];
	case DUCKDB_TYPE_SMALLINT:
		return ((const int16_t *)c->data)[row];
	case DUCKDB_TYPE_INTEGER:
		return ((const int32_t *)c->data)[row];
	default:
		return ((const int64_t *)c->data)[row];
	}
}

static uint64_t unsigned_at(const struct column *c, idx_t row)
{
	switch (c->type) {
	case DUCKDB_TYPE_UTINYINT:
		return ((const uint8_t *)c->data)[row];
	case DUCKDB_TYPE_USMALLINT:
		return ((const uint16_t *)c->data)[row];
	case DUCKDB_TYPE_UINTEGER:
		return ((const uint32_t *)c->data)[row];
	default:
		return ((const uint64_t *)c->data)[row];
	}
}

/* Its text, at the end of room. */
static const char *write_number(const struct column *c, idx_t row, char room[NUMBER_BYTES])
{
	const bool is_signed = c->type <= DUCKDB_TYPE_BIGINT;
	const int64_t n = is_signed ? signed_at(c, row) : 0;
	uint64_t left = is_signed ? (n < 0 ? 0 - (uint64_t)n : (uint64_t)n) : unsigned_at(c, row);
	char *at = room + NUMBER_BYTES;

	do
		*--at = (char)('0' + left % 10);
	while (left /= 10);
	if (n < 0)
		*--at = '-';
	return at;
}

static void add_cell(struct output *o, size_t i, idx_t row)
{
	const struct column *c = &o->columns[i];
	char room[NUMBER_BYTES];

	if (c->valid && !(c->valid[row / 64] >> (row % 64) & 1)) {
		add_value(o, i, NULL, 0);
	} else if (c->type == DUCKDB_TYPE_VARCHAR) {
		const duckdb_string_t *t = (const duckdb_string_t *)c->data + row;
		uint32_t len = t->value.inlined.length;

		add_value(o, i,
			  len <= sizeof(t->value.inlined.inlined) ? t->value.inlined.inlined
								  : t->value.pointer.ptr,
			  len);
	} else {
		const char *number = write_number(c, row, room);

		add_value(o, i, number, (size_t)(room + NUMBER_BYTES - number));
	}
}

static enum status add_chunk(struct output *o, duckdb_data_chunk chunk, struct err *err)
{
	const struct duckdb_api *duck = o->s->duck;
	size_t n = o->s->n_columns;
	idx_t rows = duck->data_chunk_get_size(chunk);

	for (size_t i = 0; i < n; i++) {
		duckdb_vector v = duck->data_chunk_get_vector(chunk, i);

		o->columns[i].data = duck->vector_get_data(v);
		o->columns[i].valid = duck->vector_get_validity(v);
	}
	for (idx_t row = 0; row < rows; row++) {
		for (size_t i = 0; i < n; i++)
			add_cell(o, i, row);
		end_row(o);
		if (o->out.len >= WRITE_BYTES) {
			enum status st = flush(o, err);

			if (st != ST_OK)
				return st;
		}
	}
	return ST_OK;
}

/* Of an error while it runs. */
static enum status run_error(const struct duckdb_api *duck, duckdb_result *result, struct err *err)
{
	const char *why = duck->result_error(result);

	sql_session_error(ST_FAILED, why ? why : "the query failed", err);
	if (duck->result_error_type(result) == DUCKDB_ERROR_OUT_OF_MEMORY)
		return err_set(err, ST_FAILED,
			       "the query needs more memory than it may have; give it more "
			       "(--memory, memory.max.bytes), or ask for less at a time");
	return ST_FAILED;
}

static enum status fetch(struct output *o, duckdb_result *result, struct err *err)
{
	const struct duckdb_api *duck = o->s->duck;
	duckdb_data_chunk chunk;
	enum status st = ST_OK;

	while (st == ST_OK && (chunk = duck->fetch_chunk(*result))) {
		st = add_chunk(o, chunk, err);
		duck->destroy_data_chunk(&chunk);
	}
	/* an error in the middle looks like the end */
	if (st == ST_OK && duck->result_error(result))
		st = run_error(duck, result, err);
	return st;
}

static enum status stream(struct output *o, duckdb_prepared_statement p, struct err *err)
{
	const struct duckdb_api *duck = o->s->duck;
	duckdb_pending_result pending = NULL;
	duckdb_result result = {0};
	enum status st = ST_OK;

	if (duck->pending_prepared_streaming(p, &pending) != DuckDBSuccess)
		st = sql_session_error(ST_FAILED, duck->pending_error(pending), err);
	if (st == ST_OK) {
		if (duck->execute_pending(pending, &result) != DuckDBSuccess)
			st = run_error(duck, &result, err);
		else
			st = fetch(o, &result, err);
		duck->destroy_result(&result);
	}
	if (pending)
		duck->destroy_pending(&pending);
	return st;
}

/* With a column of casts in the place of each of the query's. */
static enum status stream_texts(struct output *o, struct err *err)
{
	const struct duckdb_api *duck = o->s->duck;
	AUTO(buf_release) struct buf sql = BUF_INIT;
	duckdb_prepared_statement p = NULL;
	enum status st = sql_session_result(o->s, err);

	if (st != ST_OK)
		return st;
	add_select(o->s, o->format, &sql);
	for (size_t i = 0; i < o->s->n_columns; i++)
		o->columns[i].type = DUCKDB_TYPE_VARCHAR;
	if (duck->prepare(o->s->con, buf_str(&sql), &p) != DuckDBSuccess)
		st = sql_session_error(ST_FAILED, duck->prepare_error(p), err);
	else
		st = stream(o, p, err);
	duck->destroy_prepare(&p);
	return st;
}

static bool is_plain(const struct output *o)
{
	for (size_t i = 0; i < o->s->n_columns; i++) {
		duckdb_type type = o->columns[i].type;

		if (!(type >= DUCKDB_TYPE_TINYINT && type <= DUCKDB_TYPE_UBIGINT) &&
		    (type != DUCKDB_TYPE_VARCHAR || o->format == SQL_JSON))
			return false;
	}
	return true;
}

/* ---- Parquet ---- */

/* By DuckDB itself, into the pipe; under the query's own names, which must differ. */
static enum status write_parquet(struct sql_session *s, uint64_t *rows_out, struct err *err)
{
	AUTO(buf_release) struct buf sql = BUF_INIT;
	duckdb_result result;
	enum status st = sql_session_result(s, err);

	if (st != ST_OK)
		return st;
	buf_adds(&sql, "COPY (SELECT ");
	for (size_t i = 0; i < s->n_columns; i++) {
		const char *name = s->duck->prepared_statement_column_name(s->prepared, i);

		buf_addf(&sql, "%sc%zu AS ", i ? "," : "", i);
		sql_add_identifier(&sql, name);
		s->duck->free((void *)(uintptr_t)name);
	}
	buf_adds(&sql, " FROM ");
	buf_addbuf(&sql, &s->result);
	buf_adds(&sql, ") TO '" SQL_DATA_PATH "' (FORMAT parquet)");
	if (s->duck->query(s->con, buf_str(&sql), &result) != DuckDBSuccess)
		st = run_error(s->duck, &result, err);
	else
		*rows_out = s->duck->rows_changed(&result);
	s->duck->destroy_result(&result);
	return st;
}

enum status sql_output_write(struct sql_session *s, enum sql_format format, int fd,
			     uint64_t *rows_out, struct err *err)
{
	AUTO(output_release) struct output o = {.s = s, .format = format, .fd = fd};
	enum status st;

	if (format == SQL_PARQUET)
		return write_parquet(s, rows_out, err);
	begin(&o);
	st = is_plain(&o) ? stream(&o, s->prepared, err) : stream_texts(&o, err);
	if (format == SQL_TABLE && st == ST_OK)
		sql_table_text_end(o.table, &o.out);
	if (st == ST_OK)
		st = flush(&o, err);
	*rows_out = o.rows;
	return st;
}
