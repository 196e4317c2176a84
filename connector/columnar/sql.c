/* The parent's side of a query. */
#include "connector/columnar/sql.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "connector/columnar/sql_child.h"
#include "connector/columnar/sql_wire.h"
#include "core/base/clock.h"

#define WAIT_MS 50 /* how soon stop is seen */
#define CHECK_MS ((int64_t)30000)
#define READ_BYTES ((size_t)256 << 10)

static const char *program; /* NULL: it is looked for */

void sql_use_program(const char *path)
{
	program = path;
}

bool sql_format_by_name(const char *name, enum sql_format *out)
{
	static const char *const names[] = {
		[SQL_TABLE] = "table",
		[SQL_CSV] = "csv",
		[SQL_JSON] = "jsonl",
		[SQL_PARQUET] = "parquet",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(name, names[i]) == 0) {
			*out = (enum sql_format)i;
			return true;
		}
	return false;
}

void sql_answer_release(struct sql_answer *a)
{
	json_decref(a->columns);
	*a = (struct sql_answer){0};
}

/* ---- the child ---- */

struct child {
	const struct sql_query *query;
	int64_t end_us; /* 0: never */
	pid_t pid;
	int control;
	int data;
	int errors;
};

/* Of this process's environment what the child may know: nothing that a query could
 * give away. */
static char **make_environment(void)
{
	static const char *const names[] = {"TIDEMARK_DUCKDB", "LD_LIBRARY_PATH", "ASAN_OPTIONS",
					    "UBSAN_OPTIONS",   "LSAN_OPTIONS",    "TSAN_OPTIONS",
					    "TIDEMARK_KILL_AT"};
	char **list = xcalloc(ARRAY_SIZE(names) + 2, sizeof(*list));
	size_t n = 0;

	list[n++] = xstrdup("TZ=UTC");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (getenv(names[i]))
			list[n++] = xasprintf("%s=%s", names[i], getenv(names[i]));
	return list;
}

static void free_environment(char **list)
{
	for (char **e = list; *e; e++)
		free(*e);
	free(list);
}

/* The caller's; where it is nowhere the last place, for the message. */
static char *find_program(void)
{
	static const char *const places[] = {"", "../lib/tidemark/"};
	char self[PATH_MAX + 1];
	ssize_t n = readlink("/proc/self/exe", self, PATH_MAX);
	char *path = NULL, *slash;

	if (program)
		return xstrdup(program);
	self[n < 0 ? 0 : n] = '\0';
	slash = strrchr(self, '/');
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		free(path);
		path = xasprintf("%.*s%s" SQL_PROGRAM, slash ? (int)(slash + 1 - self) : 0, self,
				 places[i]);
		if (access(path, X_OK) == 0)
			break;
	}
	return path;
}

static enum status spawn(int control, int data, int errors, pid_t *pid, struct err *err)
{
	AUTO(freep) char *path = find_program();
	char *const argv[] = {(char *)SQL_PROGRAM, NULL};
	char **environment = make_environment();
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	sigset_t none, all;
	int rc;

	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_adddup2(&files, errors, 2);
	posix_spawn_file_actions_adddup2(&files, control, SQL_CONTROL_FD);
	posix_spawn_file_actions_adddup2(&files, data, SQL_DATA_FD);
	posix_spawnattr_init(&attributes);
	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &all);
	/* a terminal's Ctrl-C is for this process, which ends the child */
	posix_spawnattr_setpgroup(&attributes, 0);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
						      POSIX_SPAWN_SETSIGDEF);
	rc = posix_spawn(pid, path, &files, &attributes, argv, environment);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&files);
	free_environment(environment);
	return rc ? err_errno(err, rc, "cannot start %s", path) : ST_OK;
}

/* Descriptors of the child's own above those that it gets them as, so that none is
 * closed by a dup2 over it. */
static int above(int fd)
{
	int high = fcntl(fd, F_DUPFD_CLOEXEC, SQL_DATA_FD + 1);

	close(fd);
	return high;
}

