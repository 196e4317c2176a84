/* Dead letters of one topic: rows of an Avro container (schemas/deadletter.avsc)
 * at _deadletters/<connector>/<topic>/<topic>+<p>+<first offset>.avro, one file
 * a partition and checkpoint. A row holds the original key, value, headers and
 * timestamp, and Kafka Connect's error context. Same thread and determinism
 * rules as partition_writer.h. */
#ifndef TIDEMARK_WRITER_DEADLETTER_WRITER_H
#define TIDEMARK_WRITER_DEADLETTER_WRITER_H

#include "connector/writer/partition_writer.h"

#define DEADLETTER_FOLDER "_deadletters/"

struct deadletter_writer;
struct deadletter_writer *deadletter_writer_new(struct lake *lake, const char *connector,
						const char *topic, int32_t partition,
						uint32_t generation);
void deadletter_writer_free(struct deadletter_writer *w);
AUTO_DESTRUCTOR(struct deadletter_writer, deadletter_writer_free)
MUST_CHECK enum status deadletter_writer_append(struct deadletter_writer *w, const struct record *r,
						int task, const struct poison *poison,
						const char *message, struct err *err);
uint64_t deadletter_writer_records(const struct deadletter_writer *w);
MUST_CHECK enum status deadletter_writer_finish(struct deadletter_writer *w,
						struct written_files *out, struct err *err);

#endif
