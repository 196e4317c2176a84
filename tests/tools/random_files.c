/* Writes random rows of random schemas twice: as Avro containers, and as Parquet.
 * tests/servers/compare_files.py reads both, with libraries that are not ours.
 *
 * usage: random_files FOLDER FIRST_SEED SEEDS
 * Makes FOLDER/<seed>.avro and FOLDER/<seed>.parquet; a seed whose schema cannot be
 * columns makes none. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "connector/columnar/parquet_file.h"
#include "connector/writer/partition_writer.h"
#include "tests/lib/random_avro.h"
#include "tests/lib/tempdir.h"

#define ROWS 2500 /* more than one chunk */

/* Beside what is random: each logical type, so that its values are in range. */
static const char logical_fields[] =
	"{\"name\":\"date_\",\"type\":{\"type\":\"int\",\"logicalType\":\"date\"}},"
	"{\"name\":\"time_ms\",\"type\":{\"type\":\"int\",\"logicalType\":\"time-millis\"}},"
	"{\"name\":\"time_us\",\"type\":{\"type\":\"long\",\"logicalType\":\"time-micros\"}},"
	"{\"name\":\"ts_ms\",\"type\":{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}},"
	"{\"name\":\"ts_us\",\"type\":{\"type\":\"long\",\"logicalType\":\"timestamp-micros\"}},"
	"{\"name\":\"local_ms\",\"type\":{\"type\":\"long\",\"logicalType\":\"local-timestamp-"
	"millis\"}},"
	"{\"name\":\"local_us\",\"type\":{\"type\":\"long\",\"logicalType\":\"local-timestamp-"
	"micros\"}},"
	"{\"name\":\"money\",\"type\":{\"type\":\"bytes\",\"logicalType\":\"decimal\","
	"\"precision\":18,"
	"\"scale\":2}},"
	"{\"name\":\"wide\",\"type\":{\"type\":\"fixed\",\"name\":\"Wide\",\"size\":16,"
	"\"logicalType\":"
	"\"decimal\",\"precision\":36,\"scale\":9}},"
	"{\"name\":\"id\",\"type\":{\"type\":\"string\",\"logicalType\":\"uuid\"}},"
	"{\"name\":\"span\",\"type\":[\"null\",{\"type\":\"fixed\",\"name\":\"Span\",\"size\":12,"
	"\"logicalType\":\"duration\"}]}";

static void die(const char *what, const struct err *err)
{
	fprintf(stderr, "random_files: %s: %s\n", what, err->text);
	exit(1);
}

static void add_long(struct buf *out, int64_t v)
{
	buf_add_varint(out, ((uint64_t)v << 1) ^ (uint64_t)(v >> 63));
}

static void add_between(struct rng *r, struct buf *out, int64_t least, int64_t most)
{
	add_long(out, least + (int64_t)rng_below(r, (uint64_t)(most - least) + 1));
}

/* An unscaled number of n bytes, big-endian, of few or many digits. */
static void add_number(struct rng *r, struct buf *out, size_t n, int bits)
{
	int64_t v = (int64_t)(rng_next(r) >> (64 - bits)) >> rng_below(r, (uint64_t)bits);

	if (rng_below(r, 2))
		v = -v;
	for (size_t i = n; i-- > 0;)
		buf_addc(out, (char)(i < 8 ? v >> (8 * i) : v < 0 ? -1 : 0));
}

static void add_logical(struct rng *r, struct buf *out)
{
	const int64_t day_s = 86400, years_s = 36500 * day_s;

	add_between(r, out, -36500, 36500);
	add_between(r, out, 0, day_s * 1000 - 1);
	add_between(r, out, 0, day_s * 1000000 - 1);
	add_between(r, out, -years_s * 1000, years_s * 1000);
	add_between(r, out, -years_s * 1000000, years_s * 1000000);
	add_between(r, out, -years_s * 1000, years_s * 1000);
	add_between(r, out, -years_s * 1000000, years_s * 1000000);
	add_long(out, 8);
	add_number(r, out, 8, 58);
	add_number(r, out, 16, 63);
	add_long(out, 36);
	for (int i = 0; i < 36; i++)
		buf_addc(out, i == 8 || i == 13 || i == 18 || i == 23
				      ? '-'
				      : "0123456789abcdef"[rng_below(r, 16)]);
	add_long(out, (int64_t)rng_below(r, 2));
	if (out->data[out->len - 1])
		for (int i = 0; i < 12; i++)
			buf_addc(out, (char)(i % 4 == 3 ? 0 : rng_next(r)));
}

