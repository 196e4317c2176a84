#include "connector/columnar/parquet_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/killpoint.h"

#define PIPE_BYTES (256 << 10)
#define READ_BYTES ((size_t)64 << 10)
#define ARENA_BYTES ((size_t)256 << 10)

struct copy {
	const struct duckdb_api *duck;
	struct copy_plan plan;
	bool running; /* the threads are there to be joined */
	pthread_t copier, carrier;
	int pipe_in, pipe_out;
	struct lake_upload *upload; /* the carrier's, until it is gone */
	_Atomic uint64_t carried; /* bytes */
	_Atomic uint64_t raw_taken; /* raw bytes of rows that COPY has */
	_Atomic uint64_t raw_carried; /* the same, when bytes were carried last */
	duckdb_connection con;

	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct batch *first, **last; /* guarded by lock, as all below */
	size_t batches; /* waiting, and in COPY */
	bool ended, stopped;
	bool failed; /* COPY takes no more */
	enum status copy_st, carry_st;
	struct err copy_err, carry_err;

	struct batch *current; /* the copier's alone */
};

/* ---- the engine ---- */

static void bind_rows(duckdb_bind_info info);
static void init_rows(duckdb_init_info info);
static void give_rows(duckdb_function_info info, duckdb_data_chunk out);

static enum status run_sql(const struct duckdb_api *duck, duckdb_connection con, const char *sql,
			   struct err *err)
{
	enum status st = ST_OK;
	duckdb_result result;

	if (duck->query(con, sql, &result) != DuckDBSuccess)
		st = err_set(err, ST_FAILED, "%s", duck->result_error(&result));
	duck->destroy_result(&result);
	return st;
}

static enum status register_rows(struct parquet_engine *e, struct err *err)
{
	const struct duckdb_api *duck = e->duck;
	duckdb_table_function f = duck->create_table_function();
	duckdb_logical_type number = duck->create_logical_type(DUCKDB_TYPE_BIGINT);
	duckdb_connection con;
	enum status st = ST_OK;

	duck->table_function_set_name(f, "tidemark_rows");
	duck->table_function_add_parameter(f, number);
	duck->table_function_set_extra_info(f, e, NULL);
	duck->table_function_set_bind(f, bind_rows);
	duck->table_function_set_init(f, init_rows);
	duck->table_function_set_function(f, give_rows);
	if (duck->connect(e->db, &con) != DuckDBSuccess) {
		st = err_set(err, ST_FAILED, "DuckDB gives no connection");
	} else {
		if (duck->register_table_function(con, f) != DuckDBSuccess)
			st = err_set(err, ST_FAILED, "DuckDB takes no table function");
		/* ROW_GROUP_SIZE_BYTES wants it; one source thread keeps the order. */
		if (st == ST_OK)
			st = run_sql(duck, con, "SET preserve_insertion_order = false", err);
		duck->disconnect(&con);
	}
	duck->destroy_logical_type(&number);
	duck->destroy_table_function(&f);
	return st;
}

static enum status open_database(struct parquet_engine *e, struct err *err)
{
	static const char *const options[][2] = {
		{"threads", "1"}, /* each COPY runs in the thread that asks for it */
		{"autoload_known_extensions", "false"},
		{"autoinstall_known_extensions", "false"},
		{"temp_directory", ""},
	};
	const struct duckdb_api *duck = e->duck;
	duckdb_config config;
	char *why = NULL;
	enum status st = ST_OK;

	if (duck->create_config(&config) != DuckDBSuccess)
		return err_set(err, ST_FAILED, "DuckDB gives no configuration");
	for (size_t i = 0; st == ST_OK && i < ARRAY_SIZE(options); i++)
		if (duck->set_config(config, options[i][0], options[i][1]) != DuckDBSuccess)
			st = err_set(err, ST_FAILED, "DuckDB refuses the option %s", options[i][0]);
	if (st == ST_OK && duck->open_ext(NULL, &e->db, config, &why) != DuckDBSuccess) {
		st = err_set(err, ST_FAILED, "DuckDB: %s", why ? why : "cannot be opened");
		duck->free(why);
	}
	duck->destroy_config(&config);
	return st;
}

