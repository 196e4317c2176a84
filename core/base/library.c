#include "core/base/library.h"

#include <dlfcn.h>
#include <stdio.h>
#include <unistd.h>

#define EXIT_NO_LIBRARY 127

void library_load(const char *file, const char *const *names, void **functions, size_t n)
{
	void *library = dlopen(file, RTLD_LAZY | RTLD_LOCAL);

	for (size_t i = 0; library && i < n; i++) {
		functions[i] = dlsym(library, names[i]);
		if (!functions[i])
			library = NULL;
	}
	if (library)
		return;
	fprintf(stderr, "tidemark: error while loading shared libraries: %s\n", dlerror());
	_exit(EXIT_NO_LIBRARY);
}
