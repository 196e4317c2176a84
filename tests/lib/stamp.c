#include "tests/lib/stamp.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

uint32_t stamp_crc(const char *topic, int32_t partition, int64_t sequence, const char *pad)
{
	AUTO(freep)
	char *text = xasprintf("%s:%" PRId32 ":%" PRId64 ":%s", topic, partition, sequence, pad);

	return (uint32_t)crc32(0, (const unsigned char *)text, (uInt)strlen(text));
}

void stamp_to_json(const char *topic, int32_t partition, int64_t sequence, const char *pad,
		   struct buf *out)
{
	buf_addf(out,
		 "{\"topic\":\"%s\",\"partition\":%" PRId32 ",\"sequence\":%" PRId64
		 ",\"pad\":\"%s\",\"crc\":%" PRIu32 "}",
		 topic, partition, sequence, pad, stamp_crc(topic, partition, sequence, pad));
}

static void add_long(struct buf *out, int64_t v)
{
	buf_add_varint(out, ((uint64_t)v << 1) ^ (uint64_t)(v >> 63));
}

static void add_text(struct buf *out, const char *text)
{
	add_long(out, (int64_t)strlen(text));
	buf_adds(out, text);
}

void stamp_to_avro(const char *topic, int32_t partition, int64_t sequence, const char *pad,
		   int version, struct buf *out)
{
	add_text(out, topic);
	add_long(out, partition);
	add_long(out, sequence);
	add_text(out, pad);
	add_long(out, stamp_crc(topic, partition, sequence, pad));
	if (version == 2)
		add_text(out, "second");
}

static void judge(struct stamp *out, const char *topic, const char *pad)
{
	snprintf(out->topic, sizeof(out->topic), "%s", topic);
	out->whole = stamp_crc(topic, out->partition, out->sequence, pad) == out->crc;
}

bool stamp_from_json(const void *text, size_t len, struct stamp *out)
{
	json_t *root = json_loadb(text, len, 0, NULL);
	const char *topic, *pad;
	json_int_t partition, sequence, crc;
	bool good = json_unpack(root, "{s:s,s:I,s:I,s:s,s:I}", "topic", &topic, "partition",
				&partition, "sequence", &sequence, "pad", &pad, "crc", &crc) == 0;

	if (good) {
		out->partition = (int32_t)partition;
		out->sequence = sequence;
		out->crc = (uint32_t)crc;
		judge(out, topic, pad);
	}
	json_decref(root);
	return good;
}

bool avro_take_long(struct bytes *in, int64_t *out)
{
	uint64_t v;

	if (!bytes_varint(in, &v))
		return false;
	*out = (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
	return true;
}

bool avro_take_text(struct bytes *in, const char **out, size_t *len_out)
{
	const unsigned char *p;
	int64_t len;

	if (!avro_take_long(in, &len) || len < 0 || !bytes_take(in, (size_t)len, &p))
		return false;
	*out = (const char *)p;
	*len_out = (size_t)len;
	return true;
}

bool avro_take_nullable(struct bytes *in, const char **out, size_t *len_out)
{
	int64_t branch;

	*out = NULL;
	*len_out = 0;
	if (!avro_take_long(in, &branch) || branch < 0 || branch > 1)
		return false;
	return branch == 0 || avro_take_text(in, out, len_out);
}

bool stamp_from_avro(struct bytes *in, int version, struct stamp *out)
{
	const char *topic, *pad, *note;
	size_t topic_len, pad_len, note_len;
	int64_t partition, crc;

	if (!avro_take_text(in, &topic, &topic_len) || !avro_take_long(in, &partition) ||
	    !avro_take_long(in, &out->sequence) || !avro_take_text(in, &pad, &pad_len) ||
	    !avro_take_long(in, &crc))
		return false;
	if (version == 2 && !avro_take_text(in, &note, &note_len))
		return false;
	AUTO(freep) char *t = xstrndup(topic, topic_len);
	AUTO(freep) char *p = xstrndup(pad, pad_len);

	out->partition = (int32_t)partition;
	out->crc = (uint32_t)crc;
	judge(out, t, p);
	return true;
}
