/* Shared libraries that are loaded when they are first needed: what a command does not
 * use takes no time of its start. With all that they need in turn libcurl,
 * libmicrohttpd and RocksDB took three quarters of it. */
#ifndef TIDEMARK_BASE_LIBRARY_H
#define TIDEMARK_BASE_LIBRARY_H

#include <stddef.h>

/* Loads the library (its file's name, libcurl.so.4) and fills functions, an array of n
 * pointers, with what it has under these names. Where it is not there the process ends
 * with a message and exit code 127, as when the system cannot load what a program is
 * linked to. Once for each library; it stays loaded. */
void library_load(const char *file, const char *const *names, void **functions, size_t n);

#endif
