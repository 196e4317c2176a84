/* The keys of the lake's metadata: a letter, then what is named.
 *
 *   n HASH            a tree's node
 *   c ID              a commit
 *   b HASH            a blob of less than 16 KiB
 *   r b|t NAME        a ref: the id of its commit
 *   l SEQUENCE        a reflog entry (sequence: 8 bytes, big-endian)
 *   m NAME 0 SEQUENCE which reflog entries are about this name (no value)
 *   s BRANCH 0 PATH   a staged change (staging.c has its bytes)
 *   p BRANCH          a protected branch: the connector's name, or nothing
 *   i                 the lake's identity: 16 random bytes
 *   q                 the sequence number of the last synced write
 *   x HASH            an object that gc freed as history: when (8 bytes)
 */
#ifndef TIDEMARK_EMBEDDED_KEYS_H
#define TIDEMARK_EMBEDDED_KEYS_H

#include "core/base/buf.h"
#include "core/lake.h"
#include "core/model/hash.h"

#define KEY_NODE 'n'
#define KEY_COMMIT 'c'

static inline void key_set(struct buf *key, char kind, const void *data, size_t len)
{
	buf_clear(key);
	buf_addc(key, kind);
	buf_add(key, data, len);
}

static inline void key_node(struct buf *key, const struct hash *h)
{
	key_set(key, KEY_NODE, h->bytes, sizeof(h->bytes));
}

static inline void key_commit(struct buf *key, const struct lake_id *id)
{
	key_set(key, KEY_COMMIT, id->bytes, sizeof(id->bytes));
}

static inline void key_blob(struct buf *key, const struct hash *h)
{
	key_set(key, 'b', h->bytes, sizeof(h->bytes));
}

/* name "": the prefix of all of the kind. */
static inline void key_ref(struct buf *key, enum lake_ref_kind kind, const char *name)
{
	key_set(key, 'r', kind == LAKE_BRANCH ? "b" : "t", 1);
	buf_adds(key, name);
}

static inline void key_reflog(struct buf *key, uint64_t sequence)
{
	key_set(key, 'l', "", 0);
	buf_add_be64(key, sequence);
}

/* The prefix of all entries about name. */
static inline void key_reflog_of(struct buf *key, const char *name)
{
	key_set(key, 'm', name, __builtin_strlen(name) + 1);
}

/* path "": the prefix of all of the branch. */
static inline void key_staged(struct buf *key, const char *branch, const char *path)
{
	key_set(key, 's', branch, __builtin_strlen(branch) + 1);
	buf_adds(key, path);
}

static inline void key_protection(struct buf *key, const char *branch)
{
	key_set(key, 'p', branch, __builtin_strlen(branch));
}

static inline void key_expired(struct buf *key, const struct hash *h)
{
	key_set(key, 'x', h->bytes, sizeof(h->bytes));
}

static inline void key_identity(struct buf *key)
{
	key_set(key, 'i', "", 0);
}

static inline void key_sequence(struct buf *key)
{
	key_set(key, 'q', "", 0);
}

#endif
