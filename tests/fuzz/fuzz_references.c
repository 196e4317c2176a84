/* Any two documents as a schema and what it refers to: the result stands
 * alone wherever it is a schema. Parted by a newline. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "connector/schema/references.h"
#include "connector/schema/schema.h"
#include "tests/lib/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *cut = memchr(data, '\n', size);
	AUTO(json_decrefp) json_t *main_doc = NULL;
	AUTO(json_decrefp) json_t *other = NULL;
	AUTO(json_decrefp) json_t *whole = NULL;
	AUTO(schema_freep) struct schema *s = NULL;
	AUTO(freep) char *text = NULL;

	if (!cut)
		return 0;
	main_doc = json_loadb((const char *)data, (size_t)(cut - data), JSON_DECODE_ANY, NULL);
	other = json_loadb((const char *)cut + 1, size - (size_t)(cut - data) - 1, JSON_DECODE_ANY,
			   NULL);
	if (!main_doc || !other)
		return 0;
	if (references_inline(main_doc, &other, 1, &whole, NULL) != ST_OK)
		return 0;
	text = json_dumps(whole, JSON_ENCODE_ANY | JSON_COMPACT);
	FUZZ_CHECK(text);
	(void)!schema_parse(text, strlen(text), &s, NULL);
	return 0;
}

static const struct fuzz_seed seeds[] = {
	FUZZ_SEED("{\"type\":\"record\",\"name\":\"x.R\",\"fields\":[{\"name\":\"a\",\"type\":\"y."
		  "S\"},"
		  "{\"name\":\"b\",\"type\":\"y.T\"}]}\n{\"type\":\"record\",\"name\":\"S\","
		  "\"namespace\""
		  ":\"y\",\"fields\":[{\"name\":\"t\",\"type\":{\"type\":\"fixed\",\"name\":\"T\","
		  "\"size\":3}},{\"name\":\"s\",\"type\":[\"null\",\"S\"]}]}"),
	FUZZ_SEED("\"E\"\n{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\"]}"),
	FUZZ_SEED("[\"null\",{\"type\":\"array\",\"items\":\"E\"},{\"type\":\"map\",\"values\":"
		  "\"E\"}]\n"
		  "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\"]}"),
};
FUZZ_MAIN(seeds)
