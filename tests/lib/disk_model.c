#include "tests/lib/disk_model.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/buf.h"
#include "core/base/file.h"

#define SECTOR_BYTES 512
#define NO_INODE SIZE_MAX

/* ---- the journal ---- */

struct disk_journal *disk_journal_new(void)
{
	struct disk_journal *j = mmap(NULL, DISK_JOURNAL_BYTES, PROT_READ | PROT_WRITE,
				      MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (j == MAP_FAILED)
		abort();
	j->cap = DISK_JOURNAL_BYTES - sizeof(*j);
	return j;
}

void disk_journal_free(struct disk_journal *j)
{
	munmap(j, DISK_JOURNAL_BYTES);
}

static size_t op_bytes(const struct disk_op *op)
{
	return (sizeof(*op) + op->len + 7) & ~(size_t)7;
}

void disk_journal_add(struct disk_journal *j, const struct disk_op *op, const void *data)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* one process adds */
	size_t at, bytes = op_bytes(op);

	pthread_mutex_lock(&lock);
	at = j->used;
	if (bytes > j->cap - at) {
		j->full = true;
	} else {
		memcpy(j->bytes + at, op, sizeof(*op));
		if (op->len)
			memcpy(j->bytes + at + sizeof(*op), data, op->len);
		j->used = at + bytes;
	}
	pthread_mutex_unlock(&lock);
}

const struct disk_op *disk_journal_next(const struct disk_journal *j, size_t *at)
{
	const struct disk_op *op = (const struct disk_op *)(const void *)(j->bytes + *at);

	if (*at >= j->used)
		return NULL;
	*at += op_bytes(op);
	return op;
}

/* ---- the disk ---- */

enum inode_kind { INODE_FILE, INODE_FOLDER, INODE_SYMLINK };

struct inode {
	enum inode_kind kind;
	uint64_t number; /* the recorder's */
	const char *target; /* of a symbolic link: it comes and goes with its name */
	struct buf durable;
	const struct disk_op **pending; /* writes and truncations */
	size_t n;
	size_t cap;
};

#define ROOT 0 /* the folder's own inode */

/* A name in a folder that was given to an inode, or taken from it (NO_INODE). */
struct link {
	size_t folder;
	const char *name;
	size_t inode;
	bool tied; /* pending: happens with the one before it, or not at all */
};

struct links {
	struct link *items;
	size_t n;
	size_t cap;
};

struct disk {
	struct inode *inodes;
	size_t n;
	size_t cap;
	struct links live; /* what the process sees */
	struct links durable;
	struct links pending; /* in order */
	struct rng rng;
};

static void disk_release(struct disk *d)
{
	for (size_t i = 0; i < d->n; i++) {
		buf_release(&d->inodes[i].durable);
		free(d->inodes[i].pending);
	}
	free(d->inodes);
	free(d->live.items);
	free(d->durable.items);
	free(d->pending.items);
}

static struct link *links_find(const struct links *l, size_t folder, const char *name, size_t len)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->items[i].folder == folder && strncmp(l->items[i].name, name, len) == 0 &&
		    l->items[i].name[len] == '\0')
			return &l->items[i];
	return NULL;
}

static void links_add(struct links *l, const struct link *link)
{
	GROW(l->items, l->n, l->cap);
	l->items[l->n++] = *link;
}

static void links_set(struct links *l, const struct link *to)
{
	struct link *there = links_find(l, to->folder, to->name, strlen(to->name));

	if (to->inode == NO_INODE) {
		if (there)
			*there = l->items[--l->n];
	} else if (there) {
		there->inode = to->inode;
	} else {
		links_add(l, to);
	}
}

/* The folder of the path and its name there; false: nothing is known of the folder. */
static bool find_place(const struct disk *d, const char *path, size_t *folder, const char **name)
{
	const char *slash;

	for (*folder = ROOT; (slash = strchr(path, '/')); path = slash + 1) {
		const struct link *l = links_find(&d->live, *folder, path, (size_t)(slash - path));

		if (!l)
			return false;
		*folder = l->inode;
	}
	*name = path;
	return true;
}

