/* Gates without Kafka: a connector's line in a lake of its own, files as the
 * writers make them, and gates given as properties. What is judged is the
 * ingest head against what was shown. Each function fails the test that calls
 * it where the lake does not do its part. */
#ifndef TIDEMARK_TESTS_GATE_STEPS_H
#define TIDEMARK_TESTS_GATE_STEPS_H

#include <stdatomic.h>

#include "connector/gates/gates.h"
#include "tests/lib/history_steps.h"

struct gate_world {
	char *dir;
	struct lake *lake;
	struct history h; /* topic "t" */
	struct roots roots;
	struct lake_id shown; /* what the target holds: the first commit, or a checkpoint */
	struct lake_id from; /* the same, none for the first commit */
	uint64_t history[8];
	size_t n_history;
	bool steering;
	atomic_bool stop;
	struct clock *clock;
	const char *schema; /* that the configuration knows; NULL: none */
};

void gate_world_open(struct gate_world *w, int partitions);
void gate_world_close(struct gate_world *w);
/* A test with a world of its own, of two partitions. */
int gate_world_setup(void **state);
int gate_world_teardown(void **state);
#define GATE_TEST(f, w)                                                                            \
	cmocka_unit_test_prestate_setup_teardown(f, gate_world_setup, gate_world_teardown, w)

/* How records are written: JSON lines without a codec where all is zero. */
struct gate_format {
	enum file_format format; /* with schema: FORMAT_AVRO, FORMAT_PARQUET; else FORMAT_JSON,
				    FORMAT_BYTES */
	enum file_codec codec;
	const char *schema; /* JSON is converted to it */
};

/* A checkpoint with the values (JSON; NULL: a tombstone) at offsets from `from`
 * on; a value "-" leaves its offset out. Record n is stamped 1000 * its offset. */
void gate_write(struct gate_world *w, const struct gate_format *format, int partition, int64_t from,
		const char *const *values, size_t n);
#define GATE_WRITE(w, format, partition, from, ...)                                                \
	gate_write((w), (format), (partition), (from), (const char *const[]){__VA_ARGS__},         \
		   ARRAY_SIZE(((const char *const[]){__VA_ARGS__})))
/* A file with these bytes, as if it held the offsets, in a checkpoint of its own. */
void gate_write_raw(struct gate_world *w, const char *path, int partition, int64_t from, int64_t to,
		    const char *offsets, const void *data, size_t len);
/* What is committed now is what the target holds. */
void gate_show(struct gate_world *w);

/* Runs the gates of a properties text. */
enum status gate_judge(struct gate_world *w, const char *properties, struct gate_results *out,
		       struct err *err);

/* Asserts the verdict; a reason that must be in the error's text (NULL: any). */
void gate_expect(struct gate_world *w, enum status wanted, const char *reason,
		 const char *properties);

#endif
