/* A lake and a registry for tests of the writers: cmocka's set-up and tear-down of a group,
 * whose state is a struct writer_world. */
#ifndef TIDEMARK_TESTS_WRITER_WORLD_H
#define TIDEMARK_TESTS_WRITER_WORLD_H

#include "connector/writer/partition_writer.h"

struct writer_world {
	char *dir;
	struct lake *lake;
	struct http_stub *stub; /* of the registry: schema 1 is ORDER, 2 is OTHER, 3 fails */
	struct registry *registry;
};

#define ORDER                                                                                      \
	"{\"type\":\"record\",\"name\":\"Order\",\"fields\":["                                     \
	"{\"name\":\"id\",\"type\":\"long\"},"                                                     \
	"{\"name\":\"note\",\"type\":[\"null\",\"string\"],\"default\":null}]}"
#define OTHER                                                                                      \
	"{\"type\":\"record\",\"name\":\"Other\",\"fields\":["                                     \
	"{\"name\":\"text\",\"type\":\"string\"}]}"

int writer_world_open(void **state);
int writer_world_close(void **state);

/* To topics/, without a schema file. */
struct writer_settings settings_of(const struct writer_world *w, enum value_converter converter,
				   enum file_format format, enum file_codec codec);
/* Of topic orders, without a key, stamped 1000 + offset. */
struct record record_of(int64_t offset, const void *value, size_t len);

#endif
