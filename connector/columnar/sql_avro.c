#include "connector/columnar/sql_avro.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "connector/columnar/columns.h"
#include "connector/writer/container_reader.h"
#include "core/base/file.h"

_Static_assert(COLUMN_ROWS_SLACK <= CONTAINER_READER_SLACK, "a block has room behind it");

static const struct duckdb_api *duck;

/* ---- bind: the columns ---- */

/* Does not change; shared by all threads. */
struct scan {
	char **files;
	size_t n_files;
	char *schema;
	struct columns *columns;
};

static void scan_free(void *data)
{
	struct scan *s = data;

	for (size_t i = 0; s->files && i < s->n_files; i++)
		free(s->files[i]);
	free(s->files);
	free(s->schema);
	columns_free(s->columns);
	free(s);
}

static char *text_of(duckdb_value value)
{
	char *theirs = duck->get_varchar(value);
	char *ours = xstrdup(theirs ? theirs : "");

	duck->free(theirs);
	return ours;
}

static void take_files(struct scan *s, duckdb_value list)
{
	s->n_files = duck->get_list_size(list);
	s->files = xcalloc(s->n_files + 1, sizeof(char *));
	for (size_t i = 0; i < s->n_files; i++) {
		duckdb_value file = duck->get_list_child(list, i);

		s->files[i] = text_of(file);
		duck->destroy_value(&file);
	}
}

static enum status make_columns(struct scan *s, struct err *err)
{
	AUTO(schema_freep) struct schema *schema = NULL;
	enum status st = schema_parse(s->schema, strlen(s->schema), &schema, err);

	return st == ST_OK ? columns_new(schema, false, &s->columns, err) : st;
}

static void bind(duckdb_bind_info info)
{
	struct scan *s = xcalloc(1, sizeof(*s));
	duckdb_value files = duck->bind_get_parameter(info, 0);
	duckdb_value schema = duck->bind_get_parameter(info, 1);
	duckdb_value rows = duck->bind_get_parameter(info, 2);
	int64_t n_rows = duck->get_int64(rows);
	struct err err = ERR_INIT;

	take_files(s, files);
	s->schema = text_of(schema);
	duck->destroy_value(&files);
	duck->destroy_value(&schema);
	duck->destroy_value(&rows);
	duck->bind_set_bind_data(info, s, scan_free);
	if (make_columns(s, &err) != ST_OK) {
		duck->bind_set_error(info, err.text);
		return;
	}
	for (size_t i = 0; i < columns_count(s->columns); i++)
		duck->bind_add_result_column(info, columns_name(s->columns, i),
					     columns_type(s->columns, i));
	if (n_rows >= 0)
		duck->bind_set_cardinality(info, (idx_t)n_rows, false);
}

/* ---- init: which of them ---- */

struct progress {
	atomic_size_t next; /* file */
	idx_t *wanted;
	size_t n_wanted;
};

static void progress_free(void *data)
{
	struct progress *p = data;

	free(p->wanted);
	free(p);
}

static void init(duckdb_init_info info)
{
	const struct scan *s = duck->init_get_bind_data(info);
	struct progress *p = xcalloc(1, sizeof(*p));
	idx_t n = duck->init_get_column_count(info);

	p->wanted = xcalloc(n + 1, sizeof(*p->wanted));
	for (idx_t i = 0; i < n; i++) {
		idx_t column = duck->init_get_column_index(info, i);

		/* where rows alone are counted, a column that is none is asked for */
		if (column < columns_count(s->columns))
			p->wanted[p->n_wanted++] = column;
	}
	duck->init_set_init_data(info, p, progress_free);
	duck->init_set_max_threads(info, s->n_files ? s->n_files : 1);
}

/* ---- one thread's reading ---- */

struct reading {
	struct column_rows *rows;
	const char *path; /* NULL: no file is open */
	int fd;
	struct byte_source source;
	struct container_reader *reader;
	/* Blocks of the chunk that is being filled: its text lies in them. The last is
	 * the one that goes on. */
	struct buf *blocks;
	size_t n_blocks, cap_blocks;
	const unsigned char *pos, *end; /* of the last one */
	uint64_t left; /* rows in it */
};

static void close_file(struct reading *r)
{
	container_reader_free(MOVE(r->reader));
	byte_source_release(&r->source);
	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
	r->path = NULL;
}

static void reading_free(void *data)
{
	struct reading *r = data;

	close_file(r);
	for (size_t i = 0; i < r->cap_blocks; i++)
		buf_release(&r->blocks[i]);
	free(r->blocks);
	column_rows_free(r->rows);
	free(r);
}

static void local_init(duckdb_init_info info)
{
	struct reading *r = xcalloc(1, sizeof(*r));

	r->fd = -1;
	duck->init_set_init_data(info, r, reading_free);
}

static enum status read_fd(void *ctx, uint64_t offset, void *data, size_t len, size_t *n_out,
			   struct err *err)
{
	const struct reading *r = ctx;

