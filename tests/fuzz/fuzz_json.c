/* Any bytes as JSON: the validator's line is one line of JSON that jansson
 * reads too, and what becomes Avro is a value of the schema, of a schema that is made from
 * the object itself too. */
#include <jansson.h>
#include <string.h>

#include "connector/schema/json_encode.h"
#include "connector/schema/walker.h"
#include "connector/schema/compiled.h"
#include "connector/writer/json_line.h"
#include "connector/writer/json_shape.h"
#include "tests/lib/fuzz.h"

static const char schema_text[] =
	"{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"a\",\"type\":[\"null\","
	"\"int\","
	"\"double\",\"string\",{\"type\":\"array\",\"items\":\"R\"}],\"default\":null},"
	"{\"name\":\"d\",\"type\":[\"null\",{\"type\":\"bytes\",\"logicalType\":\"decimal\","
	"\"precision\":9,\"scale\":3}],\"default\":null},{\"name\":\"t\",\"type\":[\"null\",{"
	"\"type\":"
	"\"long\",\"logicalType\":\"timestamp-micros\"}],\"default\":null},{\"name\":\"m\","
	"\"type\":"
	"[\"null\",{\"type\":\"map\",\"values\":[\"float\",\"boolean\",\"R\"]}],\"default\":null}]"
	"}";

static struct schema *schema;
static struct walker *walker;

static void check_line(const uint8_t *data, size_t size)
{
	AUTO(buf_release) struct buf flat = BUF_INIT;
	struct json_line line;
	json_error_t e;
	json_t *j;

	if (!json_line_check(data, size, &line, NULL, NULL))
		return;
	json_line_flatten(&line, &flat);
	FUZZ_CHECK(flat.len > 0 && !memchr(flat.data, '\n', flat.len));
	j = json_loadb(flat.data, flat.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &e);
	/* Names with a NUL, and numbers beyond 64 bits, are jansson's limits. */
	FUZZ_CHECK(j || json_error_code(&e) == json_error_numeric_overflow ||
		   json_error_code(&e) == json_error_null_byte_in_key);
	json_decref(j);
}

static void check_avro(const uint8_t *data, size_t size)
{
	AUTO(buf_release) struct buf out = BUF_INIT;

	if (!schema) {
		FUZZ_CHECK(schema_parse(schema_text, strlen(schema_text), &schema, NULL) == ST_OK);
		FUZZ_CHECK(json_encode_prepare(schema, NULL) == ST_OK);
		walker = walker_new(schema);
	}
	if (json_encode(schema, (const char *)data, size, &out, NULL) != ST_OK) {
		FUZZ_CHECK(out.len == 0);
		return;
	}
	buf_reserve(&out, WALKER_SLACK);
	FUZZ_CHECK(walker_check(walker, out.data, out.len));
}

static void check_shape(const uint8_t *data, size_t size)
{
	AUTO(json_shape_freep) struct json_shape *shape = NULL;
	AUTO(compiled_schema_freep) struct compiled_schema *own = NULL;
	AUTO(buf_release) struct buf json = BUF_INIT;
	AUTO(buf_release) struct buf row = BUF_INIT;
	struct json_line line;
	enum shape_fit fit;
	bool added;

	if (!json_line_check(data, size, &line, NULL, NULL) || line.text[0] != '{')
		return;
	shape = json_shape_new(NULL);
	added = json_shape_add(shape, line.text);
	fit = json_shape_row(shape, line.text, &row);
	FUZZ_CHECK(added == (fit == SHAPE_FITS));
	json_shape_schema(shape, &json);
	FUZZ_CHECK(compiled_schema_of_text(json.data, &own, NULL) == ST_OK);
	if (!added)
		return;
	buf_reserve(&row, WALKER_SLACK);
	FUZZ_CHECK(walker_check(own->walker, row.data, row.len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_line(data, size);
	check_avro(data, size);
	check_shape(data, size);
	return 0;
}

static const struct fuzz_seed seeds[] = {
	FUZZ_SEED("{}"),
	FUZZ_SEED("{\"a\":1,\"d\":\"-12.345\",\"t\":\"2026-11-21T08:45:39.123456Z\"}"),
	FUZZ_SEED("{\"a\":[{\"a\":\"\\u00e9\\ud83d\\ude00\"},{\"a\":1.5}],\"m\":{\"k\":true,\"l\":{"
		  "}}}"),
	FUZZ_SEED(" {\n\"d\" : 1e-2 ,\r\n\"m\":{\"R\":{\"R\":{}}}}\t"),
	FUZZ_SEED("{\"a\":{\"array\":[]},\"t\":{\"long\":7}}"),
	FUZZ_SEED("[1,-0.5E+3,null,true,\"\xe2\x82\xac\"]"),
};
FUZZ_MAIN(seeds)
