#include "tests/lib/git_peer.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include "core/base/file.h"
#include "tests/lib/tempdir.h"

/* A process that answers each line on its standard input. */
struct helper {
	pid_t pid;
	FILE *in;
	FILE *out;
};

struct git_peer {
	char *dir;
	struct helper merges;
	struct helper objects;
	struct buf names; /* of the last merge's conflicts */
	struct buf paths; /* of the last listing */
	const char **conflicts;
	size_t cap_conflicts;
	struct git_file *files;
	size_t n_files;
	size_t cap_files;
	size_t *places; /* of each file's path in paths, which moves as it grows */
	size_t cap_places;
};

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "git peer: %s: %s\n", what, strerror(errno));
	abort();
}

/* ---- processes ---- */

static _Noreturn void become(const struct git_peer *g, const char *const *argv, int in, int out)
{
	setenv("GIT_DIR", g->dir, 1);
	setenv("GIT_CONFIG_NOSYSTEM", "1", 1);
	setenv("GIT_CONFIG_GLOBAL", "/dev/null", 1);
	dup2(in, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	execvp(argv[0], (char *const *)argv);
	perror(argv[0]);
	_exit(127);
}

static struct helper start(const struct git_peer *g, const char *const *argv)
{
	struct helper h;
	int in[2], out[2];

	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0)
		die("pipe");
	h.pid = fork();
	if (h.pid < 0)
		die("fork");
	if (h.pid == 0)
		become(g, argv, in[0], out[1]);
	close(in[0]);
	close(out[1]);
	h.in = fdopen(in[1], "w");
	h.out = fdopen(out[0], "r");
	return h;
}

static int stop(struct helper *h)
{
	int status;

	fclose(h->in);
	fclose(h->out);
	while (waitpid(h->pid, &status, 0) < 0)
		if (errno != EINTR)
			die("waitpid");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

/* Runs a command to its end; its output's lines are appended to out. */
static int run(const struct git_peer *g, const char *const *argv, struct buf *out)
{
	struct helper h = start(g, argv);
	char data[4096];
	size_t n;

	while ((n = fread(data, 1, sizeof(data), h.out)) > 0)
		if (out)
			buf_add(out, data, n);
	return stop(&h);
}

static void must_run(const struct git_peer *g, const char *const *argv)
{
	if (run(g, argv, NULL) != 0) {
		fprintf(stderr, "git peer: %s %s failed\n", argv[0], argv[1]);
		abort();
	}
}

struct git_peer *git_peer_new(void)
{
	static const char *const configs[][2] = {
		{"merge.renames", "false"},
		{"diff.renames", "false"},
		{"merge.directoryRenames", "false"},
		{"core.fsync", "none"},
		{"core.warnAmbiguousRefs", "false"},
		{"gc.auto", "0"},
		{"user.name", "tester"},
		{"user.email", "tester@localhost"},
	};
	static const char attributes[] = "* binary\n";
	struct git_peer *g = xcalloc(1, sizeof(*g));
	AUTO(freep) char *file = NULL;

	g->dir = tempdir_new();
	must_run(g, (const char *const[]){"git", "init", "-q", "--bare", NULL});
	for (size_t i = 0; i < ARRAY_SIZE(configs); i++)
		must_run(g, (const char *const[]){"git", "config", configs[i][0], configs[i][1],
						  NULL});
	file = xasprintf("%s/info/attributes", g->dir);
	if (file_replace(file, attributes, strlen(attributes), NULL) != ST_OK)
		die(file);
	/* Unbuffered: its answer to a line comes before the next line does. */
	g->merges =
		start(g, (const char *const[]){"stdbuf", "-o0", "git", "merge-tree", "--write-tree",
					       "-z", "--no-messages", "--stdin", NULL});
	g->objects = start(g, (const char *const[]){"git", "cat-file", "--batch", NULL});
	return g;
}

void git_peer_free(struct git_peer *g)
{
	if (stop(&g->merges) != 0 || stop(&g->objects) != 0)
		die("a helper failed");
	tempdir_remove(&g->dir);
	buf_release(&g->names);
	buf_release(&g->paths);
	free(g->conflicts);
	free(g->files);
	free(g->places);
	free(g);
}

/* ---- objects ---- */

static void hex_of(const unsigned char *bytes, char *out)
{
	for (int i = 0; i < SHA_DIGEST_LENGTH; i++)
		sprintf(out + 2 * i, "%02x", bytes[i]);
}

static void write_file(const char *path, const void *data, size_t len)
{
	AUTO(closep) int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);

	if (fd < 0 || write(fd, data, len) != (ssize_t)len)
		die(path);
}

/* A loose object, as git writes them. */
static struct git_id put(struct git_peer *g, const char *kind, const void *data, size_t len)
{
	AUTO(buf_release) struct buf whole = BUF_INIT;
	AUTO(freep) char *path = NULL;
	AUTO(freep) unsigned char *packed = NULL;
	unsigned char digest[SHA_DIGEST_LENGTH];
	struct git_id id;
	uLongf n;

