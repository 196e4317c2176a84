/* A report of gc as JSON: one row a number. */
#include "core/remote/wire.h"

#define NUMBER(member)                                                                             \
	{                                                                                          \
#member, offsetof(struct lake_gc_report, member)                                   \
	}
#define COUNT(member) NUMBER(member.kept), NUMBER(member.freed), NUMBER(member.freed_bytes)

/* All are of 64 bits and not negative. */
static const struct {
	const char *name;
	size_t offset;
} numbers[] = {
	COUNT(commits),
	COUNT(nodes),
	COUNT(small),
	COUNT(files),
	NUMBER(object_bytes),
	NUMBER(expired),
	NUMBER(expired_bytes),
	NUMBER(reflog_dropped),
	NUMBER(temp_files),
	NUMBER(temp_bytes),
	NUMBER(memory_bytes),
	NUMBER(elapsed_ms),
	NUMBER(longest_wait_us),
	NUMBER(uncounted_ms),
};

_Static_assert(sizeof(struct lake_gc_report) == ARRAY_SIZE(numbers) * sizeof(uint64_t),
	       "every member is in the table");

json_t *wire_gc_report(const struct lake_gc_report *report)
{
	json_t *object = json_object();

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		uint64_t n;

		__builtin_memcpy(&n, (const char *)report + numbers[i].offset, sizeof(n));
		json_object_set_new(object, numbers[i].name, json_integer((json_int_t)n));
	}
	return object;
}

bool wire_get_gc_report(const json_t *object, struct lake_gc_report *out)
{
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		uint64_t n;

		if (!wire_get_u64(object, numbers[i].name, &n))
			return false;
		__builtin_memcpy((char *)out + numbers[i].offset, &n, sizeof(n));
	}
	return true;
}