static enum status start(struct child *c, struct err *err)
{
	int control[2] = {-1, -1}, data[2] = {-1, -1}, errors[2] = {-1, -1};
	enum status st = ST_OK;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, control) < 0 ||
	    pipe2(data, O_CLOEXEC) < 0 || pipe2(errors, O_CLOEXEC | O_NONBLOCK) < 0)
		st = err_errno(err, errno, "no pipes for a query");
	control[1] = above(control[1]);
	data[1] = above(data[1]);
	errors[1] = above(errors[1]);
	if (st == ST_OK)
		st = spawn(control[1], data[1], errors[1], &c->pid, err);
	closep(&control[1]);
	closep(&data[1]);
	closep(&errors[1]);
	c->control = control[0];
	c->data = data[0];
	c->errors = errors[0];
	return st;
}

/* The last line that the child wrote to its errors. */
static void last_words(struct child *c, struct buf *out)
{
	char text[4096];
	ssize_t n = read(c->errors, text, sizeof(text) - 1);
	char *line;

	while (n > 0 && (unsigned char)text[n - 1] <= ' ')
		n--;
	if (n <= 0)
		return;
	text[n] = '\0';
	line = strrchr(text, '\n');
	buf_addf(out, ": %s", line ? line + 1 : text);
}

/* It ended without having said how. */
static enum status crashed(struct child *c, struct err *err)
{
	AUTO(buf_release) struct buf words = BUF_INIT;
	int status = 0;

	while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR)
		;
	c->pid = -1;
	last_words(c, &words);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		return err_set(err, ST_FAILED,
			       "the query's process was killed; the machine may have no memory "
			       "left for it%s",
			       buf_str(&words));
	if (WIFSIGNALED(status))
		return err_set(err, ST_FAILED, "the query's process was ended by signal %d (%s)%s",
			       WTERMSIG(status), strsignal(WTERMSIG(status)), buf_str(&words));
	return err_set(err, ST_FAILED, "the query's process ended with exit code %d%s",
		       WEXITSTATUS(status), buf_str(&words));
}

/* Its end takes a millisecond or two, in which this process may do something else. */
static void begin_end(const struct child *c)
{
	if (c->pid > 0)
		kill(c->pid, SIGKILL);
}

