#include "connector/columnar/parquet_footer.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/file.h"

#define END_BYTES 8
#define TAIL_BYTES ((size_t)16 << 10) /* most footers are shorter */
#define FOOTER_MAX_BYTES ((size_t)16 << 20)
#define COLUMNS_FIELD 2
#define MOST_NESTED 16

/* ---- Thrift's compact protocol ---- */

enum thrift_type {
	THRIFT_STOP = 0,
	THRIFT_TRUE = 1,
	THRIFT_FALSE = 2,
	THRIFT_BYTE = 3,
	THRIFT_I16 = 4,
	THRIFT_I32 = 5,
	THRIFT_I64 = 6,
	THRIFT_DOUBLE = 7,
	THRIFT_BINARY = 8,
	THRIFT_LIST = 9,
	THRIFT_SET = 10,
	THRIFT_MAP = 11,
	THRIFT_STRUCT = 12,
};

static bool skip(struct bytes *in, unsigned type, unsigned nested);

static bool take_byte(struct bytes *in, unsigned *out)
{
	const unsigned char *byte;

	if (!bytes_take(in, 1, &byte))
		return false;
	*out = *byte;
	return true;
}

/* *type of the field that follows, THRIFT_STOP behind the last; *id counts on. */
static bool take_field(struct bytes *in, unsigned *type, uint64_t *id)
{
	unsigned head;
	uint64_t zigzag;

	if (!take_byte(in, &head))
		return false;
	*type = head & 15;
	if (!head || head >> 4) {
		*id += head >> 4;
		return true;
	}
	if (!bytes_varint(in, &zigzag))
		return false;
	*id = zigzag >> 1;
	return true;
}

static bool skip_struct(struct bytes *in, unsigned nested)
{
	unsigned type;
	uint64_t id = 0;

	for (;;) {
		if (!take_field(in, &type, &id))
			return false;
		if (type == THRIFT_STOP)
			return true;
		/* a field's truth is its type */
		if (type > THRIFT_FALSE && !skip(in, type, nested))
			return false;
	}
}

static bool skip_list(struct bytes *in, unsigned nested)
{
	unsigned head;
	uint64_t n;

	if (!take_byte(in, &head))
		return false;
	n = head >> 4;
	if (n == 15 && !bytes_varint(in, &n))
		return false;
	while (n--)
		if (!skip(in, head & 15, nested))
			return false;
	return true;
}

static bool skip_map(struct bytes *in, unsigned nested)
{
	unsigned types = 0;
	uint64_t n;

	if (!bytes_varint(in, &n) || (n && !take_byte(in, &types)))
		return false;
	while (n--)
		if (!skip(in, types >> 4, nested) || !skip(in, types & 15, nested))
			return false;
	return true;
}

/* Each takes a byte at least, so that no count makes this longer than its input. */
static bool skip(struct bytes *in, unsigned type, unsigned nested)
{
	const unsigned char *at;
	uint64_t n;

	if (nested == MOST_NESTED)
		return false;
	switch (type) {
	case THRIFT_TRUE:
	case THRIFT_FALSE:
	case THRIFT_BYTE:
		return bytes_take(in, 1, &at);
	case THRIFT_I16:
	case THRIFT_I32:
	case THRIFT_I64:
		return bytes_varint(in, &n);
	case THRIFT_DOUBLE:
		return bytes_take(in, 8, &at);
	case THRIFT_BINARY:
		return bytes_varint(in, &n) && bytes_take(in, n, &at);
	case THRIFT_LIST:
	case THRIFT_SET:
		return skip_list(in, nested + 1);
	case THRIFT_MAP:
		return skip_map(in, nested + 1);
	case THRIFT_STRUCT:
		return skip_struct(in, nested + 1);
	default:
		return false;
	}
}

bool parquet_footer_columns(const void *footer, size_t len, struct bytes *out)
{
	struct bytes in = bytes_of(footer, len);
	unsigned type;
	uint64_t id = 0;

	while (take_field(&in, &type, &id) && type != THRIFT_STOP) {
		const struct bytes from = in;

		if (type > THRIFT_FALSE && !skip(&in, type, 0))
			return false;
		if (id != COLUMNS_FIELD)
			continue;
		*out = bytes_of(from.p, (size_t)(in.p - from.p));
		return type == THRIFT_LIST;
	}
	return false;
}

/* ---- files ---- */

/* The last bytes of the file, so many as it has. */
static bool read_tail(int fd, uint64_t size, size_t len, struct buf *out)
{
	size_t n = 0;

	len = len < size ? len : (size_t)size;
	buf_clear(out);
	buf_reserve(out, len);
	if (fd_pread_all(fd, out->data, len, size - len, &n, "", NULL) != ST_OK || n != len)
		return false;
	out->len = len;
	return true;
}

/* false: it does not end as a Parquet file does. */
static bool footer_length(const struct buf *tail, size_t *out)
{
	const unsigned char *end = (const unsigned char *)tail->data + tail->len;

	if (tail->len < END_BYTES || memcmp(end - 4, "PAR1", 4) != 0)
		return false;
	*out = end[-8] | (size_t)end[-7] << 8 | (size_t)end[-6] << 16 | (size_t)end[-5] << 24;
	return *out <= FOOTER_MAX_BYTES;
}

/* tail: what is read of the file; *out is a part of it. */
static bool read_footer(const char *path, struct buf *tail, struct bytes *out)
{
	AUTO(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	size_t len;

	if (fd < 0 || fstat(fd, &st) < 0 ||
	    !read_tail(fd, (uint64_t)st.st_size, TAIL_BYTES, tail) || !footer_length(tail, &len))
		return false;
	if (len + END_BYTES > tail->len &&
	    !read_tail(fd, (uint64_t)st.st_size, len + END_BYTES, tail))
		return false;
	if (len + END_BYTES > tail->len)
		return false;
	*out = bytes_of(tail->data + tail->len - END_BYTES - len, len);
	return true;
}

static bool read_columns(const char *path, struct buf *tail, struct bytes *out)
{
	struct bytes footer;

	return read_footer(path, tail, &footer) &&
	       !memmem(footer.p, bytes_left(&footer), "geo", 3) &&
	       parquet_footer_columns(footer.p, bytes_left(&footer), out);
}

bool parquet_same_columns(const json_t *files)
{
	AUTO(buf_release) struct buf first = BUF_INIT;
	AUTO(buf_release) struct buf tail = BUF_INIT;
	const json_t *file;
	struct bytes columns;
	size_t i;

	json_array_foreach(files, i, file)
	{
		if (!read_columns(json_string_value(file), &tail, &columns))
			return false;
		if (i == 0)
			buf_add(&first, columns.p, bytes_left(&columns));
		else if (first.len != bytes_left(&columns) ||
			 memcmp(first.data, columns.p, first.len) != 0)
			return false;
	}
	return true;
}