	return fd_pread_all(r->fd, data, len, offset, n_out, r->path, err);
}

static enum status open_file(struct reading *r, const struct scan *s, const char *path,
			     struct err *err)
{
	enum status st;

	r->path = path;
	r->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (r->fd < 0)
		return err_errno(err, errno, "cannot open it");
	r->source = (struct byte_source){.read = read_fd, .ctx = r};
	st = container_reader_open(&r->source, &r->reader, err);
	if (st == ST_OK && strcmp(container_reader_schema(r->reader), s->schema) != 0)
		return err_set(err, ST_FAILED, "its schema is not the one that it was found with");
	return st;
}

/* The buffer that comes after those of the chunk. */
static struct buf *next_block(struct reading *r)
{
	if (r->n_blocks == r->cap_blocks) {
		size_t before = r->cap_blocks;

		GROW(r->blocks, r->n_blocks, r->cap_blocks);
		memset(r->blocks + before, 0, (r->cap_blocks - before) * sizeof(*r->blocks));
	}
	return &r->blocks[r->n_blocks];
}

/* Puts the block that goes on first: those before it were the last chunk's. */
static void drop_blocks(struct reading *r)
{
	if (r->n_blocks > 1) {
		struct buf last = r->blocks[r->n_blocks - 1];

		r->blocks[r->n_blocks - 1] = r->blocks[0];
		r->blocks[0] = last;
	}
	r->n_blocks = r->left ? 1 : 0;
}

/* Until there is a row in the open block. ST_END: after the last file. */
static enum status need_row(struct reading *r, const struct scan *s, struct progress *p,
			    struct err *err)
{
	while (r->left == 0) {
		struct buf *block;
		enum status st;

		if (r->pos < r->end)
			return err_set(err, ST_POISON, "a block has bytes behind its rows");
		if (!r->path) {
			size_t next = atomic_fetch_add(&p->next, 1);

			if (next >= s->n_files)
				return ST_END;
			st = open_file(r, s, s->files[next], err);
			if (st != ST_OK)
				return st;
		}
		block = next_block(r);
		st = container_reader_next(r->reader, block, &r->left, err);
		if (st == ST_END) {
			close_file(r);
			continue;
		}
		if (st != ST_OK)
			return st;
		r->n_blocks++;
		r->pos = (const unsigned char *)buf_str(block);
		r->end = r->pos + block->len;
	}
	return ST_OK;
}

static enum status fill(struct reading *r, const struct scan *s, struct progress *p,
			struct err *err)
{
	enum status st = ST_OK;

	while (!column_rows_full(r->rows)) {
		st = need_row(r, s, p, err);
		if (st == ST_OK)
			st = column_rows_add(r->rows, &r->pos, r->end, false, err);
		if (st != ST_OK)
			break;
		r->left--;
	}
	return st == ST_END ? ST_OK : st;
}

static void read_rows(duckdb_function_info info, duckdb_data_chunk out)
{
	const struct scan *s = duck->function_get_bind_data(info);
	struct progress *p = duck->function_get_init_data(info);
	struct reading *r = duck->function_get_local_init_data(info);
	struct err err = ERR_INIT;

	if (!r->rows)
		r->rows = column_rows_new(s->columns, p->wanted, p->n_wanted);
	drop_blocks(r);
	column_rows_begin(r->rows, out);
	if (fill(r, s, p, &err) != ST_OK) {
		if (r->path)
			err_wrap(&err, err.code, "%s", r->path);
		duck->function_set_error(info, err.text);
	}
	column_rows_end(r->rows);
}

/* ---- registration ---- */

enum status sql_avro_register(duckdb_connection con, struct err *err)
{
	enum status st = duckdb_api_load(&duck, err);
	duckdb_logical_type text, list, number;
	duckdb_table_function f;

	if (st != ST_OK)
		return st;
	text = duck->create_logical_type(DUCKDB_TYPE_VARCHAR);
	number = duck->create_logical_type(DUCKDB_TYPE_BIGINT);
	list = duck->create_list_type(text);
	f = duck->create_table_function();
	duck->table_function_set_name(f, SQL_AVRO_FUNCTION);
	duck->table_function_add_parameter(f, list);
	duck->table_function_add_parameter(f, text);
	duck->table_function_add_parameter(f, number);
	duck->table_function_set_bind(f, bind);
	duck->table_function_set_init(f, init);
	duck->table_function_set_local_init(f, local_init);
	duck->table_function_set_function(f, read_rows);
	duck->table_function_supports_projection_pushdown(f, true);
	if (duck->register_table_function(con, f) != DuckDBSuccess)
		st = err_set(err, ST_FAILED, "DuckDB does not take the function of Avro files");
	duck->destroy_table_function(&f);
	duck->destroy_logical_type(&list);
	duck->destroy_logical_type(&number);
	duck->destroy_logical_type(&text);
	return st;
}