	buf_addf(&whole, "%s %zu", kind, len);
	buf_addc(&whole, '\0');
	buf_add(&whole, data, len);
	SHA1((unsigned char *)whole.data, whole.len, digest);
	hex_of(digest, id.hex);
	path = xasprintf("%s/objects/%.2s", g->dir, id.hex);
	if (mkdir(path, 0777) < 0 && errno != EEXIST)
		die(path);
	free(path);
	path = xasprintf("%s/objects/%.2s/%s", g->dir, id.hex, id.hex + 2);
	if (file_exists(path))
		return id;
	n = compressBound(whole.len);
	packed = xmalloc(n);
	if (compress2(packed, &n, (unsigned char *)whole.data, whole.len, 1) != Z_OK)
		die("compress");
	write_file(path, packed, n);
	return id;
}

struct git_id git_peer_blob(struct git_peer *g, const void *data, size_t len)
{
	return put(g, "blob", data, len);
}

struct child {
	const char *name;
	size_t len;
	bool folder;
	struct git_id id;
};

/* Git sorts a folder as if its name ended with a slash. */
static int git_order(const void *x, const void *y)
{
	const struct child *a = x, *b = y;
	size_t shared = a->len < b->len ? a->len : b->len;
	int order = memcmp(a->name, b->name, shared);
	unsigned char ca = a->len > shared ? (unsigned char)a->name[shared] : a->folder ? '/' : 0;
	unsigned char cb = b->len > shared ? (unsigned char)b->name[shared] : b->folder ? '/' : 0;

	return order ? order : (int)ca - (int)cb;
}

static void add_raw_id(struct buf *out, const char *hex)
{
	for (int i = 0; i < SHA_DIGEST_LENGTH; i++) {
		unsigned byte;

		sscanf(hex + 2 * i, "%2x", &byte);
		buf_addc(out, (char)byte);
	}
}

static bool has_child(const struct child *list, size_t n, const char *name, size_t len)
{
	for (size_t i = 0; i < n; i++)
		if (list[i].len == len && memcmp(list[i].name, name, len) == 0)
			return true;
	return false;
}

/* The tree of the files whose path begins with the first skip bytes of prefix. */
static struct git_id put_tree(struct git_peer *g, const struct git_file *files, size_t n,
			      const char *prefix, size_t skip)
{
	AUTO(freep) struct child *list = xcalloc(n, sizeof(*list));
	AUTO(buf_release) struct buf raw = BUF_INIT;
	size_t count = 0;

	for (size_t i = 0; i < n; i++) {
		const char *name = files[i].path + skip;
		size_t len;

		if (strncmp(files[i].path, prefix, skip) != 0)
			continue;
		len = strcspn(name, "/");
		if (has_child(list, count, name, len))
			continue;
		list[count] = (struct child){.name = name, .len = len, .folder = name[len] == '/'};
		list[count].id = name[len] == '/'
					 ? put_tree(g, files, n, files[i].path, skip + len + 1)
					 : files[i].blob;
		count++;
	}
	qsort(list, count, sizeof(*list), git_order);
	for (size_t i = 0; i < count; i++) {
		buf_addf(&raw, "%s %.*s", list[i].folder ? "40000" : "100644", (int)list[i].len,
			 list[i].name);
		buf_addc(&raw, '\0');
		add_raw_id(&raw, list[i].id.hex);
	}
	return put(g, "tree", buf_str(&raw), raw.len);
}

struct git_id git_peer_tree(struct git_peer *g, const struct git_file *files, size_t n)
{
	return put_tree(g, files, n, "", 0);
}

struct git_id git_peer_commit(struct git_peer *g, const struct git_id *tree,
			      const struct git_id *parents, size_t n, int64_t time_s)
{
	AUTO(buf_release) struct buf text = BUF_INIT;

	buf_addf(&text, "tree %s\n", tree->hex);
	for (size_t i = 0; i < n; i++)
		buf_addf(&text, "parent %s\n", parents[i].hex);
	buf_addf(&text,
		 "author t <t@localhost> %lld +0000\ncommitter t <t@localhost> %lld +0000\n\nc\n",
		 (long long)time_s, (long long)time_s);
	return put(g, "commit", text.data, text.len);
}

static void read_object(struct git_peer *g, const char *hex, struct buf *out)
{
	char line[256], kind[32];
	size_t len;

	fprintf(g->objects.in, "%s\n", hex);
	fflush(g->objects.in);
	if (!fgets(line, sizeof(line), g->objects.out) ||
	    sscanf(line, "%*s %31s %zu", kind, &len) != 2)
		die("cat-file");
	buf_reserve(out, len + 1);
	if (fread(out->data, 1, len + 1, g->objects.out) != len + 1)
		die("cat-file");
	out->len = len;
}

