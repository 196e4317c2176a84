/* What each part of the way from a record to a container costs, in ns a
 * record: the best of several rounds, one thread. Run under
 * `perf stat -e instructions:u` with one part's name for its instructions.
 *
 * usage: bench_writer [PART [small|large [ROUNDS]]]
 *
 * Orders have 13 fields with an array of records and a nullable map, about 150
 * and 1,000 bytes. Prints the ratio of our way to memcpy of the same bytes,
 * which is what outside code would do at least. */
#include <openssl/sha.h>
#include <snappy-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "connector/columnar/columns.h"
#include "connector/columnar/parquet_file.h"
#include "connector/schema/walker.h"
#include "connector/writer/codec.h"
#include "connector/writer/container.h"
#include "connector/writer/partition_writer.h"
#include "core/base/clock.h"
#include "tests/lib/orders.h"
#include "tests/lib/tempdir.h"

#define RECORDS 20000

struct input {
	struct buf bytes; /* all records, then slack */
	size_t at[RECORDS + 1];
};

static void make_input(struct input *in, int large)
{
	struct rng r = rng_seeded(7);

	for (size_t i = 0; i < RECORDS; i++) {
		in->at[i] = in->bytes.len;
		order_add(&r, &in->bytes, (int64_t)i, large);
	}
	in->at[RECORDS] = in->bytes.len;
	buf_reserve(&in->bytes, WALKER_SLACK);
}

/* The same kind of order as JSON, and the schema that a user would write for it. */
static const char json_schema[] =
	"{\"type\":\"record\",\"name\":\"Order\",\"fields\":["
	"{\"name\":\"order_id\",\"type\":\"long\"},{\"name\":\"customer\",\"type\":\"string\"},"
	"{\"name\":\"created\",\"type\":\"long\"},{\"name\":\"status\",\"type\":\"string\"},"
	"{\"name\":\"total\",\"type\":\"double\"},{\"name\":\"express\",\"type\":\"boolean\"},"
	"{\"name\":\"coupon\",\"type\":[\"null\",\"string\"]},{\"name\":\"items\",\"type\":{"
	"\"type\":"
	"\"array\",\"items\":{\"type\":\"record\",\"name\":\"Item\",\"fields\":[{\"name\":\"sku\","
	"\"type\":\"string\"},{\"name\":\"quantity\",\"type\":\"int\"},{\"name\":\"price\","
	"\"type\":"
	"\"double\"}]}}}]}";

static void make_json(struct input *in)
{
	static const char *const states[] = {"NEW", "PAID", "SENT", "DONE"};
	struct rng r = rng_seeded(7);

	for (size_t i = 0; i < RECORDS; i++) {
		int price = (int)rng_below(&r, 10000);

		in->at[i] = in->bytes.len;
		buf_addf(&in->bytes,
			 "{\"order_id\":%zu,\"customer\":\"c-%d\",\"created\":%lld,\"status\":\"%"
			 "s\","
			 "\"total\":%d.%02d,\"express\":%s,\"coupon\":%s,\"items\":[{\"sku\":"
			 "\"SKU-%06d\",\"quantity\":%d,\"price\":%d.5}]}",
			 i, (int)rng_below(&r, 100000), 1700000000000LL + (long long)i,
			 states[rng_below(&r, 4)], price, (int)rng_below(&r, 100),
			 rng_below(&r, 2) ? "true" : "false",
			 rng_below(&r, 4) ? "null" : "\"SPRING\"", (int)rng_below(&r, 1000000),
			 1 + (int)rng_below(&r, 9), price);
	}
	in->at[RECORDS] = in->bytes.len;
}

struct bench {
	struct input in; /* what the part takes: */
	struct input avro, json;
	struct schema *schema;
	struct walker *walker;
	struct columns *columns;
	struct lake *lake;
	struct partition_writer *writer;
	struct writer_settings settings;
	struct partitioner *by_field, *by_hour;
	struct container *container;
	unsigned char *out;
	int64_t offset;
	uint64_t sink;
};

static void die(const struct err *err)
{
	fprintf(stderr, "bench_writer: %s\n", err->text);
	exit(1);
}

static void part_walk(struct bench *b)
{
	for (size_t i = 0; i < RECORDS; i++)
		b->sink += walker_check(b->walker, b->in.bytes.data + b->in.at[i],
					b->in.at[i + 1] - b->in.at[i]);
}

static void part_memcpy(struct bench *b)
{
	size_t used = 0;

	for (size_t i = 0; i < RECORDS; i++) {
		size_t n = b->in.at[i + 1] - b->in.at[i];

		if (used > 16384)
			used = 0;
		memcpy(b->out + used, b->in.bytes.data + b->in.at[i], n);
		used += n;
	}
	b->sink += b->out[0];
}

