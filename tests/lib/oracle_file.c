#include "tests/lib/oracle_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "tests/lib/avro_file.h"
#include "tests/lib/duck.h"

enum {
	FORM_LINES,
	FORM_TOMBSTONE_LINES,
	FORM_STAMP,
	FORM_STAMP_2,
	FORM_NULLABLE,
	FORM_TOMBSTONE,
	FORM_DEADLETTER
};

bool oracle_path_parse(const char *path, struct oracle_path *out)
{
	const char *name = strrchr(path, '/');
	const char *plus;
	int n = 0;

	name = name ? name + 1 : path;
	plus = strchr(name, '+');
	if (!plus || (size_t)(plus - name) >= sizeof(out->topic))
		return false;
	memcpy(out->topic, name, (size_t)(plus - name));
	out->topic[plus - name] = 0;
	out->generation = 0;
	if (sscanf(plus, "+%" SCNd32 "+%" SCNd64 "%n", &out->partition, &out->first, &n) != 2)
		return false;
	if (plus[n] == '+' && sscanf(plus + n, "+g%" SCNu32, &out->generation) != 1)
		return false;
	return true;
}

/* ---- uncompressing lines ---- */

static bool gunzip(const struct buf *in, struct buf *out)
{
	z_stream z = {.next_in = (unsigned char *)in->data, .avail_in = (unsigned)in->len};
	unsigned char piece[65536];
	int code;

	if (inflateInit2(&z, 16 + MAX_WBITS) != Z_OK)
		return false;
	do {
		z.next_out = piece;
		z.avail_out = sizeof(piece);
		code = inflate(&z, Z_NO_FLUSH);
		if (code == Z_OK || code == Z_STREAM_END)
			buf_add(out, piece, sizeof(piece) - z.avail_out);
	} while (code == Z_OK);
	inflateEnd(&z);
	return code == Z_STREAM_END && z.avail_in == 0;
}

static bool unzstd(const struct buf *in, struct buf *out)
{
	ZSTD_DCtx *d = ZSTD_createDCtx();
	ZSTD_inBuffer from = {in->data, in->len, 0};
	char piece[65536];
	size_t left = 1;

	while (from.pos < from.size) {
		ZSTD_outBuffer to = {piece, sizeof(piece), 0};

		left = ZSTD_decompressStream(d, &to, &from);
		if (ZSTD_isError(left))
			break;
		buf_add(out, piece, to.pos);
	}
	ZSTD_freeDCtx(d);
	return left == 0;
}

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);

	return n >= m && strcmp(text + n - m, end) == 0;
}

static bool open_lines(const char *path, const struct buf *content, struct oracle_file *f)
{
	if (ends_with(path, ".gz")) {
		if (!gunzip(content, &f->rows))
			return false;
	} else if (ends_with(path, ".zst")) {
		if (!unzstd(content, &f->rows))
			return false;
	} else {
		buf_addbuf(&f->rows, content);
	}
	for (size_t i = 0; i < f->rows.len; i++)
		f->n_rows += f->rows.data[i] == '\n';
	f->form = FORM_LINES;
	return f->rows.len == 0 || f->rows.data[f->rows.len - 1] == '\n';
}

static bool open_avro(const struct buf *content, struct oracle_file *f)
{
	struct avro_file avro;
	const char *schema;
	bool known = true;

	avro_file_parse(content->data, content->len, &avro);
	schema = buf_str(&avro.schema);
	if (strstr(schema, "\"Tombstone\""))
		f->form = FORM_TOMBSTONE;
	else if (strstr(schema, "\"DeadLetter\""))
		f->form = FORM_DEADLETTER;
	else if (strstr(schema, "\"Stamp\""))
		f->form = strstr(schema, "\"note\"") ? FORM_STAMP_2 : FORM_STAMP;
	else if (strstr(schema, "\"null\""))
		f->form = FORM_NULLABLE;
	else
		known = false;
	f->rows = avro.rows;
	f->n_rows = avro.n_rows;
	avro.rows = (struct buf)BUF_INIT;
	avro_file_release(&avro);
	return known;
}

/* As lines of JSON, by DuckDB: a row's columns, or the text of its one column. */
static bool open_parquet(const struct buf *content, struct oracle_file *f)
{
	AUTO(buf_release) struct buf columns = BUF_INIT;

	duck_lines(content, &f->rows, &columns);
	f->form = strcmp(buf_str(&columns), "key,timestamp,headers,partition,offset") == 0
			  ? FORM_TOMBSTONE_LINES
			  : FORM_LINES;
	for (size_t i = 0; i < f->rows.len; i++)
		f->n_rows += f->rows.data[i] == '\n';
	return f->rows.len > 0;
}