/* The path's inode, or NO_INODE. */
static size_t inode_at(const struct disk *d, const char *path)
{
	const struct link *l;
	const char *name;
	size_t folder;

	if (!*path)
		return ROOT;
	if (!find_place(d, path, &folder, &name))
		return NO_INODE;
	l = links_find(&d->live, folder, name, strlen(name));
	return l ? l->inode : NO_INODE;
}

static void set_name(struct disk *d, const char *path, size_t inode, bool tied)
{
	struct link link = {.inode = inode, .tied = tied};

	if (!find_place(d, path, &link.folder, &link.name))
		return;
	links_set(&d->live, &link);
	links_add(&d->pending, &link);
}

static size_t inode_new(struct disk *d, enum inode_kind kind, uint64_t number)
{
	GROW(d->inodes, d->n, d->cap);
	d->inodes[d->n] = (struct inode){.kind = kind, .number = number};
	return d->n++;
}

static struct inode *inode_find(struct disk *d, uint64_t number)
{
	for (size_t i = d->n; i-- > 0;)
		if (d->inodes[i].kind == INODE_FILE && d->inodes[i].number == number)
			return &d->inodes[i];
	return NULL; /* a file that was not made by open(): RocksDB's LOG */
}

/* ---- playing the journal ---- */

static void resize(struct buf *b, size_t len)
{
	size_t old = b->len;

	if (len > old) {
		buf_reserve(b, len - old);
		memset(b->data + old, 0, len - old);
	}
	b->len = len;
}

static void put(struct buf *to, uint64_t offset, const char *data, size_t len)
{
	if (to->len < offset + len)
		resize(to, offset + len);
	if (len)
		memcpy(to->data + offset, data, len);
}

static void apply(struct buf *to, const struct disk_op *op)
{
	if (op->kind == DISK_TRUNCATE)
		resize(to, op->offset);
	else
		put(to, op->offset, op->data, op->len);
}

static void sync_file(struct inode *inode)
{
	for (size_t i = 0; i < inode->n; i++)
		apply(&inode->durable, inode->pending[i]);
	inode->n = 0;
}

static void sync_folder(struct disk *d, size_t folder)
{
	size_t kept = 0;

	for (size_t i = 0; i < d->pending.n; i++) {
		if (d->pending.items[i].folder == folder)
			links_set(&d->durable, &d->pending.items[i]);
		else
			d->pending.items[kept++] = d->pending.items[i];
	}
	d->pending.n = kept;
}

static void sync_all(struct disk *d)
{
	for (size_t i = 0; i < d->n; i++)
		sync_file(&d->inodes[i]);
	for (size_t i = 0; i < d->pending.n; i++)
		links_set(&d->durable, &d->pending.items[i]);
	d->pending.n = 0;
}

static const char *second_path(const struct disk_op *op)
{
	return op->data + strlen(op->data) + 1;
}

static void rename_it(struct disk *d, const struct disk_op *op)
{
	size_t inode = inode_at(d, op->data);

	if (inode == NO_INODE)
		return;
	set_name(d, second_path(op), inode, false);
	set_name(d, op->data, NO_INODE, d->inodes[inode].kind == INODE_FOLDER);
}

static void play_name(struct disk *d, const struct disk_op *op)
{
	size_t inode;

	switch ((enum disk_op_kind)op->kind) {
	case DISK_CREATE:
		set_name(d, op->data, inode_new(d, INODE_FILE, op->inode), false);
		break;
	case DISK_MKDIR:
		set_name(d, op->data, inode_new(d, INODE_FOLDER, 0), false);
		break;
	case DISK_SYMLINK:
		inode = inode_new(d, INODE_SYMLINK, 0);
		d->inodes[inode].target = second_path(op);
		set_name(d, op->data, inode, false);
		break;
	case DISK_LINK:
		inode = inode_at(d, op->data);
		if (inode != NO_INODE)
			set_name(d, second_path(op), inode, false);
		break;
	case DISK_UNLINK:
		set_name(d, op->data, NO_INODE, false);
		break;
	default:
		rename_it(d, op);
		break;
	}
}

