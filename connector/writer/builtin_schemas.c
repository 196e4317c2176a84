#include "connector/writer/builtin_schemas.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* The build runs at the top of the tree. */
#define EMBED(symbol, path)                                                                        \
	__asm__(".pushsection .rodata\n"                                                           \
		".type " #symbol ", %object\n" #symbol ":\n"                                       \
		".incbin \"" path "\"\n"                                                           \
		".byte 0\n"                                                                        \
		".popsection\n");                                                                  \
	extern const char symbol[] __attribute__((visibility("hidden")))

EMBED(schema_text_tombstone, "schemas/tombstone.avsc");
EMBED(schema_text_deadletter, "schemas/deadletter.avsc");
EMBED(schema_text_kafka, "schemas/kafka.avsc");

static const struct compiled_schema *compiled[BUILTIN_SCHEMAS];

static void compile_all(void)
{
	const char *const texts[BUILTIN_SCHEMAS] = {
		[BUILTIN_TOMBSTONE] = schema_text_tombstone,
		[BUILTIN_DEADLETTER] = schema_text_deadletter,
		[BUILTIN_KAFKA] = schema_text_kafka,
		[BUILTIN_STRING] = "[\"null\",\"string\"]",
		[BUILTIN_BYTES] = "[\"null\",\"bytes\"]",
	};

	for (int i = 0; i < BUILTIN_SCHEMAS; i++) {
		struct compiled_schema *c;

		if (compiled_schema_new(NULL, texts[i], &c, NULL) != ST_OK)
			abort(); /* they are our own */
		compiled[i] = c;
	}
}

const struct compiled_schema *builtin_schema(enum builtin_schema which)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, compile_all);
	return compiled[which];
}

bool builtin_schema_is(enum builtin_schema which, const struct schema *schema)
{
	const struct schema_node *ours = schema_root(builtin_schema(which)->schema);
	const struct schema_node *root = schema_root(schema);

	return root->name && ours->name && strcmp(root->name, ours->name) == 0;
}
