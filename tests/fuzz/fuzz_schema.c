/* Any text as a schema: what is accepted compiles, and its canonical form is
 * a schema with the same canonical form. */
#include <string.h>

#include "connector/schema/json_encode.h"
#include "connector/schema/walker.h"
#include "tests/lib/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(schema_freep) struct schema *s = NULL;
	AUTO(schema_freep) struct schema *again = NULL;
	AUTO(walker_freep) struct walker *w = NULL;
	AUTO(buf_release) struct buf first = BUF_INIT;
	AUTO(buf_release) struct buf second = BUF_INIT;
	char slack[WALKER_SLACK] = {0};

	if (schema_parse((const char *)data, size, &s, NULL) != ST_OK)
		return 0;
	w = walker_new(s);
	(void)!walker_check(w, slack, 0);
	(void)!json_encode_prepare(s, NULL);
	schema_canonical(s, &first);
	FUZZ_CHECK(schema_parse(first.data, first.len, &again, NULL) == ST_OK);
	schema_canonical(again, &second);
	FUZZ_CHECK(first.len == second.len && memcmp(first.data, second.data, first.len) == 0);
	return 0;
}

static const struct fuzz_seed seeds[] = {
	FUZZ_SEED("\"string\""),
	FUZZ_SEED("[\"null\",\"int\",{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}]"),
	FUZZ_SEED("{\"type\":\"record\",\"name\":\"a.R\",\"namespace\":\"x\",\"fields\":[{\"name\":"
		  "\"f\",\"type\":\"int\",\"default\":1,\"aliases\":[\"g\"]},{\"name\":\"r\","
		  "\"type\":"
		  "[\"null\",\"a.R\"],\"default\":null}]}"),
	FUZZ_SEED("{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\",\"B\"],\"default\":\"A\"}"),
	FUZZ_SEED("{\"type\":\"fixed\",\"name\":\"F\",\"size\":16,\"logicalType\":\"decimal\","
		  "\"precision\":9,\"scale\":2}"),
	FUZZ_SEED("{\"type\":\"array\",\"items\":{\"type\":\"map\",\"values\":\"bytes\"}}"),
};
FUZZ_MAIN(seeds)
