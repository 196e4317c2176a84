#include "connector/columnar/duckdb_api.h"

#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "connector/columnar/columnar.h"

static struct duckdb_api api;
static enum status loaded = ST_FAILED;
static struct err load_err;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* DuckDB's C API keeps its functions within a minor version. */
#define VERSION_WANTED "v1.5."

static void *open_one(const char *path, struct buf *tried)
{
	void *library = dlopen(path, RTLD_LAZY | RTLD_LOCAL);

	if (!library)
		buf_addf(tried, "%s%s", tried->len ? ", " : "", path);
	return library;
}

/* The first of the places that has it. Behind a file name, dlopen() looks there
 * and nowhere else. */
static void *open_library(struct buf *tried)
{
	/* where this program is tidemark, and tidemark-sql */
	static const char *const near[] = {"../lib/tidemark/", ""};
	const char *named = getenv("TIDEMARK_DUCKDB"), *slash;
	char self[PATH_MAX + 1];
	ssize_t n = readlink("/proc/self/exe", self, PATH_MAX);
	void *library = NULL;

	if (named)
		return open_one(named, tried);
	self[n < 0 ? 0 : n] = '\0';
	slash = strrchr(self, '/');
	for (size_t i = 0; !library && i < ARRAY_SIZE(near); i++) {
		AUTO(freep)
		char *path = xasprintf("%.*s%slibduckdb.so", slash ? (int)(slash + 1 - self) : 0,
				       self, near[i]);

		library = open_one(path, tried);
	}
	if (!library)
		library = open_one(TIDEMARK_DUCKDB, tried);
	return library ? library : open_one("libduckdb.so", tried);
}

static void load(void)
{
	AUTO(buf_release) struct buf tried = BUF_INIT;
	void *library = open_library(&tried);

	if (!library) {
		err_set(&load_err, ST_FAILED,
			"Parquet and SQL need libduckdb 1.5, which is not at %s; `make deps` "
			"fetches "
			"it, or name its file in TIDEMARK_DUCKDB",
			buf_str(&tried));
		return;
	}
#define X(name)                                                                                    \
	*(void **)&api.name = dlsym(library, "duckdb_" #name);                                     \
	if (!api.name) {                                                                           \
		err_set(&load_err, ST_FAILED, "libduckdb lacks duckdb_" #name "; it must be 1.5"); \
		return;                                                                            \
	}
	DUCKDB_FUNCTIONS(X)
#undef X
	if (strncmp(api.library_version(), VERSION_WANTED, strlen(VERSION_WANTED)) != 0) {
		err_set(&load_err, ST_FAILED, "libduckdb is %s; it must be 1.5 (`make deps`)",
			api.library_version());
		return;
	}
	loaded = ST_OK;
}

enum status duckdb_api_load(const struct duckdb_api **out, struct err *err)
{
	pthread_once(&once, load);
	if (loaded == ST_OK)
		*out = &api;
	else
		*err = load_err;
	return loaded;
}

const char *columnar_library_version(void)
{
	const struct duckdb_api *duck;
	struct err err = ERR_INIT;

	return duckdb_api_load(&duck, &err) == ST_OK ? duck->library_version() : NULL;
}

static void add_quoted(struct buf *out, const char *text, char quote)
{
	buf_addc(out, quote);
	for (; *text; text++) {
		if (*text == quote)
			buf_addc(out, quote);
		buf_addc(out, *text);
	}
	buf_addc(out, quote);
}

void sql_add_text(struct buf *out, const char *text)
{
	add_quoted(out, text, '\'');
}

void sql_add_identifier(struct buf *out, const char *name)
{
	add_quoted(out, name, '"');
}
