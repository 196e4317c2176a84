#include "tests/lib/bench_git.h"

#include <stdlib.h>

#include "tests/lib/bench.h"

struct git {
	char *folder;
	FILE *in;
};

static void run_text(const char *text)
{
	if (system(text) != 0)
		bench_die(text);
}

struct git *git_new(const char *folder)
{
	AUTO(freep) char *init = xasprintf("git init -q --bare '%s'", folder);
	struct git *g = xcalloc(1, sizeof(*g));

	g->folder = xstrdup(folder);
	run_text(init);
	return g;
}

void git_free(struct git *g)
{
	free(g->folder);
	free(g);
}

FILE *git_import_begin(struct git *g)
{
	AUTO(freep)
	char *text =
		xasprintf("git -C '%s' fast-import --quiet --force --date-format=raw", g->folder);

	g->in = popen(text, "w");
	if (!g->in)
		bench_die("git fast-import");
	return g->in;
}

void git_import_commit(struct git *g, const char *branch, long long time_s, const char *from)
{
	fprintf(g->in,
		"commit refs/heads/%s\ncommitter bench <bench@localhost> %lld +0000\n"
		"data 5\nbench\n",
		branch, time_s);
	if (from)
		fprintf(g->in, "from %s\n", from);
}

void git_import_end(struct git *g)
{
	if (pclose(g->in) != 0)
		bench_die("git fast-import");
	g->in = NULL;
}

/* ---- trees by hand ---- */

static const char *const empty_blob = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391";

FILE *git_trees_begin(struct git *g)
{
	AUTO(freep)
	char *text = xasprintf("git -C '%s' hash-object -w --stdin </dev/null >/dev/null && "
			       "git -C '%s' mktree --batch --missing >'%s/folders'",
			       g->folder, g->folder, g->folder);

	g->in = popen(text, "w");
	if (!g->in)
		bench_die("git mktree");
	return g->in;
}

void git_tree_file(FILE *in, const char *name)
{
	fprintf(in, "100644 blob %s\t%s\n", empty_blob, name);
}

void git_trees_end(struct git *g, const char *branch, const char *stem, unsigned n)
{
	AUTO(freep) char *list = xasprintf("%s/folders", g->folder);
	FILE *folders;
	char hash[64];

	git_import_end(g);
	folders = fopen(list, "r");
	git_import_begin(g);
	git_import_commit(g, branch, 1, NULL);
	for (unsigned i = 0; i < n && folders && fscanf(folders, "%63s", hash) == 1; i++)
		fprintf(g->in, "M 040000 %s %s=%05u\n", hash, stem, i);
	git_import_end(g);
	if (!folders || fclose(folders) != 0 || remove(list) != 0)
		bench_die("git mktree");
}

double git_run(const struct git *g, const char *const *args)
{
	const char *argv[16] = {"git", "-C", g->folder};
	size_t n = 3;

	while (*args && n + 1 < ARRAY_SIZE(argv))
		argv[n++] = *args++;
	return bench_run(argv);
}