static void play(struct disk *d, const struct disk_op *op, bool lies)
{
	struct inode *inode;
	size_t folder;

	switch ((enum disk_op_kind)op->kind) {
	case DISK_WRITE:
	case DISK_TRUNCATE:
		inode = inode_find(d, op->inode);
		if (inode) {
			GROW(inode->pending, inode->n, inode->cap);
			inode->pending[inode->n++] = op;
		}
		break;
	case DISK_SYNC:
		inode = inode_find(d, op->inode);
		if (inode && !lies)
			sync_file(inode);
		break;
	case DISK_SYNC_FOLDER:
		folder = inode_at(d, op->data);
		if (folder != NO_INODE && !lies)
			sync_folder(d, folder);
		break;
	case DISK_SYNC_ALL:
		if (!lies)
			sync_all(d);
		break;
	case DISK_MARK:
		break;
	default:
		play_name(d, op);
		break;
	}
}

/* ---- what is left ---- */

/* Some runs lose all, some nothing, most a part. */
static bool survives(struct rng *rng, unsigned of_four)
{
	return rng_below(rng, 4) < of_four;
}

static void apply_torn(struct disk *d, struct buf *to, const struct disk_op *op)
{
	uint64_t from = 0, end = op->len;

	if (op->kind == DISK_WRITE && op->len > 1 && rng_below(&d->rng, 3) == 0) {
		uint64_t place = op->offset + rng_below(&d->rng, op->len);
		uint64_t edge = place / SECTOR_BYTES * SECTOR_BYTES;

		edge = edge > op->offset ? edge - op->offset : 0;
		if (rng_below(&d->rng, 2))
			from = edge;
		else
			end = edge;
		put(to, op->offset + from, op->data + from, end - from);
		return;
	}
	apply(to, op);
}

/* In each folder the first so many changes of names survive. */
static void lose_names(struct disk *d)
{
	unsigned of_four = (unsigned)rng_below(&d->rng, 5);
	bool *closed = xcalloc(d->n, sizeof(*closed)), kept = false;

	for (size_t i = 0; i < d->pending.n; i++) {
		const struct link *change = &d->pending.items[i];

		if (!change->tied)
			kept = !closed[change->folder] && survives(&d->rng, of_four);
		if (kept)
			links_set(&d->durable, change);
		else
			closed[change->folder] = true;
	}
	free(closed);
}

static void lose_data(struct disk *d)
{
	unsigned of_four = (unsigned)rng_below(&d->rng, 5);

	for (size_t i = 0; i < d->n; i++)
		for (size_t p = 0; p < d->inodes[i].n; p++)
			if (survives(&d->rng, of_four))
				apply_torn(d, &d->inodes[i].durable, d->inodes[i].pending[p]);
}

static enum status lay_out_file(const struct inode *inode, const char *path, struct err *err)
{
	AUTO(closep) int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);

	if (fd < 0)
		return err_errno(err, errno, "%s", path);
	return fd_write_all(fd, inode->durable.data, inode->durable.len, path, err);
}

/* What has lost its folder is lost. */
static enum status lay_out(const struct disk *d, size_t folder, const char *to, struct err *err)
{
	enum status st = ST_OK;

	for (size_t i = 0; st == ST_OK && i < d->durable.n; i++) {
		const struct link *link = &d->durable.items[i];
		const struct inode *inode = &d->inodes[link->inode];
		AUTO(freep) char *path = xasprintf("%s/%s", to, link->name);

		if (link->folder != folder)
			continue;
		if (inode->kind == INODE_FILE) {
			st = lay_out_file(inode, path, err);
		} else if (inode->kind == INODE_SYMLINK) {
			if (symlink(inode->target, path) < 0)
				st = err_errno(err, errno, "%s", path);
		} else {
			st = mkdir(path, 0777) < 0 ? err_errno(err, errno, "%s", path)
						   : lay_out(d, link->inode, path, err);
		}
	}
	return st;
}

enum status disk_after_loss(const struct disk_journal *j, const struct disk_loss *loss,
			    const char *folder, struct err *err)
{
	AUTO(disk_release) struct disk d = {.rng = rng_seeded(loss->seed)};
	const struct disk_op *op;
	size_t at = 0;

	(void)inode_new(&d, INODE_FOLDER, 0);
	for (size_t n = 0; n < loss->cut && (op = disk_journal_next(j, &at)); n++)
		play(&d, op, loss->lies);
	lose_names(&d);
	lose_data(&d);
	return lay_out(&d, ROOT, folder, err);
}
