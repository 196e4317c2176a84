#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <string.h>

#include "tests/lib/lake_steps.h"
#include "tests/lib/must.h"
#include "tests/lib/tempdir.h"

static const struct lake_options own = {.access = LAKE_OWN, .create = true, .committer = "tester"};

struct lake *group_lake;
static char *group_dir;

int group_lake_open(void **state)
{
	(void)state;
	group_dir = tempdir_new();
	group_lake = open_lake(group_dir);
	return 0;
}

int group_lake_close(void **state)
{
	(void)state;
	lake_close(group_lake);
	tempdir_remove(&group_dir);
	return 0;
}

struct lake *open_lake(const char *dir)
{
	struct lake *lake = NULL;

	MUST(lake_open(dir, &own, &lake, &err));
	return lake;
}

struct lake_id head_of(struct lake *lake, const char *ref)
{
	struct lake_id id;

	MUST(lake_resolve(lake, ref, &id, &err));
	return id;
}

char *noise(size_t len, uint64_t seed)
{
	struct rng rng = rng_seeded(seed);
	char *data = xmalloc(len);

	for (size_t i = 0; i < len; i++)
		data[i] = (char)rng_next(&rng);
	return data;
}

struct lake_id commit_bytes(struct lake *lake, const char *branch, const char *path,
			    const void *data, size_t len)
{
	AUTO(lake_txn_freep) struct lake_txn *txn = NULL;
	struct lake_id head = head_of(lake, branch);
	struct lake_id id;

	MUST(lake_txn_begin(lake, &head, &txn, &err));
	MUST(lake_txn_put_bytes(txn, path, data, len, NULL, NULL, &err));
	MUST(lake_txn_commit(txn, branch, &head, "test", &id, &err));
	return id;
}

void assert_content(struct lake *lake, const char *ref, const char *path, const void *data,
		    size_t len)
{
	AUTO(buf_release) struct buf found = BUF_INIT;
	struct lake_id id = head_of(lake, ref);

	MUST(lake_read(lake, &id, path, len + 1, &found, &err));
	assert_int_equal(found.len, len);
	assert_memory_equal(buf_str(&found), data, len);
}

void stage(struct lake *lake, const char *branch, const char *path, const char *text)
{
	struct lake_upload *up = NULL;

	MUST(lake_upload_open(lake, &up, &err));
	MUST(lake_upload_write(up, text, strlen(text), &err));
	MUST(lake_upload_finish(up, &err));
	MUST(lake_stage_put(lake, branch, path, up, NULL, NULL, &err));
}

void make_branch(struct lake *lake, const char *name)
{
	struct lake_move move = {.kind = LAKE_BRANCH, .name = name, .to = head_of(lake, "main")};

	MUST(lake_refs_move(lake, &move, 1, "test", &err));
}
