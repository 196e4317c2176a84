/* version: this program's, and each library's that is in it. */
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connector/cli/command.h"
#include "connector/columnar/columnar.h"
#include "connector/schema/utf8.h"
#include "core/net/http_server.h"

/* The libraries are asked by name, not by their headers, so that each stays
 * named where it is used; a library that is not linked has no symbol. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wredundant-decls"
extern const char *rd_kafka_version_str(void) __attribute__((weak));
extern const char *curl_version(void);
extern const char *OpenSSL_version(int what) __attribute__((weak));
extern const char *ZSTD_versionString(void) __attribute__((weak));
extern const char *zlibVersion(void) __attribute__((weak));
extern int mallctl(const char *name, void *old, size_t *old_len, void *new, size_t new_len)
	__attribute__((weak));
#pragma GCC diagnostic pop

static const char *openssl_version(void)
{
	return OpenSSL_version(0);
}

static const char *jemalloc_version(void)
{
	const char *version = NULL;
	size_t len = sizeof(version);

	return mallctl("version", &version, &len, NULL, 0) == 0 ? version : NULL;
}

/* Libraries that do not tell their version: it is in their file's name. built: of one that may
 * be a part of the program. */
static char *version_by_file(const char *library, const char *symbol, const char *built)
{
	void *address = dlsym(library ? dlopen(library, RTLD_LAZY) : RTLD_DEFAULT, symbol);
	char path[PATH_MAX];
	const char *so;
	Dl_info info;

	if (!address)
		return built ? xstrdup(built) : NULL;
	if (!dladdr(address, &info) || !info.dli_fname || !realpath(info.dli_fname, path))
		return NULL;
	so = strstr(path, ".so.");
	return so ? xstrdup(so + 4) : NULL;
}

static json_t *libraries(void)
{
	const struct {
		const char *name;
		const char *(*version)(void);
	} told[] = {
		{"librdkafka", rd_kafka_version_str},
		{"libcurl", curl_version},
		{"libmicrohttpd", http_server_library_version},
		{"openssl", OpenSSL_version ? openssl_version : NULL},
		{"jansson", jansson_version_str},
		{"zstd", ZSTD_versionString},
		{"zlib", zlibVersion},
		{"jemalloc", mallctl ? jemalloc_version : NULL},
		{"duckdb", columnar_library_version},
	};
	static const struct {
		const char *name;
		const char *symbol;
		const char *library; /* NULL: it is linked */
		const char *built;
	} filed[] = {
		{"rocksdb", "rocksdb_open", TIDEMARK_ROCKSDB, NULL},
		{"avro", "avro_schema_from_json_length", NULL, NULL},
		{"snappy", "snappy_compress", NULL, TIDEMARK_SNAPPY},
	};
	json_t *object = json_object();

	for (size_t i = 0; i < ARRAY_SIZE(told); i++)
		if (told[i].version && told[i].version())
			json_object_set_new(object, told[i].name, utf8_json(told[i].version()));
	for (size_t i = 0; i < ARRAY_SIZE(filed); i++) {
		AUTO(freep)
		char *version = version_by_file(filed[i].library, filed[i].symbol, filed[i].built);

		if (version)
			json_object_set_new(object, filed[i].name, utf8_json(version));
	}
	return object;
}

static enum status run(struct cli *cli, int n, char **args, struct err *err)
{
	AUTO(cli_args_release) struct cli_args none = {.n = 0};
	const char *name;
	json_t *versions;
	json_t *version;
	enum status st = cli_parse(cli, n, args, NULL, 0, 0, 0, &none, err);

	if (st != ST_OK)
		return st;
	versions = libraries();
	if (cli->json) {
		cli_json_line(
			json_pack("{s:s,s:o}", "version", TIDEMARK_VERSION, "libraries", versions));
		return ST_OK;
	}
	puts("tidemark " TIDEMARK_VERSION);
	json_object_foreach(versions, name, version)
		printf("  %-14s %s\n", name, json_string_value(version));
	json_decref(versions);
	return ST_OK;
}

const struct command command_version = {
	.name = "version",
	.usage = "",
	.summary = "prints this program's version, and each library's",
	.help = "",
	.run = run,
};
