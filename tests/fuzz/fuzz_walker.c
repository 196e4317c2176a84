/* Any bytes to the walker: it says what the plain explainer says. The first
 * byte chooses the schema. */
#include <string.h>

#include "connector/schema/walker.h"
#include "tests/lib/fuzz.h"

static const char *const schemas[] = {
	"{\"type\":\"record\",\"name\":\"O\",\"fields\":[{\"name\":\"a\",\"type\":\"long\"},"
	"{\"name\":\"b\",\"type\":[\"null\",\"string\"]},{\"name\":\"c\",\"type\":\"double\"},"
	"{\"name\":\"d\",\"type\":{\"type\":\"array\",\"items\":{\"type\":\"record\",\"name\":"
	"\"I\","
	"\"fields\":[{\"name\":\"s\",\"type\":\"string\"},{\"name\":\"n\",\"type\":\"int\"}]}}},"
	"{\"name\":\"m\",\"type\":[\"null\",{\"type\":\"map\",\"values\":\"string\"}]}]}",
	"{\"type\":\"record\",\"name\":\"T\",\"fields\":[{\"name\":\"l\",\"type\":[\"null\",\"T\"]}"
	","
	"{\"name\":\"k\",\"type\":{\"type\":\"array\",\"items\":\"T\"}}]}",
	"{\"type\":\"array\",\"items\":\"null\"}",
	"[\"null\",\"boolean\",\"bytes\",{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\","
	"\"B\"]}"
	",{\"type\":\"fixed\",\"name\":\"F\",\"size\":3},\"float\",[\"null\"]]",
	"{\"type\":\"map\",\"values\":{\"type\":\"map\",\"values\":[\"long\",\"null\"]}}",
};

static struct compiled {
	struct schema *schema;
	struct walker *walker;
} compiled[ARRAY_SIZE(schemas)];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct compiled *c;
	AUTO(freep) uint8_t *slack = NULL;
	enum status st;
	size_t i;

	if (!size)
		return 0;
	i = data[0] % ARRAY_SIZE(schemas);
	c = &compiled[i];
	if (!c->schema && schema_parse(schemas[i], strlen(schemas[i]), &c->schema, NULL) != ST_OK)
		return 0; /* one of them is not Avro, and stays so */
	if (!c->walker)
		c->walker = walker_new(c->schema);
	slack = xmalloc(size - 1 + WALKER_SLACK);
	memcpy(slack, data + 1, size - 1);
	memset(slack + size - 1, data[0], WALKER_SLACK);
	st = schema_explain(c->schema, data + 1, size - 1, NULL);
	if (walker_check(c->walker, slack, size - 1))
		FUZZ_CHECK(st == ST_OK);
	/* The two count depth each in its way. */
	else if (size < WALKER_MAX_DEPTH)
		FUZZ_CHECK(st == ST_POISON);
	return 0;
}

static const struct fuzz_seed seeds[] = {
	FUZZ_SEED("\0\2\2\6abc12345678\4\2x\2\4yz\4\0\2\2\2k\2v\0"),
	FUZZ_SEED("\0\2\0"
		  "12345678\3\12\2x\2\4yz\4\0\0"),
	FUZZ_SEED("\1\2\0\0\2\0\0\0"),
	FUZZ_SEED("\1\2\2\2\2\2\2\0\0\0\0\0\0\0\0"),
	FUZZ_SEED("\2\4\0"),
	FUZZ_SEED("\2\xfe\xff\xff\xff\xff\xff\xff\xff\xff\1\0"),
	FUZZ_SEED("\4\2\2a\2\2b\0\4\0\0"),
};
FUZZ_MAIN(seeds)
