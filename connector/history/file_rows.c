#include "connector/history/file_rows.h"

#include "connector/writer/offset_runs.h"

const char *file_runs_read(const char *text, const struct file_name *name, uint64_t *rows,
			   const char *(*add)(void *ctx, const struct file_name *name, int64_t from,
					      int64_t to),
			   void *ctx)
{
	int64_t from, to, last = -1;
	const char *why = NULL;

	*rows = 0;
	while (!why && offset_runs_next(&text, &from, &to)) {
		if (from <= last)
			return "its offsets do not ascend";
		if (last < 0 && from != name->first_offset)
			return "its first offset is not that of its name";
		*rows += (uint64_t)(to - from) + 1;
		last = to;
		why = add(ctx, name, from, to);
	}
	if (!why && (*text || last < 0))
		return "its offsets cannot be read";
	return why;
}
