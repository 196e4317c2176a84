/* The oracle of a stream: reads a connector's line in a lake and says whether
 * each visible record of a fake Kafka is there exactly once, in order, in the
 * folder that its value says, and in the file and at the row that the offsets say, and whether the
 * checkpoints' ranges and losses account for every offset. It uses nothing of connector/ but the
 * documents of a checkpoint.
 *
 * Each function returns true, or false with the reason in why. */
#ifndef TIDEMARK_TESTS_STREAM_ORACLE_H
#define TIDEMARK_TESTS_STREAM_ORACLE_H

#include "connector/history/checkpoint.h"
#include "tests/lib/fake_kafka.h"

struct stream_oracle {
	struct lake *lake;
	const struct row_layout *layout;
	const struct fake_kafka *kafka;
	/* Told of each file of the head, where it is not NULL; ctx is its own. */
	bool (*saw)(void *ctx, const struct lake_entry *entry, struct buf *why);
	void *ctx;
	/* skips that were asked for, and may be recorded as lost */
	const struct loss *skips;
	size_t n_skips;
};

/* The checkpoints from head back along tidemark.previous, newest first. */
struct line_of_checkpoints {
	struct checkpoint *items;
	size_t n;
	size_t cap;
};

void line_of_checkpoints_release(struct line_of_checkpoints *line);
MUST_CHECK bool oracle_read_line(struct lake *lake, const struct lake_id *head,
				 struct line_of_checkpoints *out, struct buf *why);

/* A commit's files without Tidemark's own documents: "path checksum". */
struct file_list {
	char **items;
	size_t n;
	size_t cap;
};

void file_list_release(struct file_list *list);
/* Without what begins with skip (NULL: nothing). */
MUST_CHECK bool oracle_files(struct lake *lake, const struct lake_id *commit, const char *skip,
			     struct file_list *out, struct buf *why);
/* Is all of a in b? */
bool file_list_subset(const struct file_list *a, const struct file_list *b);

/* The checkpoint and all before it, and the files of its tree. */
MUST_CHECK bool oracle_check(const struct stream_oracle *o, const struct lake_id *head,
			     struct buf *why);

/* P' by the definition: the newest checkpoint on the line all of whose files
 * `shown` has (none: nothing is shown). */
MUST_CHECK bool oracle_show(struct lake *lake, const struct line_of_checkpoints *line,
			    const struct lake_id *shown, struct lake_id *out, struct buf *why);

/* What target_resolve() says, by looking at every checkpoint of the line: its
 * index, or -1. */
int oracle_by_offset(const struct line_of_checkpoints *line, const char *topic, int32_t partition,
		     int64_t offset);
int oracle_by_time(const struct line_of_checkpoints *line, int64_t time_ms);
int oracle_by_record_time(const struct line_of_checkpoints *line, int64_t time_ms);

#endif