static void write_file(struct lake *lake, struct written_file *f, const char *path)
{
	struct err err = ERR_INIT;
	AUTO(lake_txn_freep) struct lake_txn *txn = NULL;
	AUTO(lake_object_closep) struct lake_object *object = NULL;
	struct lake_id head, id;
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0 || lake_resolve(lake, "main", &head, &err) != ST_OK ||
	    lake_txn_begin(lake, &head, &txn, &err) != ST_OK ||
	    lake_txn_put(txn, f->path, f->upload, f->content_type, &f->meta, &err) != ST_OK)
		die(path, &err);
	f->upload = NULL;
	if (lake_txn_prepare(txn, &id, &err) != ST_OK ||
	    lake_object_open(lake, &id, f->path, &object, &err) != ST_OK ||
	    lake_object_copy(object, fd, &err) != ST_OK)
		die(path, &err);
	close(fd);
}

static void write_rows(struct lake *lake, struct parquet_engine *engine, enum file_format format,
		       const char *schema, const struct buf *rows, const size_t *ends,
		       const char *path)
{
	struct writer_settings settings = {
		.lake = lake,
		.converter = CONVERTER_AVRO_RAW,
		.format = format,
		.codec = format == FORMAT_PARQUET ? CODEC_SNAPPY : CODEC_NULL,
		.schema_json = schema,
		.parquet = engine,
		.path_prefix = "random",
	};
	AUTO(partition_writer_freep)
	struct partition_writer *w = partition_writer_new(&settings, "rows", 0, 0);
	AUTO(written_files_release) struct written_files files = {NULL, 0, 0};
	struct err err = ERR_INIT;

	for (size_t i = 0; i < ROWS; i++) {
		size_t from = i ? ends[i - 1] : 0;
		struct record r = {.topic = "rows",
				   .offset = (int64_t)i,
				   .value = rows->data + from,
				   .value_len = ends[i] - from};

		if (partition_writer_append(w, &r, NULL, &err) != ST_OK)
			die(path, &err);
	}
	if (partition_writer_finish(w, &files, &err) != ST_OK)
		die(path, &err);
	write_file(lake, &files.items[0], path);
}

/* The random type under a name of its own; the logical ones behind it. */
static void row_schema(struct rng *r, struct buf *out)
{
	buf_adds(out,
		 "{\"type\":\"record\",\"name\":\"Row\",\"fields\":[{\"name\":\"any\",\"type\":");
	random_schema(r, out);
	buf_addf(out, "},%s]}", logical_fields);
}

static bool write_seed(struct lake *lake, struct parquet_engine *engine, const char *folder,
		       uint64_t seed)
{
	struct rng r = rng_seeded(seed);
	AUTO(buf_release) struct buf json = BUF_INIT;
	AUTO(buf_release) struct buf rows = BUF_INIT;
	AUTO(schema_freep) struct schema *schema = NULL;
	AUTO(freep) char *avro = xasprintf("%s/%" PRIu64 ".avro", folder, seed);
	AUTO(freep) char *parquet = xasprintf("%s/%" PRIu64 ".parquet", folder, seed);
	static size_t ends[ROWS];
	struct err err = ERR_INIT;

	row_schema(&r, &json);
	if (schema_parse(json.data, json.len, &schema, &err) != ST_OK)
		die("schema", &err);
	if (parquet_schema_check(schema, NULL, &err) != ST_OK)
		return false;
	for (size_t i = 0; i < ROWS; i++) {
		random_value_of(&r, schema_root(schema)->fields[0].type, &rows);
		add_logical(&r, &rows);
		ends[i] = rows.len;
	}
	write_rows(lake, engine, FORMAT_AVRO, json.data, &rows, ends, avro);
	write_rows(lake, engine, FORMAT_PARQUET, json.data, &rows, ends, parquet);
	return true;
}

int main(int argc, char **argv)
{
	struct lake_options options = {.create = true};
	struct parquet_engine *engine;
	struct err err = ERR_INIT;
	struct lake *lake;
	uint64_t written = 0;
	char *dir;

	if (argc != 4) {
		fprintf(stderr, "usage: random_files FOLDER FIRST_SEED SEEDS\n");
		return 2;
	}
	dir = tempdir_new();
	if (lake_open(dir, &options, &lake, &err) != ST_OK ||
	    parquet_engine_new(&engine, &err) != ST_OK)
		die(dir, &err);
	for (uint64_t i = 0, from = strtoull(argv[2], NULL, 10); i < strtoull(argv[3], NULL, 10);
	     i++)
		written += write_seed(lake, engine, argv[1], from + i);
	printf("%" PRIu64 " pairs\n", written);
	parquet_engine_free(engine);
	lake_close(lake);
	tempdir_remove(&dir);
	return 0;
}
