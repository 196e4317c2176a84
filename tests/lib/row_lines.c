/* Rows as lines: what a record must become, and what a file has. Where a format is not
 * text, `_kafka` is written as "topic partition offset timestamp KEY name=VALUE,...". */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/lake.h"
#include "tests/lib/avro_file.h"
#include "tests/lib/duck.h"
#include "tests/lib/row_layout.h"
#include "tests/lib/stamp.h"

/* ---- what there must be ---- */

static void add_hex(struct buf *out, const char *data, size_t len)
{
	if (!data)
		buf_adds(out, "null");
	for (size_t i = 0; data && i < len; i++)
		buf_addf(out, "%02X", (unsigned char)data[i]);
}

static void add_headers(const struct row_header *headers, size_t n, struct buf *out)
{
	for (size_t i = 0; i < n; i++) {
		buf_addf(out, "%s%s=", i ? "," : "", headers[i].name);
		add_hex(out, headers[i].value, headers[i].len);
	}
}

static void add_kafka(const struct row_layout *l, const struct row_record *r, struct buf *out)
{
	struct row_header headers[2];
	size_t len, n = row_headers(l, r->offset, headers);
	const char *key = row_key(l, r->offset, &len);

	buf_addf(out, " %s %d %" PRId64 " %" PRId64 " ", r->topic, r->partition, r->offset,
		 row_timestamp(l, r->offset));
	add_hex(out, key, len);
	buf_addc(out, ' ');
	add_headers(headers, n, out);
}

static void add_tombstone(const struct row_layout *l, const struct row_record *r, struct buf *out)
{
	struct row_header headers[2];
	size_t len, n = row_headers(l, r->offset, headers);
	const char *key = row_key(l, r->offset, &len);

	buf_addf(out, "tombstone %d %" PRId64 " %" PRId64 " ", r->partition, r->offset,
		 row_timestamp(l, r->offset));
	add_hex(out, key, len);
	buf_addc(out, ' ');
	add_headers(headers, n, out);
}

/* What is no UTF-8 is base64, and these are all that there are. */
static void add_json_bytes(const char *name, const char *data, struct buf *out)
{
	if (!data)
		buf_addf(out, "\"%s\":null", name);
	else if (strcmp(data, "key") == 0)
		buf_addf(out, "\"%s\":\"key\"", name);
	else
		buf_addf(out, "\"%s_base64\":\"%s\"", name, data[0] == 'v' ? "dv4=" : "/wBh");
}

static void add_json_kafka(const struct row_layout *l, const struct row_record *r, struct buf *out)
{
	struct row_header headers[2];
	size_t len, n = row_headers(l, r->offset, headers);

	buf_addf(out,
		 ",\"_kafka\":{\"topic\":\"%s\",\"partition\":%d,\"offset\":%" PRId64
		 ",\"timestamp\":%" PRId64 ",",
		 r->topic, r->partition, r->offset, row_timestamp(l, r->offset));
	add_json_bytes("key", row_key(l, r->offset, &len), out);
	buf_adds(out, ",\"headers\":[");
	for (size_t i = 0; i < n; i++) {
		buf_addf(out, "%s{\"name\":\"%s\",", i ? "," : "", headers[i].name);
		add_json_bytes("value", headers[i].value, out);
		buf_addc(out, '}');
	}
	buf_adds(out, "]}}");
}

static void add_typed(const struct row_layout *l, const struct row_record *r, struct buf *out)
{
	const char *fields = strstr(r->value, ",\"crc\":");

	/* k, s and ts are looked at through the folder */
	fields += strlen(",\"crc\":");
	buf_add(out, r->value, (size_t)(fields - r->value) + strspn(fields, "0123456789"));
	buf_addc(out, '}');
	if (l->metadata)
		add_kafka(l, r, out);
}

void row_text(const struct row_layout *l, const struct row_record *r, struct buf *out)
{
	size_t len = strlen(r->value);

	if (l->format == ROWS_TYPED) {
		if (r->tombstone)
			add_tombstone(l, r, out);
		else
			add_typed(l, r, out);
	} else if (l->format == ROWS_JSON && l->metadata) {
		if (r->tombstone)
			buf_adds(out, "{\"value\":null");
		else
			buf_add(out, r->value, len - 1);
		add_json_kafka(l, r, out);
	} else {
		buf_adds(out, r->tombstone && l->format != ROWS_BYTES ? "null" : r->value);
		if (l->metadata)
			add_kafka(l, r, out);
	}
}

/* ---- what a file has ---- */

static bool take_header_lines(struct bytes *in, struct buf *out)
{
	const char *name, *value;
	size_t name_len, len;
	const char *comma = "";
	int64_t n;

	while (avro_take_long(in, &n)) {
		if (n <= 0)
			return n == 0;
		for (; n > 0; n--) {
			if (!avro_take_text(in, &name, &name_len) ||
			    !avro_take_nullable(in, &value, &len))
				return false;
			buf_addf(out, "%s%.*s=", comma, (int)name_len, name);
			add_hex(out, value, len);
			comma = ",";
		}
	}
	return false;
}

static bool take_timestamp(struct bytes *in, int64_t *out)
{
	int64_t branch;

	return avro_take_long(in, &branch) && branch == 1 && avro_take_long(in, out);
}

