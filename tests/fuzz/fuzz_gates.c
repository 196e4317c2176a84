/* Any bytes to what gates read fields with. What the walker takes for a value of
 * the schema is read to its last byte; what a JSON field is, jansson says too.
 * The first byte chooses the path. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "connector/schema/avro_fields.h"
#include "connector/schema/json_fields.h"
#include "connector/schema/walker.h"
#include "connector/writer/json_line.h"
#include "tests/lib/fuzz.h"

static const char schema_text[] =
	"{\"type\":\"record\",\"name\":\"R\",\"fields\":["
	"{\"name\":\"a\",\"type\":[\"null\",\"long\",\"string\",\"R\"]},"
	"{\"name\":\"b\",\"type\":{\"type\":\"array\",\"items\":[\"null\",\"R\",\"int\"]}},"
	"{\"name\":\"c\",\"type\":{\"type\":\"map\",\"values\":\"float\"}},"
	"{\"name\":\"d\",\"type\":[\"double\",\"boolean\",\"bytes\",{\"type\":\"enum\",\"name\":"
	"\"E\","
	"\"symbols\":[\"A\",\"B\"]},{\"type\":\"fixed\",\"name\":\"F\",\"size\":2}]}]}";
static const char *const paths[] = {"a", "b", "d", "a.a", "a.d", "a.a.c"};

static struct schema *schema;
static struct walker *walker;
static struct avro_fields *fields;

/* Reading no further than the last of some fields finds what reading all finds. */
static void check_peek(const uint8_t *data, size_t size, const struct value *all)
{
	static struct avro_fields *some;
	struct value values[3] = {{.kind = VALUE_ABSENT}};
	struct bytes in = bytes_of(data, size);
	char *lack[3] = {NULL};
	const char *why;

	if (!some)
		some = avro_fields_new(schema, paths + 2, 3, lack);
	why = avro_fields_peek(some, &in, values);
	if (!all)
		return;
	FUZZ_CHECK(!why);
	for (size_t i = 0; i < 3; i++)
		FUZZ_CHECK(values[i].kind == all[i + 2].kind && values[i].data == all[i + 2].data &&
			   values[i].len == all[i + 2].len);
}

static void check_avro(const uint8_t *data, size_t size)
{
	struct value values[ARRAY_SIZE(paths)] = {{.kind = VALUE_ABSENT}};
	AUTO(freep) uint8_t *slack = xcalloc(1, size + WALKER_SLACK);
	struct bytes in = bytes_of(data, size);
	AUTO(buf_release) struct buf shown = BUF_INIT;
	AUTO(buf_release) struct buf scratch = BUF_INIT;
	unsigned char digest[16];
	const char *why;

	if (!schema) {
		char *lack[ARRAY_SIZE(paths)] = {NULL};

		FUZZ_CHECK(schema_parse(schema_text, strlen(schema_text), &schema, NULL) == ST_OK);
		walker = walker_new(schema);
		fields = avro_fields_new(schema, paths, ARRAY_SIZE(paths), lack);
		for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
			FUZZ_CHECK(!lack[i]);
	}
	memcpy(slack, data, size);
	why = avro_fields_read(fields, &in, values);
	if (walker_check(walker, slack, size))
		FUZZ_CHECK(!why && bytes_left(&in) == 0);
	check_peek(data, size, why ? NULL : values);
	for (size_t i = 0; !why && i < ARRAY_SIZE(paths); i++) {
		value_digest(&values[i], &scratch, digest);
		value_show(&values[i], &shown);
	}
}

static const json_t *find(const json_t *j, const char *path)
{
	while (j) {
		size_t n = strcspn(path, ".");

		j = json_is_object(j) ? json_object_getn(j, path, n) : NULL;
		if (!path[n])
			return j;
		path += n + 1;
	}
	return NULL;
}

static enum value_kind kind_of(const json_t *j)
{
	return !j                   ? VALUE_ABSENT
	       : json_is_null(j)    ? VALUE_NULL
	       : json_is_string(j)  ? VALUE_TEXT
	       : json_is_number(j)  ? VALUE_NUMBER
	       : json_is_boolean(j) ? VALUE_BOOLEAN
				    : VALUE_OTHER;
}

static void check_json(const uint8_t *data, size_t size, const char *path)
{
	AUTO(buf_release) struct buf scratch = BUF_INIT;
	struct json_line line;
	const json_t *at;
	struct value v;
	json_t *j;

	if (!json_line_check(data, size, &line, NULL, NULL))
		return;
	v = json_field(line.text, path, &scratch);
	j = json_loadb(line.text, line.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	if (!j)
		return; /* jansson's limits: fuzz_json.c */
	at = find(j, path);
	FUZZ_CHECK(v.kind == kind_of(at));
	if (v.kind == VALUE_TEXT)
		FUZZ_CHECK(v.len == json_string_length(at) &&
			   memcmp(v.data, json_string_value(at), v.len) == 0);
	if (v.kind == VALUE_BOOLEAN)
		FUZZ_CHECK(v.number == json_is_true(at));
	if (v.kind == VALUE_NUMBER)
		FUZZ_CHECK(strtod(v.data, NULL) == json_number_value(at));
	json_decref(j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* a text ends with something that is no part of it, as a line does */
	AUTO(freep) uint8_t *text = NULL;

	if (!size)
		return 0;
	text = xmalloc(size);
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\n';
	check_avro(data + 1, size - 1);
	check_json(text, size - 1, paths[data[0] % ARRAY_SIZE(paths)]);
	return 0;
}

static const struct fuzz_seed seeds[] = {
	FUZZ_SEED("\0\2\10\0\0\0"
		  "12345678"),
	FUZZ_SEED("\0\4\6abc\4\0\4\7\0\2\2k1234\0\6\2"),
	FUZZ_SEED("\0\0\1\2\0\0\1\14\2k1234\0\2\1"),
	FUZZ_SEED("\3\6\2\2\0\0\2\1\0\0\0\10zz"),
	FUZZ_SEED("\0{\"a\":1,\"b\":[{\"a\":2}],\"a\":\"\\u00e9\\ud83d\\ude00\\n\"}"),
	FUZZ_SEED("\3{ \"\\u0061\" : {\"a\" : -1.5e3 , \"d\":true } ,\"d\":null}"),
	FUZZ_SEED("\5{\"a\":{\"x\":\"}\\\"]\",\"a\":{\"c\":[1,{\"c\":2}]}}}"),
};
FUZZ_MAIN(seeds)