bool oracle_file_open(const char *path, const struct buf *content, struct oracle_file *out,
		      const char **why_out)
{
	bool good;

	*out = (struct oracle_file){.rows = BUF_INIT};
	if (ends_with(path, ".avro")) {
		good = content->len > 0 && open_avro(content, out);
		*why_out = "the container's schema is not one that was produced";
	} else if (ends_with(path, ".parquet")) {
		good = open_parquet(content, out);
		*why_out = "DuckDB does not read it";
	} else {
		good = open_lines(path, content, out);
		*why_out = "the lines cannot be uncompressed, or the last has no end";
	}
	out->rest = bytes_of(out->rows.data, out->rows.len);
	return good;
}

void oracle_file_release(struct oracle_file *f)
{
	buf_release(&f->rows);
}

/* ---- rows ---- */

static bool value_row(const void *value, size_t len, struct oracle_row *out)
{
	size_t skip = strlen(STAMP_POISON);

	if (!value) {
		out->kind = ROW_TOMBSTONE;
		return true;
	}
	if (len > skip && memcmp(value, STAMP_POISON, skip) == 0) {
		out->kind = ROW_POISON;
		return stamp_from_json((const char *)value + skip, len - skip, &out->stamp);
	}
	out->kind = ROW_STAMP;
	return stamp_from_json(value, len, &out->stamp);
}

static bool take_line(struct oracle_file *f, struct oracle_row *out)
{
	const unsigned char *start = f->rest.p;
	const unsigned char *end = memchr(start, '\n', bytes_left(&f->rest));
	size_t len;

	if (!end)
		return false;
	len = (size_t)(end - start);
	f->rest.p = end + 1;
	if (len == 0 || (len == 4 && memcmp(start, "null", 4) == 0))
		return value_row(NULL, 0, out);
	return value_row(start, len, out);
}

static bool take_tombstone_line(struct oracle_file *f, struct oracle_row *out)
{
	const char *at = strstr((const char *)f->rest.p, "\"offset\":");
	const unsigned char *end = memchr(f->rest.p, '\n', bytes_left(&f->rest));

	if (!end || !at || (const unsigned char *)at > end)
		return false;
	out->kind = ROW_TOMBSTONE;
	out->offset = strtoll(at + strlen("\"offset\":"), NULL, 10);
	f->rest.p = end + 1;
	return true;
}

static bool take_headers(struct bytes *in)
{
	const char *text;
	size_t len;
	int64_t n, bytes;

	while (avro_take_long(in, &n)) {
		if (n == 0)
			return true;
		if (n < 0 && !avro_take_long(in, &bytes))
			return false;
		for (n = n < 0 ? -n : n; n > 0; n--)
			if (!avro_take_text(in, &text, &len) ||
			    !avro_take_nullable(in, &text, &len))
				return false;
	}
	return false;
}

static bool take_timestamp(struct bytes *in)
{
	int64_t branch, value;

	return avro_take_long(in, &branch) && (branch == 0 || avro_take_long(in, &value));
}

static bool take_tombstone(struct bytes *in, struct oracle_row *out)
{
	const char *key;
	size_t len;
	int64_t partition;

	out->kind = ROW_TOMBSTONE;
	return avro_take_nullable(in, &key, &len) && take_timestamp(in) && take_headers(in) &&
	       avro_take_long(in, &partition) && avro_take_long(in, &out->offset);
}

static bool take_deadletter(struct bytes *in, struct oracle_row *out)
{
	const char *topic, *text, *value;
	size_t topic_len, len, value_len;
	int64_t partition, task;

	if (!avro_take_text(in, &topic, &topic_len) || !avro_take_long(in, &partition) ||
	    !avro_take_long(in, &out->offset) || !take_timestamp(in) ||
	    !avro_take_nullable(in, &text, &len) || !avro_take_nullable(in, &value, &value_len) ||
	    !take_headers(in) || !avro_take_text(in, &text, &len) || !avro_take_long(in, &task))
		return false;
	for (int i = 0; i < 4; i++)
		if (!avro_take_text(in, &text, &len))
			return false;
	if (value_row(value, value_len, out))
		return true;
	out->kind = ROW_POISON; /* a value that is no poison of ours: an unknown schema's */
	out->stamp.partition = -1;
	return true;
}

bool oracle_file_next(struct oracle_file *f, struct oracle_row *out, const char **why_out)
{
	const char *value;
	size_t len;

	*out = (struct oracle_row){.offset = -1};
	*why_out = "a row cannot be read";
	switch (f->form) {
	case FORM_LINES:
		return take_line(f, out);
	case FORM_TOMBSTONE_LINES:
		return take_tombstone_line(f, out);
	case FORM_STAMP:
		return stamp_from_avro(&f->rest, 1, &out->stamp);
	case FORM_STAMP_2:
		return stamp_from_avro(&f->rest, 2, &out->stamp);
	case FORM_TOMBSTONE:
		return take_tombstone(&f->rest, out);
	case FORM_DEADLETTER:
		return take_deadletter(&f->rest, out);
	default:
		return avro_take_nullable(&f->rest, &value, &len) && value_row(value, len, out);
	}
}