static bool take_kafka(struct bytes *in, struct buf *out)
{
	const char *topic, *key;
	size_t topic_len, len;
	int64_t branch, partition, offset, timestamp;

	if (!avro_take_long(in, &branch) || branch != 1 ||
	    !avro_take_text(in, &topic, &topic_len) || !avro_take_long(in, &partition) ||
	    !avro_take_long(in, &offset) || !take_timestamp(in, &timestamp) ||
	    !avro_take_nullable(in, &key, &len))
		return false;
	buf_addf(out, " %.*s %" PRId64 " %" PRId64 " %" PRId64 " ", (int)topic_len, topic,
		 partition, offset, timestamp);
	add_hex(out, key, len);
	buf_addc(out, ' ');
	return take_header_lines(in, out);
}

static bool take_tombstone(struct bytes *in, struct buf *out)
{
	AUTO(buf_release) struct buf headers = BUF_INIT;
	const char *key;
	size_t len;
	int64_t timestamp, partition, offset;

	if (!avro_take_nullable(in, &key, &len) || !take_timestamp(in, &timestamp) ||
	    !take_header_lines(in, &headers) || !avro_take_long(in, &partition) ||
	    !avro_take_long(in, &offset))
		return false;
	buf_addf(out, "tombstone %" PRId64 " %" PRId64 " %" PRId64 " ", partition, offset,
		 timestamp);
	add_hex(out, key, len);
	buf_addf(out, " %s", buf_str(&headers));
	return true;
}

/* A value of the fields that folders are named after. */
static bool skip_field(struct bytes *in)
{
	const unsigned char *p;
	const char *text;
	size_t len;
	int64_t branch, n;

	if (!avro_take_long(in, &branch))
		return false;
	switch (branch) {
	case 0:
		return true;
	case 1:
		return avro_take_text(in, &text, &len);
	case 2:
		return bytes_take(in, 1, &p);
	case 3:
		return avro_take_long(in, &n);
	case 4:
		return bytes_take(in, sizeof(double), &p);
	default: /* [1,2] */
		return avro_take_long(in, &n) && n == 2 && bytes_take(in, 3, &p) && p[2] == 0;
	}
}

static bool take_typed(struct bytes *in, struct buf *out)
{
	int64_t t, g, p, o, crc;
	const char *x;
	size_t len;

	if (!avro_take_long(in, &t) || !avro_take_long(in, &g) || !avro_take_long(in, &p) ||
	    !avro_take_long(in, &o) || !avro_take_text(in, &x, &len) || !avro_take_long(in, &crc))
		return false;
	buf_addf(out,
		 "{\"t\":%" PRId64 ",\"g\":%" PRId64 ",\"p\":%" PRId64 ",\"o\":%" PRId64
		 ",\"x\":\"%.*s\",\"crc\":%" PRId64 "}",
		 t, g, p, o, (int)len, x, crc);
	return skip_field(in) && skip_field(in) && skip_field(in);
}

static bool take_column(struct bytes *in, struct buf *out)
{
	const char *value;
	size_t len;

	if (!avro_take_nullable(in, &value, &len))
		return false;
	buf_add(out, value ? value : "null", value ? len : 4);
	return true;
}

static bool avro_lines(const struct row_layout *l, const struct buf *file, struct buf *out)
{
	struct avro_file avro;
	struct bytes in;
	bool ok = true, tombstones;

	avro_file_parse(file->data, file->len, &avro);
	in = bytes_of(avro.rows.data, avro.rows.len);
	tombstones = strstr(buf_str(&avro.schema), "\"Tombstone\"");
	for (uint64_t i = 0; ok && i < avro.n_rows; i++) {
		ok = tombstones                ? take_tombstone(&in, out)
		     : l->format == ROWS_TYPED ? take_typed(&in, out)
					       : take_column(&in, out);
		if (ok && l->metadata && !tombstones)
			ok = take_kafka(&in, out);
		buf_addc(out, '\n');
	}
	ok = ok && bytes_left(&in) == 0;
	avro_file_release(&avro);
	return ok;
}

/* A lake's files are read after each step, and DuckDB takes milliseconds for one. */
static void parquet_lines(const struct buf *file, struct buf *out)
{
	static struct known {
		char digest[LAKE_DIGEST_BYTES];
		struct buf lines;
	} * known;
	static size_t n, cap;
	AUTO(buf_release) struct buf columns = BUF_INIT;
	char digest[LAKE_DIGEST_BYTES];
	size_t i = 0;

	lake_digest(file->data, file->len, digest);
	while (i < n && strcmp(known[i].digest, digest) != 0)
		i++;
	if (i == n) {
		GROW(known, n, cap);
		known[n] = (struct known){.lines = BUF_INIT};
		memcpy(known[n].digest, digest, sizeof(digest));
		duck_lines(file, &known[n++].lines, &columns);
	}
	buf_addbuf(out, &known[i].lines);
}

bool row_lines(const struct row_layout *l, const struct buf *file, struct buf *out)
{
	switch (l->format) {
	case ROWS_BYTES:
	case ROWS_JSON:
		buf_addbuf(out, file);
		return true;
	case ROWS_AVRO:
	case ROWS_TYPED:
		return avro_lines(l, file, out);
	case ROWS_PARQUET:
		parquet_lines(file, out);
		return true;
	}
	return false;
}
