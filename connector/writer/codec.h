/* Compression of one Avro block (Avro specification, "Required Codecs" and
 * "Optional Codecs"). snappy ends with the CRC-32 of the raw bytes, big-endian;
 * deflate is raw (RFC 1951). Equal bytes give equal bytes.
 *
 * The libraries' working memory is kept for each thread, so functions may be
 * called from any thread. */
#ifndef TIDEMARK_WRITER_CODEC_H
#define TIDEMARK_WRITER_CODEC_H

#include "connector/writer/partition_writer.h"

/* avro.codec: "null", "snappy", "deflate", "zstandard"; NULL: not for Avro. */
const char *codec_avro_name(enum file_codec codec);
/* The most bytes that len raw bytes can become. */
size_t codec_bound(enum file_codec codec, size_t len);
/* out has room for codec_bound(codec, len). Returns the bytes written. */
size_t codec_compress(enum file_codec codec, const void *raw, size_t len, void *out);
/* Memory that a thread keeps for the codec, roughly. */
size_t codec_memory(enum file_codec codec);
/* Appends the raw bytes of a block to out, at most max. NULL, or a static text
 * that says why not. codec is one of Avro's. */
MUST_CHECK const char *codec_decompress(enum file_codec codec, const void *data, size_t len,
					size_t max, struct buf *out);

#endif
