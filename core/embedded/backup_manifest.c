#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/embedded/backup.h"

#define MANIFEST_MAX_BYTES ((size_t)4 << 30)
#define MANIFEST_VERSION 1
#define STEP_BYTES (1u << 20)

/* ---- lists of files ---- */

static void files_release(struct backup_files *files)
{
	for (size_t i = 0; i < files->n; i++)
		free(files->items[i].name);
	free(files->items);
}

void manifest_release(struct manifest *m)
{
	files_release(&m->meta);
	files_release(&m->blobs);
	*m = (struct manifest){.number = 0};
}

void backup_files_add(struct backup_files *files, const struct hash *hash, uint64_t size,
		      const char *name)
{
	GROW(files->items, files->n, files->cap);
	files->items[files->n++] = (struct backup_file){*hash, size, name ? xstrdup(name) : NULL};
}

static int by_hash(const void *x, const void *y)
{
	return memcmp(((const struct backup_file *)x)->hash.bytes,
		      ((const struct backup_file *)y)->hash.bytes, sizeof(struct hash));
}

void backup_files_sort(struct backup_files *files)
{
	if (files->n)
		qsort(files->items, files->n, sizeof(*files->items), by_hash);
}

const struct backup_file *backup_files_find(const struct backup_files *files,
					    const struct hash *hash)
{
	const struct backup_file key = {.hash = *hash};

	return files->n ? bsearch(&key, files->items, files->n, sizeof(key), by_hash) : NULL;
}

char *backup_blob_path(const char *dir, const struct hash *blob)
{
	char hex[65];

	hash_hex(blob, hex);
	return xasprintf("%s/blobs/%.2s/%s", dir, hex, hex);
}

/* ---- writing ---- */

static void add_files(struct buf *out, const char *word, const struct backup_files *files)
{
	for (size_t i = 0; i < files->n; i++) {
		const struct backup_file *f = &files->items[i];
		char hex[65];

		hash_hex(&f->hash, hex);
		buf_addf(out, "%s %s %" PRIu64 "%s%s\n", word, hex, f->size, f->name ? " " : "",
			 f->name ? f->name : "");
	}
}

enum status manifest_write(const char *dir, const struct manifest *m, struct err *err)
{
	AUTO(freep) char *path = xasprintf("%s/BACKUP", dir);
	AUTO(buf_release) struct buf text = BUF_INIT;
	struct hash sum;
	char hex[65];

	buf_addf(&text,
		 "tidemark backup 1\nlake %s\ntime %" PRId64 "\nsequence %" PRIu64
		 "\nnumber %" PRIu64 "\n",
		 m->lake, m->time_ms, m->sequence, m->number);
	add_files(&text, "meta", &m->meta);
	add_files(&text, "blob", &m->blobs);
	hash_of(text.data, text.len, &sum);
	hash_hex(&sum, hex);
	buf_addf(&text, "end %s\n", hex);
	return file_replace(path, text.data, text.len, err);
}

/* ---- reading ---- */

static bool parse_hash(const char *hex, struct hash *out)
{
	char text[65];
	struct lake_id id;

	snprintf(text, sizeof(text), "%.64s", hex);
	if (!lake_id_parse(text, &id))
		return false;
	memcpy(out->bytes, id.bytes, sizeof(out->bytes));
	return true;
}

/* "<hash> <size>[ <name>]" */
static bool parse_file(char *rest, bool named, struct backup_files *files)
{
	struct hash hash;
	uint64_t size;
	char *end;

	if (strlen(rest) < 66 || rest[64] != ' ' || !parse_hash(rest, &hash))
		return false;
	size = strtoull(rest + 65, &end, 10);
	if (named ? *end != ' ' || !end[1] || strchr(end + 1, '/') : *end != '\0')
		return false;
	backup_files_add(files, &hash, size, named ? end + 1 : NULL);
	return true;
}

static bool parse_line(char *line, struct manifest *m)
{
	char *rest = strchr(line, ' ');

	if (!rest)
		return false;
	*rest++ = '\0';
	if (strcmp(line, "blob") == 0)
		return parse_file(rest, false, &m->blobs);
	if (strcmp(line, "meta") == 0)
		return parse_file(rest, true, &m->meta);
	if (strcmp(line, "lake") == 0 && strlen(rest) == sizeof(m->lake) - 1)
		memcpy(m->lake, rest, sizeof(m->lake));
	else if (strcmp(line, "time") == 0)
		m->time_ms = strtoll(rest, NULL, 10);
	else if (strcmp(line, "sequence") == 0)
		m->sequence = strtoull(rest, NULL, 10);
	else if (strcmp(line, "number") == 0)
		m->number = strtoull(rest, NULL, 10);
	else
		return false;
	return true;
}

