#include "connector/history/file_rows.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool file_place_parse(const char *path, struct file_place *out)
{
	const char *name = strrchr(path, '/');
	const char *plus;
	int n = 0;

	name = name ? name + 1 : path;
	plus = strchr(name, '+');
	if (!plus || (size_t)(plus - name) >= sizeof(out->topic))
		return false;
	memcpy(out->topic, name, (size_t)(plus - name));
	out->topic[plus - name] = '\0';
	out->generation = 0;
	if (sscanf(plus, "+%" SCNd32 "+%" SCNd64 "%n", &out->partition, &out->first, &n) != 2)
		return false;
	return plus[n] != '+' || sscanf(plus + n, "+g%" SCNu32, &out->generation) == 1;
}

/* The next run; false at the end, or where the text is none (*text is kept). */
static bool next_run(const char **text, int64_t *from, int64_t *to)
{
	char *end;

	if (**text < '0' || **text > '9')
		return false;
	*from = *to = strtoll(*text, &end, 10);
	if (*end == '-')
		*to = strtoll(end + 1, &end, 10);
	if (*end && (*end != ',' || !end[1]))
		return false;
	*text = *end ? end + 1 : end;
	return true;
}

const char *file_runs_read(const char *text, const struct file_place *place, uint64_t *rows,
			   const char *(*add)(void *ctx, const struct file_place *place,
					      int64_t from, int64_t to),
			   void *ctx)
{
	int64_t from, to, last = -1;
	const char *why = NULL;

	*rows = 0;
	while (!why && next_run(&text, &from, &to)) {
		if (to < from || from <= last)
			return "its offsets do not ascend";
		if (last < 0 && from != place->first)
			return "its first offset is not that of its name";
		*rows += (uint64_t)(to - from) + 1;
		last = to;
		why = add(ctx, place, from, to);
	}
	if (!why && (*text || last < 0))
		return "its offsets cannot be read";
	return why;
}
