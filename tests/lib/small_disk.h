/* A disk that can be filled: a tmpfs, in a mount namespace of this process and
 * its children, which ends with them. */
#ifndef TIDEMARK_TESTS_SMALL_DISK_H
#define TIDEMARK_TESTS_SMALL_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* To be called before there are threads. False, with a word on stdout, where
 * this process may not mount. */
bool small_disk_allowed(void);
/* Mounts one at dir, an empty folder. Asserts. */
void small_disk_mount(const char *dir, size_t bytes);
void small_disk_resize(const char *dir, size_t bytes);
void small_disk_unmount(const char *dir);
/* Free bytes. */
uint64_t small_disk_free(const char *dir);
/* Makes the file so large that `left` bytes stay free. */
void small_disk_fill(const char *dir, const char *file, uint64_t left);

#endif