static bool parse(struct buf *text, struct manifest *m)
{
	static const char first[] = "tidemark backup 1\n";
	const size_t tail = strlen("end \n") + 64;
	struct hash sum, stated;
	char *save = NULL, *line, *end;

	if (text->len < strlen(first) + tail || memcmp(text->data, first, strlen(first)) != 0)
		return false;
	end = text->data + text->len - tail;
	hash_of(text->data, (size_t)(end - text->data), &sum);
	if (memcmp(end, "end ", 4) != 0 || !parse_hash(end + 4, &stated) ||
	    !hash_equal(&sum, &stated))
		return false;
	*end = '\0';
	for (line = strtok_r(text->data + strlen(first), "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save))
		if (!parse_line(line, m))
			return false;
	return m->lake[0] && m->number;
}

/* A later version is refused before anything else is made of it. */
static enum status check_version(const char *path, const struct buf *text, struct err *err)
{
	static const char word[] = "tidemark backup ";
	unsigned long version;

	if (strncmp(buf_str(text), word, strlen(word)) != 0)
		return ST_OK; /* damaged */
	version = strtoul(text->data + strlen(word), NULL, 10);
	if (version <= MANIFEST_VERSION)
		return ST_OK;
	return err_set(err, ST_USAGE,
		       "%s has version %lu, and this program reads up to %d; use a newer tidemark",
		       path, version, MANIFEST_VERSION);
}

enum status manifest_read(const char *dir, struct manifest *out, struct err *err)
{
	AUTO(freep) char *path = xasprintf("%s/BACKUP", dir);
	AUTO(buf_release) struct buf text = BUF_INIT;
	AUTO(manifest_release) struct manifest m = {.number = 0};
	enum status st;

	if (!file_exists(path))
		return err_set(err, ST_NOT_FOUND,
			       "%s holds no complete backup (it has no BACKUP); `tidemark backup` "
			       "makes one",
			       dir);
	st = file_read(path, MANIFEST_MAX_BYTES, &text, err);
	if (st == ST_OK)
		st = check_version(path, &text, err);
	if (st != ST_OK)
		return st;
	if (!parse(&text, &m))
		return err_set(err, ST_DAMAGED,
			       "%s is damaged; restore another backup, or make this one anew by "
			       "`tidemark backup`",
			       path);
	*out = m;
	m = (struct manifest){.number = 0};
	return ST_OK;
}

/* ---- copying ---- */

/* Shares the file's extents where the file system can; then it is only read. */
static bool share(int from, int to)
{
	return ioctl(to, FICLONE, from) == 0;
}

enum status copy_hashed(const char *from, const char *to, struct hash *hash_out, uint64_t *size_out,
			enum status (*step)(void *ctx, uint64_t bytes, struct err *err), void *ctx,
			struct err *err)
{
	AUTO(freep) char *data = xmalloc(STEP_BYTES);
	AUTO(closep) int in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	AUTO(closep) int out = -1;
	struct hasher *hasher;
	uint64_t offset = 0;
	size_t n = 0;
	bool shared;
	enum status st = ST_OK;

	if (in < 0)
		return err_errno(err, errno, "cannot open %s", from);
	out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (out < 0)
		return err_errno(err, errno == ENOENT ? EIO : errno, "cannot create %s", to);
	shared = share(in, out);
	hasher = hasher_new();
	do {
		st = fd_pread_all(in, data, STEP_BYTES, offset, &n, from, err);
		if (st != ST_OK)
			st = ST_DAMAGED; /* the text says how */
		if (st == ST_OK && !shared)
			st = fd_write_all(out, data, n, to, err);
		if (st != ST_OK)
			break;
		hasher_add(hasher, data, n);
		offset += n;
		st = step(ctx, n, err);
	} while (st == ST_OK && n == STEP_BYTES);
	hasher_finish(hasher, hash_out);
	hasher_free(hasher);
	*size_out = offset;
	return st;
}

enum status volume_sync(int fd, const char *dir, struct err *err)
{
	return syncfs(fd) < 0 ? err_errno(err, errno, "cannot sync the volume of %s", dir) : ST_OK;
}
