/* Which files of objects have been read whole and held what they are called,
 * since this process opened the lake: so that ranged reads and copies hash a
 * file once, not every time. A file that has changed since (inode, size, times)
 * is not among them. Bounded: the newest 8,192. From any thread. */
#ifndef TIDEMARK_EMBEDDED_VERIFIED_H
#define TIDEMARK_EMBEDDED_VERIFIED_H

#include <sys/stat.h>

#include "core/model/hash.h"

struct verified;

struct verified *verified_new(void);
void verified_free(struct verified *v);
bool verified_has(struct verified *v, const struct hash *blob, const struct stat *st);
void verified_add(struct verified *v, const struct hash *blob, const struct stat *st);

#endif