enum status parquet_engine_new(struct parquet_engine **out, struct err *err)
{
	AUTO(parquet_engine_freep) struct parquet_engine *e = xcalloc(1, sizeof(*e));
	enum status st = duckdb_api_load(&e->duck, err);

	if (st == ST_OK)
		st = open_database(e, err);
	if (st == ST_OK)
		st = register_rows(e, err);
	if (st == ST_OK)
		*out = MOVE(e);
	return st;
}

void parquet_engine_free(struct parquet_engine *e)
{
	if (!e)
		return;
	if (e->db)
		e->duck->close(&e->db);
	free(e);
}

unsigned char *arena_room(struct arena **arenas, size_t len)
{
	size_t need = len + COLUMN_ROWS_SLACK;
	struct arena *a = *arenas;

	if (!a || a->cap - a->used < need) {
		size_t cap = need > ARENA_BYTES ? need : ARENA_BYTES;

		a = xmalloc(sizeof(*a) + cap);
		a->next = *arenas;
		a->used = 0;
		a->cap = cap;
		memset(a->data + cap - COLUMN_ROWS_SLACK, 0, COLUMN_ROWS_SLACK);
		*arenas = a;
	}
	return a->data + a->used;
}

void arenas_free(struct arena *arenas)
{
	for (struct arena *a = arenas, *next; a; a = next) {
		next = a->next;
		free(a);
	}
}

void batch_free(const struct duckdb_api *duck, struct batch *b)
{
	if (!b)
		return;
	duck->destroy_data_chunk(&b->chunk);
	arenas_free(b->arenas);
	free(b);
}

/* ---- the table function: runs on the copier's thread ---- */

static void bind_rows(duckdb_bind_info info)
{
	const struct parquet_engine *e;
	const struct duckdb_api *duck;
	struct err err = ERR_INIT;
	struct copy *c;
	duckdb_value number;

	if (duckdb_api_load(&duck, &err) != ST_OK)
		return;
	e = duck->bind_get_extra_info(info);
	number = e->duck->bind_get_parameter(info, 0);
	c = (struct copy *)(intptr_t)duck->get_int64(number);
	duck->destroy_value(&number);
	for (size_t i = 0; i < columns_count(c->plan.columns); i++)
		duck->bind_add_result_column(info, columns_name(c->plan.columns, i),
					     columns_type(c->plan.columns, i));
	duck->bind_set_bind_data(info, c, NULL);
}

static void init_rows(duckdb_init_info info)
{
	const struct duckdb_api *duck;
	struct err err = ERR_INIT;

	if (duckdb_api_load(&duck, &err) != ST_OK)
		return;
	duck->init_set_max_threads(info, 1);
}

/* The next batch that was given; NULL: the end. *stopped: nobody wants the file any more. */
static struct batch *next_given(struct copy *c, bool *stopped)
{
	struct batch *b;

	pthread_mutex_lock(&c->lock);
	if (c->current) {
		c->batches--;
		pthread_cond_broadcast(&c->changed);
	}
	while (!c->first && !c->ended && !c->stopped)
		pthread_cond_wait(&c->changed, &c->lock);
	b = c->stopped ? NULL : c->first;
	if (b) {
		c->first = b->next;
		if (!c->first)
			c->last = &c->first;
	}
	*stopped = c->stopped;
	pthread_mutex_unlock(&c->lock);
	return b;
}

static struct batch *next_batch(struct copy *c, bool *stopped)
{
	if (!c->plan.next)
		return next_given(c, stopped);
	pthread_mutex_lock(&c->lock);
	*stopped = c->stopped;
	pthread_mutex_unlock(&c->lock);
	return *stopped ? NULL : c->plan.next(c->plan.ctx);
}

