#include "tests/lib/parquet_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/file.h"
#include "tests/lib/must.h"
#include "tests/lib/read_back.h"
#include "tests/lib/tempdir.h"

int parquet_world_open(void **state)
{
	struct parquet_world *w = xcalloc(1, sizeof(*w));
	struct lake_options options = {.create = true};

	w->dir = tempdir_new();
	w->file = xasprintf("%s/file", w->dir);
	MUST(lake_open(w->dir, &options, &w->lake, &err));
	MUST(parquet_engine_new(&w->engine, &err));
	*state = w;
	return 0;
}

int parquet_world_close(void **state)
{
	struct parquet_world *w = *state;

	parquet_engine_free(w->engine);
	lake_close(w->lake);
	free(w->file);
	tempdir_remove(&w->dir);
	free(w);
	return 0;
}

void parquet_world_read_back(struct parquet_world *w, struct written_file *f, struct buf *out)
{
	read_back(w->lake, f, out);
	MUST(file_replace(w->file, out->data, out->len, &err));
}