static void end(struct child *c)
{
	while (c->pid > 0 && waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
		;
	closep(&c->control);
	closep(&c->data);
	closep(&c->errors);
}

/* Waits until fd can be read, or its other end is gone. */
static enum status wait_for(struct child *c, int fd, struct err *err)
{
	struct clock *clock = clock_system();
	struct pollfd p = {.fd = fd, .events = POLLIN};

	for (;;) {
		int64_t left_ms = c->end_us ? (c->end_us - clock->mono_us(clock)) / 1000 : WAIT_MS;

		if (c->query->stop && *c->query->stop)
			return err_set(err, ST_INTERRUPTED, "the query was stopped");
		if (left_ms <= 0)
			return err_set(err, ST_BUSY,
				       "the query was still running at its time limit, %" PRId64
				       " ms",
				       c->query->timeout_ms);
		if (poll(&p, 1, left_ms < WAIT_MS ? (int)left_ms : WAIT_MS) > 0)
			return ST_OK;
	}
}

/* One message of the child's; its errors are returned. */
static enum status hear(struct child *c, json_t **out, struct err *err)
{
	enum status st = wait_for(c, c->control, err);

	if (st == ST_OK)
		st = sql_receive(c->control, out, err);
	if (st == ST_END)
		return crashed(c, err);
	if (st == ST_OK)
		st = sql_error_of(*out, err);
	return st;
}

/* ---- the talk ---- */

/* folder: of the workspace; NULL: there is none. */
static enum status send_request(struct child *c, const char *folder, struct err *err)
{
	const struct sql_query *q = c->query;
	json_t *request =
		json_pack("{s:s,s:s,s:i,s:I,s:I,s:s*}", "version", TIDEMARK_VERSION, "query",
			  q->text, "format", (int)q->format, "memory",
			  (json_int_t)(q->memory_bytes ? q->memory_bytes : SQL_MEMORY_BYTES),
			  "threads", (json_int_t)q->threads, "folder", folder);
	enum status st;

	if (!request)
		return err_set(err, ST_USAGE, "the query is no UTF-8");
	st = sql_send(c->control, request, err);
	return st == ST_END ? crashed(c, err) : st;
}

/* Answers the names that the query mentions with their files. */
static enum status send_tables(struct child *c, const struct sql_catalog *catalog,
			       struct sql_workspace *w, struct err *err)
{
	json_t *names = NULL, *tables = json_array(), *name;
	size_t i;
	enum status st = hear(c, &names, err);

	json_array_foreach(json_object_get(names, "tables"), i, name)
	{
		json_t *table = NULL;

		if (st == ST_OK && c->query->stop && *c->query->stop)
			st = err_set(err, ST_INTERRUPTED, "the query was stopped");
		if (st == ST_OK)
			st = catalog->find(catalog->ctx, json_string_value(name), w, &table, err);
		if (st == ST_OK)
			json_array_append_new(tables, table);
	}
	json_decref(names);
	if (st != ST_OK) {
		json_decref(tables);
		return st;
	}
	st = sql_send(c->control, json_pack("{s:o}", "tables", tables), err);
	return st == ST_END ? crashed(c, err) : st;
}

/* Passes the answer on, to its end. */
static enum status pass_on(struct child *c, const struct sql_sink *sink, struct err *err)
{
	AUTO(freep) char *data = xmalloc(READ_BYTES);

	for (;;) {
		enum status st = wait_for(c, c->data, err);
		ssize_t n;

		if (st != ST_OK)
			return st;
		n = read(c->data, data, READ_BYTES);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(err, errno, "cannot read the query's answer");
		if (n == 0)
			return ST_OK;
		st = sink->take(sink->ctx, data, (size_t)n, err);
		if (st != ST_OK)
			return st;
	}
}

static enum status talk(struct child *c, const struct sql_catalog *catalog,
			const struct sql_sink *sink, struct sql_workspace *w,
			struct sql_answer *out, struct err *err)
{
	json_t *answer = NULL;
	enum status st = send_request(c, sql_workspace_folder(w), err);

	if (st == ST_OK && catalog->open)
		st = catalog->open(catalog->ctx, err);
	if (st == ST_OK)
		st = send_tables(c, catalog, w, err);
	if (st == ST_OK)
		st = pass_on(c, sink, err);
	if (st == ST_OK)
		st = hear(c, &answer, err);
	if (st == ST_OK && out)
		*out = (struct sql_answer){
			.rows = (uint64_t)json_integer_value(json_object_get(answer, "rows")),
			.columns = json_incref(json_object_get(answer, "columns")),
		};
	json_decref(answer);
	return st;
}

enum status sql_ask(const struct sql_query *query, const struct sql_catalog *catalog,
		    const struct sql_sink *sink, struct sql_answer *out, struct err *err)
{
	struct sql_workspace *w = NULL;
	struct clock *clock = clock_system();
	struct err why = ERR_INIT;
	struct child c = {.query = query, .pid = -1, .control = -1, .data = -1, .errors = -1};
	enum status st;

	if (query->timeout_ms)
		c.end_us = clock->mono_us(clock) + query->timeout_ms * 1000;
	/* first of all: everything else is done while it starts */
	st = start(&c, &why);
	if (st == ST_OK)
		st = sql_workspace_open(&w, &why);
	if (st == ST_OK)
		st = talk(&c, catalog, sink, w, out, &why);
	begin_end(&c);
	if (st != ST_OK && w)
		sql_workspace_translate(w, &why);
	sql_workspace_close(w);
	end(&c);
	if (st != ST_OK && err)
		*err = why;
	return st;
}

enum status sql_check(const char *text, struct err *err)
{
	const struct sql_query query = {.text = text, .timeout_ms = CHECK_MS};
	struct clock *clock = clock_system();
	struct child c = {.query = &query, .pid = -1, .control = -1, .data = -1, .errors = -1};
	json_t *names = NULL;
	enum status st;

	c.end_us = clock->mono_us(clock) + CHECK_MS * 1000;
	st = start(&c, err);
	if (st == ST_OK)
		st = send_request(&c, NULL, err);
	if (st == ST_OK)
		st = hear(&c, &names, err);
	json_decref(names);
	begin_end(&c);
	end(&c);
	return st;
}