static void give_rows(duckdb_function_info info, duckdb_data_chunk out)
{
	const struct duckdb_api *duck;
	struct err err = ERR_INIT;
	struct copy *c;
	bool stopped;

	if (duckdb_api_load(&duck, &err) != ST_OK)
		return;
	c = duck->function_get_bind_data(info);
	/* What was given last has been copied by now. */
	batch_free(duck, c->current);
	c->current = next_batch(c, &stopped);
	if (stopped) {
		duck->function_set_error(info, "stopped");
		return;
	}
	if (!c->current) {
		duck->data_chunk_set_size(out, 0);
		return;
	}
	c->raw_taken += c->current->bytes;
	for (size_t i = 0; i < columns_count(c->plan.columns); i++)
		duck->vector_reference_vector(duck->data_chunk_get_vector(out, i),
					      duck->data_chunk_get_vector(c->current->chunk, i));
	duck->data_chunk_set_size(out, duck->data_chunk_get_size(c->current->chunk));
}

/* ---- the two threads of a file ---- */

static void copy_statement(const struct copy *c, struct buf *sql)
{
	const struct parquet_settings *settings = c->plan.settings;
	AUTO(buf_release) struct buf ids = BUF_INIT;

	columns_field_ids(c->plan.columns, &ids);
	buf_addf(sql,
		 "COPY (SELECT * FROM tidemark_rows(%" PRIdPTR ")) TO '/proc/self/fd/%d' "
		 "(FORMAT parquet, COMPRESSION %s, USE_TMP_FILE false, ROW_GROUP_SIZE %zu, "
		 "ROW_GROUP_SIZE_BYTES '%zuB', KV_METADATA {'parquet.avro.schema': ",
		 (intptr_t)c, c->pipe_in, settings->codec, settings->group_rows,
		 settings->group_bytes);
	sql_add_text(sql, c->plan.schema_json);
	buf_addc(sql, '}');
	if (ids.len)
		buf_addf(sql, ", FIELD_IDS %s", buf_str(&ids));
	buf_addc(sql, ')');
}

static void *copier(void *ctx)
{
	struct copy *c = ctx;
	AUTO(buf_release) struct buf sql = BUF_INIT;
	struct err err = ERR_INIT;
	enum status st;

	copy_statement(c, &sql);
	st = run_sql(c->duck, c->con, buf_str(&sql), &err);
	close(c->pipe_in);
	pthread_mutex_lock(&c->lock);
	c->copy_st = st;
	c->copy_err = err;
	c->failed = st != ST_OK;
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

/* ST_END where COPY has closed the pipe. */
static enum status carry_some(struct copy *c, struct err *err)
{
	enum status st;
	size_t room;
	void *data;
	ssize_t n;

	st = lake_upload_reserve(c->upload, READ_BYTES, &data, &room, err);
	if (st != ST_OK)
		return st;
	do
		n = read(c->pipe_out, data, room);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_errno(err, errno, "pipe");
	if (n == 0)
		return ST_END;
	lake_upload_advance(c->upload, (size_t)n);
	c->carried += (uint64_t)n;
	c->raw_carried = (uint64_t)c->raw_taken;
	return ST_OK;
}

static void *carrier(void *ctx)
{
	struct copy *c = ctx;
	struct err err = ERR_INIT;
	enum status st;

	while ((st = carry_some(c, &err)) == ST_OK)
		;
	/* After an error COPY meets a closed pipe, and fails too. */
	close(c->pipe_out);
	if (st != ST_END) {
		pthread_mutex_lock(&c->lock);
		c->carry_st = st;
		c->carry_err = err;
		c->failed = true;
		pthread_cond_broadcast(&c->changed);
		pthread_mutex_unlock(&c->lock);
	}
	return NULL;
}

/* ---- its life ---- */

static enum status begin_threads(struct copy *c, struct err *err)
{
	sigset_t all, before;
	int errnum;

	/* SIGPIPE among them: a closed pipe is an error of write. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	errnum = pthread_create(&c->carrier, NULL, carrier, c);
	if (errnum == 0) {
		errnum = pthread_create(&c->copier, NULL, copier, c);
		if (errnum != 0) {
			close(c->pipe_in); /* which ends the carrier */
			pthread_join(c->carrier, NULL);
		}
	} else {
		close(c->pipe_in);
		close(c->pipe_out);
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return errnum == 0 ? ST_OK : err_errno(err, errnum, "a thread for a Parquet file");
}

