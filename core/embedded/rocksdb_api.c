#include "core/embedded/rocksdb_api.h"

#include <pthread.h>

#include "core/base/base.h"
#include "core/base/library.h"

struct rocksdb_api rocks;

static void load(void)
{
	static const char *const names[] = {
#define X(name) "rocksdb_" #name,
		ROCKSDB_FUNCTIONS(X)
#undef X
	};

	library_load(TIDEMARK_ROCKSDB, names, (void **)&rocks, ARRAY_SIZE(names));
}

void rocksdb_api_load(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, load);
}