/* In blocks as a container makes them. */
static void each_block(struct bench *b, void (*fn)(struct bench *, const void *, size_t))
{
	size_t from = 0;

	for (size_t i = 1; i <= RECORDS; i++) {
		if (b->in.at[i] - from < CONTAINER_BLOCK_BYTES && i < RECORDS)
			continue;
		fn(b, b->in.bytes.data + from, b->in.at[i] - from);
		from = b->in.at[i];
	}
}

static void snappy_block(struct bench *b, const void *data, size_t n)
{
	b->sink += codec_compress(CODEC_SNAPPY, data, n, b->out);
}

static void part_snappy(struct bench *b)
{
	each_block(b, snappy_block);
}

static void library_block(struct bench *b, const void *data, size_t n)
{
	size_t room = snappy_max_compressed_length(n);

	if (snappy_compress(data, n, (char *)b->out, &room) == SNAPPY_OK)
		b->sink += room;
}

static void part_libsnappy(struct bench *b)
{
	each_block(b, library_block);
}

static void sha_block(struct bench *b, const void *data, size_t n)
{
	unsigned char digest[32];

	SHA256(data, n, digest);
	b->sink += digest[0];
}

static void part_sha(struct bench *b)
{
	each_block(b, sha_block);
}

/* Through partition_writer_append, into a lake. */
static void part_writer(struct bench *b)
{
	struct written_files files = {NULL, 0, 0};
	struct err err = ERR_INIT;

	for (size_t i = 0; i < RECORDS; i++) {
		struct record r = {.topic = "orders",
				   .offset = b->offset++,
				   .timestamp_ms = 1700000000000 + b->offset,
				   .value = b->in.bytes.data + b->in.at[i],
				   .value_len = b->in.at[i + 1] - b->in.at[i]};

		if (partition_writer_append(b->writer, &r, NULL, &err) != ST_OK)
			die(&err);
	}
	if (partition_writer_finish(b->writer, &files, &err) != ST_OK)
		die(&err);
	b->sink = lake_upload_size(files.items[0].upload);
	written_files_release(&files);
}

/* Into column vectors, which are then dropped. */
static void part_decode(struct bench *b)
{
	AUTO(column_rows_freep) struct column_rows *rows = column_rows_new(b->columns, NULL, 0);
	const struct duckdb_api *duck;
	duckdb_logical_type types[64];
	duckdb_data_chunk chunk = NULL;
	struct err err = ERR_INIT;

	if (duckdb_api_load(&duck, &err) != ST_OK)
		die(&err);
	for (size_t i = 0; i < columns_count(b->columns); i++)
		types[i] = columns_type(b->columns, i);
	for (size_t i = 0; i < RECORDS; i++) {
		const unsigned char *pos = (unsigned char *)b->in.bytes.data + b->in.at[i];

		if (!chunk) {
			chunk = duck->create_data_chunk(types, columns_count(b->columns));
			column_rows_begin(rows, chunk);
		}
		if (column_rows_add(rows, &pos, (unsigned char *)b->in.bytes.data + b->in.at[i + 1],
				    true, &err) != ST_OK)
			die(&err);
		if (column_rows_full(rows)) {
			column_rows_end(rows);
			duck->destroy_data_chunk(&chunk);
		}
	}
	b->sink += column_rows_count(rows);
	duck->destroy_data_chunk(&chunk);
}

static const struct part {
	const char *name;
	void (*run)(struct bench *b);
	enum file_codec codec;
	enum file_format format;
	enum { PLAIN, FIELD, HOUR, METADATA, SORTED, VALUE, SCHEMA, INFER } extra;
} parts[] = {
	{"memcpy", part_memcpy, CODEC_NULL, FORMAT_AVRO, PLAIN},
	{"walk", part_walk, CODEC_NULL, FORMAT_AVRO, PLAIN},
	{"snappy", part_snappy, CODEC_NULL, FORMAT_AVRO, PLAIN},
	{"libsnappy", part_libsnappy, CODEC_NULL, FORMAT_AVRO, PLAIN},
	{"sha", part_sha, CODEC_NULL, FORMAT_AVRO, PLAIN},
	{"writer-null", part_writer, CODEC_NULL, FORMAT_AVRO, PLAIN},
	{"writer-snappy", part_writer, CODEC_SNAPPY, FORMAT_AVRO, PLAIN},
	{"writer-field", part_writer, CODEC_SNAPPY, FORMAT_AVRO, FIELD},
	{"writer-hour", part_writer, CODEC_SNAPPY, FORMAT_AVRO, HOUR},
	{"writer-metadata", part_writer, CODEC_SNAPPY, FORMAT_AVRO, METADATA},
	{"decode", part_decode, CODEC_NULL, FORMAT_AVRO, PLAIN},
	{"parquet-null", part_writer, CODEC_NULL, FORMAT_PARQUET, PLAIN},
	{"parquet-snappy", part_writer, CODEC_SNAPPY, FORMAT_PARQUET, PLAIN},
	{"parquet-sorted", part_writer, CODEC_SNAPPY, FORMAT_PARQUET, SORTED},
	{"json-value", part_writer, CODEC_SNAPPY, FORMAT_PARQUET, VALUE},
	{"json-schema", part_writer, CODEC_SNAPPY, FORMAT_PARQUET, SCHEMA},
	{"json-inferred", part_writer, CODEC_SNAPPY, FORMAT_PARQUET, INFER},
};