/* Why the file cannot go on. What the upload met is the cause of what COPY met. */
static enum status why_failed(struct copy *c, struct err *err)
{
	enum status st;

	pthread_mutex_lock(&c->lock);
	st = c->carry_st != ST_OK ? c->carry_st : c->copy_st;
	if (st != ST_OK)
		*err = c->carry_st != ST_OK ? c->carry_err : c->copy_err;
	pthread_mutex_unlock(&c->lock);
	return st;
}

/* Waits for both; the pipe's ends are closed by them. */
static void join(struct copy *c)
{
	if (!c->running)
		return;
	pthread_join(c->copier, NULL);
	pthread_join(c->carrier, NULL);
	c->running = false;
}

enum status copy_begin(const struct copy_plan *plan, struct copy **out, struct err *err)
{
	AUTO(copy_freep) struct copy *c = xcalloc(1, sizeof(*c));
	int fds[2];
	enum status st;

	c->plan = *plan;
	c->duck = plan->settings->engine->duck;
	c->last = &c->first;
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->changed, NULL);
	st = lake_upload_open(plan->settings->lake, &c->upload, err);
	if (st == ST_OK && plan->settings->defer)
		st = lake_upload_defer(c->upload, err);
	if (st == ST_OK && c->duck->connect(plan->settings->engine->db, &c->con) != DuckDBSuccess)
		st = err_set(err, ST_FAILED, "DuckDB gives no connection");
	if (st == ST_OK && pipe2(fds, O_CLOEXEC) != 0)
		st = err_errno(err, errno, "pipe");
	if (st != ST_OK)
		return st;
	c->pipe_out = fds[0];
	c->pipe_in = fds[1];
	/* As much as the system grants; it is but fewer wakings. */
	(void)fcntl(c->pipe_in, F_SETPIPE_SZ, PIPE_BYTES);
	st = begin_threads(c, err);
	if (st != ST_OK)
		return st;
	c->running = true;
	KILL_POINT("writer.file.opened");
	*out = MOVE(c);
	return ST_OK;
}

enum status copy_give(struct copy *c, struct batch *b, struct err *err)
{
	bool failed;

	pthread_mutex_lock(&c->lock);
	while (c->batches >= PARQUET_BATCHES - 1 && !c->failed)
		pthread_cond_wait(&c->changed, &c->lock);
	failed = c->failed;
	if (!failed) {
		*c->last = b;
		c->last = &b->next;
		c->batches++;
		pthread_cond_broadcast(&c->changed);
	}
	pthread_mutex_unlock(&c->lock);
	if (!failed)
		return ST_OK;
	join(c);
	return why_failed(c, err);
}

void copy_end(struct copy *c)
{
	pthread_mutex_lock(&c->lock);
	c->ended = true;
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
}

enum status copy_finish(struct copy *c, struct lake_upload **out, struct err *err)
{
	enum status st;

	join(c);
	KILL_POINT("writer.finish");
	st = why_failed(c, err);
	if (st == ST_OK)
		st = lake_upload_finish(c->upload, err);
	if (st == ST_OK)
		*out = MOVE(c->upload);
	return st;
}

void copy_free(struct copy *c)
{
	if (!c)
		return;
	if (c->running) {
		pthread_mutex_lock(&c->lock);
		c->stopped = true;
		pthread_cond_broadcast(&c->changed);
		pthread_mutex_unlock(&c->lock);
		c->duck->interrupt(c->con);
		join(c);
	}
	for (struct batch *b = c->first, *next; b; b = next) {
		next = b->next;
		batch_free(c->duck, b);
	}
	batch_free(c->duck, c->current);
	if (c->con)
		c->duck->disconnect(&c->con);
	lake_upload_free(c->upload);
	pthread_mutex_destroy(&c->lock);
	pthread_cond_destroy(&c->changed);
	free(c);
}

uint64_t copy_bytes(const struct copy *c)
{
	return c->carried;
}

uint64_t copy_raw_bytes(const struct copy *c)
{
	return c->raw_carried;
}