static void add_listed(struct git_peer *g, const char *path, const struct git_file *file)
{
	size_t n = g->n_files;

	GROW(g->places, n, g->cap_places);
	g->places[n] = g->paths.len;
	GROW(g->files, g->n_files, g->cap_files);
	g->files[g->n_files++] = *file;
	buf_add(&g->paths, path, strlen(path) + 1);
}

static void list_tree(struct git_peer *g, const char *hex, const char *prefix)
{
	AUTO(buf_release) struct buf raw = BUF_INIT;

	read_object(g, hex, &raw);
	for (const char *p = raw.data; p < raw.data + raw.len;) {
		const char *name = strchr(p, ' ') + 1;
		const unsigned char *id = (const unsigned char *)name + strlen(name) + 1;
		AUTO(freep) char *path = xasprintf("%s%s", prefix, name);
		struct git_file file = {.path = NULL};

		hex_of(id, file.blob.hex);
		if (p[0] == '4') {
			AUTO(freep) char *folder = xasprintf("%s/", path);

			list_tree(g, file.blob.hex, folder);
		} else {
			add_listed(g, path, &file);
		}
		p = (const char *)id + SHA_DIGEST_LENGTH;
	}
}

size_t git_peer_list(struct git_peer *g, const struct git_id *tree, const struct git_file **out)
{
	g->n_files = 0;
	buf_clear(&g->paths);
	list_tree(g, tree->hex, "");
	for (size_t i = 0; i < g->n_files; i++)
		g->files[i].path = g->paths.data + g->places[i];
	*out = g->files;
	return g->n_files;
}

/* ---- git's own work ---- */

/* Up to the next NUL, appended with it; the place where it begins. */
static size_t next_field(struct git_peer *g, struct buf *out)
{
	size_t at = out->len;
	int c;

	while ((c = getc(g->merges.out)) > 0)
		buf_addc(out, (char)c);
	if (c < 0)
		die("merge-tree");
	buf_addc(out, '\0');
	return at;
}

struct git_merge git_peer_merge(struct git_peer *g, const struct git_id *ours,
				const struct git_id *theirs)
{
	struct git_merge m = {.n = 0};
	const char *p;
	size_t at, end;

	fprintf(g->merges.in, "%s %s\n", ours->hex, theirs->hex);
	fflush(g->merges.in);
	buf_clear(&g->names);
	at = next_field(g, &g->names);
	m.clean = g->names.data[at] == '1';
	at = next_field(g, &g->names);
	snprintf(m.tree.hex, sizeof(m.tree.hex), "%s", g->names.data + at);
	at = g->names.len;
	do
		end = next_field(g, &g->names);
	while (g->names.data[end]);
	/* "<mode> <id> <stage>\t<path>": up to three for a path, one after another. */
	for (p = g->names.data + at; *p; p += strlen(p) + 1) {
		const char *path = strchr(p, '\t') + 1;

		if (m.n && strcmp(g->conflicts[m.n - 1], path) == 0)
			continue;
		GROW(g->conflicts, m.n, g->cap_conflicts);
		g->conflicts[m.n++] = path;
	}
	m.conflicts = g->conflicts;
	return m;
}

static void take_hex(const char *line, struct git_id *out)
{
	snprintf(out->hex, sizeof(out->hex), "%.40s", line);
}

size_t git_peer_bases(struct git_peer *g, const struct git_id *a, const struct git_id *b,
		      struct git_id *out, size_t max)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	size_t n = 0;

	if (run(g, (const char *const[]){"git", "merge-base", "--all", a->hex, b->hex, NULL},
		&text) > 1)
		die("merge-base");
	for (const char *p = buf_str(&text); *p && n < max; p = strchr(p, '\n') + 1)
		take_hex(p, &out[n++]);
	return n;
}

bool git_peer_merge_strategy(struct git_peer *g, const char *side, const struct git_id *bases,
			     size_t n, const struct git_id *ours, const struct git_id *theirs,
			     struct git_id *tree_out)
{
	AUTO(freep) char *work = xasprintf("--work-tree=%s/work", g->dir);
	AUTO(freep) char *option = xasprintf("--%s", side);
	AUTO(buf_release) struct buf text = BUF_INIT;
	const char *argv[24] = {"git", work, "merge-recursive", option};
	size_t at = 4;
	int code;

	if (mkdir(work + strlen("--work-tree="), 0777) < 0 && errno != EEXIST)
		die(work);
	must_run(g,
		 (const char *const[]){"git", work, "read-tree", "-u", "--reset", ours->hex, NULL});
	for (size_t i = 0; i < n && at + 4 < ARRAY_SIZE(argv); i++)
		argv[at++] = bases[i].hex;
	argv[at++] = "--";
	argv[at++] = ours->hex;
	argv[at++] = theirs->hex;
	code = run(g, argv, NULL);
	if (code > 1)
		die("merge-recursive");
	if (code == 1)
		return false;
	if (run(g, (const char *const[]){"git", "write-tree", NULL}, &text) != 0)
		die("write-tree");
	take_hex(buf_str(&text), tree_out);
	return true;
}
