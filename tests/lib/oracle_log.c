#include "tests/lib/oracle_log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct oracle_stream *oracle_log_stream(struct oracle_log *log, const char *topic,
					uint32_t generation, int32_t partition)
{
	for (size_t i = 0; i < log->n; i++) {
		struct oracle_stream *s = &log->items[i];

		if (s->partition == partition && s->generation == generation &&
		    strcmp(s->topic, topic) == 0)
			return s;
	}
	GROW(log->items, log->n, log->cap);
	log->items[log->n] = (struct oracle_stream){
		.topic = xstrdup(topic), .generation = generation, .partition = partition};
	return &log->items[log->n++];
}

bool oracle_log_load(struct oracle_log *log, const char *path)
{
	FILE *f = fopen(path, "re");
	char topic[256], kind;
	uint32_t generation, crc;
	int32_t partition;
	int64_t offset, sequence;
	int n;

	if (!f)
		return false;
	while ((n = fscanf(f, " %c %255s %" SCNu32 " %" SCNd32 " %" SCNd64 " %" SCNd64 " %" SCNu32,
			   &kind, topic, &generation, &partition, &offset, &sequence, &crc)) == 7) {
		struct oracle_stream *s = oracle_log_stream(log, topic, generation, partition);

		GROW(s->items, s->n, s->cap);
		s->items[s->n++] = (struct oracle_entry){offset, sequence, crc, kind, 0};
	}
	fclose(f);
	return n == EOF;
}

static int by_offset(const void *a, const void *b)
{
	const struct oracle_entry *x = a, *y = b;

	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static int by_from(const void *a, const void *b)
{
	const struct oracle_span *x = a, *y = b;

	return x->from < y->from ? -1 : x->from > y->from;
}

const char *oracle_log_finish(struct oracle_log *log)
{
	for (size_t i = 0; i < log->n; i++) {
		struct oracle_stream *s = &log->items[i];

		if (s->n)
			qsort(s->items, s->n, sizeof(*s->items), by_offset);
		if (s->n_spans)
			qsort(s->spans, s->n_spans, sizeof(*s->spans), by_from);
		for (size_t j = 1; j < s->n; j++) {
			if (s->items[j].offset == s->items[j - 1].offset)
				return "an offset was acknowledged twice";
			if (s->items[j].sequence <= s->items[j - 1].sequence)
				return "sequences do not ascend with the offsets";
		}
	}
	return NULL;
}

void oracle_log_release(struct oracle_log *log)
{
	for (size_t i = 0; i < log->n; i++) {
		free(log->items[i].topic);
		free(log->items[i].items);
		free(log->items[i].spans);
	}
	free(log->items);
	*log = (struct oracle_log){0};
}

struct oracle_entry *oracle_log_find(const struct oracle_stream *stream, int64_t offset)
{
	const struct oracle_entry key = {.offset = offset};

	return stream->n ? bsearch(&key, stream->items, stream->n, sizeof(key), by_offset) : NULL;
}

const struct oracle_span *oracle_span_find(const struct oracle_stream *stream, int64_t offset)
{
	size_t low = 0, high = stream->n_spans;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (stream->spans[middle].to <= offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low < stream->n_spans && stream->spans[low].from <= offset ? &stream->spans[low]
									  : NULL;
}

void oracle_span_add(struct oracle_stream *stream, int64_t from, int64_t to, bool lost)
{
	if (from >= to)
		return;
	GROW(stream->spans, stream->n_spans, stream->cap_spans);
	stream->spans[stream->n_spans++] = (struct oracle_span){from, to, lost};
}