static double best_ns(struct bench *b, const struct part *part, int rounds)
{
	static const char *const by[] = {"country", "customer"};
	double best = 1e18;

	b->settings.codec = part->codec;
	b->settings.format = part->format;
	b->settings.partitioner = part->extra == FIELD  ? b->by_field
				  : part->extra == HOUR ? b->by_hour
							: NULL;
	b->settings.metadata = part->extra == METADATA;
	b->settings.converter = part->extra >= VALUE ? CONVERTER_JSON : CONVERTER_AVRO_RAW;
	b->settings.schema_json = part->extra < VALUE     ? order_schema
				  : part->extra == SCHEMA ? json_schema
							  : NULL;
	b->settings.infer = part->extra == INFER;
	b->settings.sort = (struct sort_columns){by, part->extra == SORTED ? ARRAY_SIZE(by) : 0};
	b->in = part->extra >= VALUE ? b->json : b->avro;
	b->writer = partition_writer_new(&b->settings, "orders", 0, 0);
	for (int i = 0; i < rounds; i++) {
		struct timespec from, to;
		double ns;

		b->sink = 0;
		clock_gettime(CLOCK_MONOTONIC, &from);
		part->run(b);
		clock_gettime(CLOCK_MONOTONIC, &to);
		ns = (double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec);
		if (ns / RECORDS < best)
			best = ns / RECORDS;
	}
	partition_writer_free(b->writer);
	return best;
}

/* Four folders by the fourth field, and one by the hour. */
static void make_partitioners(struct bench *b)
{
	static const char *const fields[] = {"status"};
	struct err err = ERR_INIT;

	if (partitioner_new(&(struct partitioner_options){.path_prefix = "topics",
							  .fields = fields,
							  .n_fields = 1},
			    &b->by_field, &err) != ST_OK ||
	    partitioner_new(&(struct partitioner_options){.path_prefix = "topics",
							  .path_format = "yyyy-MM-dd/HH",
							  .duration_ms = 3600000,
							  .timezone = "Europe/Berlin"},
			    &b->by_hour, &err) != ST_OK)
		die(&err);
}

static void run(const char *only, int large, int rounds)
{
	static struct bench b;
	char *dir = tempdir_new();
	struct lake_options options = {.create = true};
	struct err err = ERR_INIT;
	double base = 0;

	memset(&b, 0, sizeof(b));
	make_input(&b.avro, large);
	make_json(&b.json);
	b.out = xmalloc((size_t)1 << 20);
	if (schema_parse(order_schema, strlen(order_schema), &b.schema, &err) != ST_OK ||
	    lake_open(dir, &options, &b.lake, &err) != ST_OK)
		die(&err);
	b.walker = walker_new(b.schema);
	b.settings = (struct writer_settings){.lake = b.lake,
					      .converter = CONVERTER_AVRO_RAW,
					      .format = FORMAT_AVRO,
					      .schema_json = order_schema,
					      .path_prefix = "topics"};
	make_partitioners(&b);
	if (parquet_engine_new(&b.settings.parquet, &err) != ST_OK ||
	    columns_new(b.schema, false, &b.columns, &err) != ST_OK)
		die(&err);
	printf("%s: %zu bytes a record\n", large ? "large" : "small", b.avro.bytes.len / RECORDS);
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		double ns;

		if (only && strcmp(only, parts[i].name) != 0)
			continue;
		ns = best_ns(&b, &parts[i], rounds);
		base = base > 0 ? base : ns;
		printf("  %-14s %8.1f ns  %6.2f x memcpy  %7.0f MB/s", parts[i].name, ns, ns / base,
		       (double)b.in.bytes.len / RECORDS / ns * 1000);
		if (strstr(parts[i].name, "snappy"))
			printf("  ratio %.3f", (double)b.sink / (double)b.in.bytes.len);
		printf("\n");
	}
	walker_free(b.walker);
	partitioner_free(b.by_field);
	partitioner_free(b.by_hour);
	parquet_engine_free(b.settings.parquet);
	columns_free(b.columns);
	schema_free(b.schema);
	buf_release(&b.avro.bytes);
	buf_release(&b.json.bytes);
	free(b.out);
	lake_close(b.lake);
	tempdir_remove(&dir);
}

int main(int argc, char **argv)
{
	const char *only = argc > 1 && strcmp(argv[1], "all") != 0 ? argv[1] : NULL;
	const char *size = argc > 2 ? argv[2] : NULL;
	int rounds = argc > 3 ? atoi(argv[3]) : 15;

	for (int large = 0; large < 2; large++)
		if (!size || strcmp(size, large ? "large" : "small") == 0)
			run(only, large, rounds);
	return 0;
}
