#include "tests/lib/read_back.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/lib/must.h"

void read_back(struct lake *lake, struct written_file *f, struct buf *out)
{
	AUTO(lake_txn_freep) struct lake_txn *txn = NULL;
	struct lake_id head, id;

	buf_clear(out);
	MUST(lake_resolve(lake, "main", &head, &err));
	MUST(lake_txn_begin(lake, &head, &txn, &err));
	MUST(lake_txn_put(txn, f->path, MOVE(f->upload), f->content_type, &f->meta, &err));
	MUST(lake_txn_prepare(txn, &id, &err));
	MUST(lake_read(lake, &id, f->path, (size_t)1 << 30, out, &err));
}
