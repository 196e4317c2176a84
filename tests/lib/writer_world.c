#include "tests/lib/writer_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/http_stub.h"
#include "tests/lib/must.h"
#include "tests/lib/tempdir.h"

static void answer(void *ctx, const struct http_stub_request *request, struct buf *reply)
{
	(void)ctx;
	if (strcmp(request->path, "/schemas/ids/1") == 0)
		http_stub_reply(reply, 200,
				"{\"schema\":\"{\\\"type\\\":\\\"record\\\",\\\"name\\\":"
				"\\\"Order\\\",\\\"fields\\\":[{\\\"name\\\":\\\"id\\\","
				"\\\"type\\\":\\\"long\\\"},{\\\"name\\\":\\\"note\\\",\\\"type\\\""
				":[\\\"null\\\",\\\"string\\\"],\\\"default\\\":null}]}\"}");
	else if (strcmp(request->path, "/schemas/ids/2") == 0)
		http_stub_reply(reply, 200,
				"{\"schema\":\"{\\\"type\\\":\\\"record\\\",\\\"name\\\":"
				"\\\"Other\\\",\\\"fields\\\":[{\\\"name\\\":\\\"text\\\","
				"\\\"type\\\":\\\"string\\\"}]}\"}");
	else if (strcmp(request->path, "/schemas/ids/3") == 0)
		http_stub_reply(reply, 503, "{}");
	else
		http_stub_reply(reply, 404, "{\"error_code\":40403,\"message\":\"no\"}");
}

int writer_world_open(void **state)
{
	struct writer_world *w = xcalloc(1, sizeof(*w));
	struct lake_options options = {.create = true};
	char url[64];

	w->dir = tempdir_new();
	MUST(lake_open(w->dir, &options, &w->lake, &err));
	w->stub = http_stub_new(answer, NULL, false);
	snprintf(url, sizeof(url), "http://127.0.0.1:%d", http_stub_port(w->stub));
	MUST(registry_open(&(struct registry_options){.urls = url}, &w->registry, &err));
	*state = w;
	return 0;
}

int writer_world_close(void **state)
{
	struct writer_world *w = *state;

	registry_close(w->registry);
	http_stub_free(w->stub);
	lake_close(w->lake);
	tempdir_remove(&w->dir);
	free(w);
	return 0;
}

struct writer_settings settings_of(const struct writer_world *w, enum value_converter converter,
				   enum file_format format, enum file_codec codec)
{
	return (struct writer_settings){.lake = w->lake,
					.registry = w->registry,
					.converter = converter,
					.format = format,
					.codec = codec,
					.path_prefix = "topics"};
}

struct record record_of(int64_t offset, const void *value, size_t len)
{
	return (struct record){.topic = "orders",
			       .offset = offset,
			       .timestamp_ms = 1000 + offset,
			       .value = value,
			       .value_len = len};
}
