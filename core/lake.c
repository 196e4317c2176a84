/* Opening a lake by its URL, its socket, and its refs: what does not depend on
 * where the lake is. The other parts of lake.h are in lake_history.c,
 * lake_read.c and lake_write.c; lake_reading.c keeps writes away. */
#include "core/lake.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/embedded/embedded.h"
#include "core/lake_backend.h"
#include "core/lake_socket.h"
#include "core/lake_url.h"

/* A starting owner serves its socket within this time of taking the lock. */
#define OWNER_WAIT_MS 10000
#define OWNER_POLL_MS 20

#define RESERVE_DEFAULT_BYTES (64u << 20)

/* ---- open and close ---- */

static char *user_name(void)
{
	char text[4096];
	struct passwd entry;
	struct passwd *found = NULL;

	if (getpwuid_r(geteuid(), &entry, text, sizeof(text), &found) == 0 && found &&
	    found->pw_name[0])
		return xstrdup(found->pw_name);
	return xstrdup("tidemark");
}

enum status lake_url_folder(const char *url, char **out, struct err *err)
{
	const char *path = url;
	size_t scheme = strcspn(url, ":/");
	AUTO(freep) char *cwd = NULL;
	char *folder;
	size_t len;

	if (url[scheme] == ':') {
		if (strncmp(url, "file:", 5) != 0)
			return err_set(err, ST_USAGE,
				       "'%s': lakes of the kind '%.*s' are not known; give a path "
				       "or file:PATH",
				       url, (int)scheme, url);
		path = url + 5;
		if (strncmp(path, "///", 3) == 0)
			path += 2;
	}
	if (path[0] == '\0')
		return err_set(err, ST_USAGE, "the lake's URL '%s' names no folder", url);
	if (path[0] == '/') {
		folder = xstrdup(path);
	} else {
		cwd = getcwd(NULL, 0);
		if (!cwd)
			return err_errno(err, errno, "cannot find the current folder");
		while (strncmp(path, "./", 2) == 0)
			path += 2;
		folder = strcmp(path, ".") == 0 || path[0] == '\0' ? xstrdup(cwd)
								   : xasprintf("%s/%s", cwd, path);
	}
	len = strlen(folder);
	while (len > 1 && folder[len - 1] == '/')
		folder[--len] = '\0';
	*out = folder;
	return ST_OK;
}

/* Fills what lake.c owns of a lake that a backend has opened. */
static void adopt(struct lake *lake, const char *folder, const struct lake_options *options)
{
	lake->folder = xstrdup(folder);
	lake->url = xasprintf("file:%s", folder);
	lake->committer = xstrdup(options->committer);
	lake->clock = options->clock;
	lake->server = NULL;
	pthread_mutex_init(&lake->serve_mutex, NULL);
	if (options->access == LAKE_READ)
		lake_refuse_writes(lake);
}

/* Owns the folder, or goes through its owner. An owner that is starting has
 * the lock and no socket yet; one that is going away has neither for a moment;
 * a short command has the lock alone: so both are tried in turn. Whoever must
 * own the folder waits for those too, and not for an owner that answers. */
static enum status open_any(const char *folder, enum embedded_mode mode,
			    const struct lake_options *options, struct lake **out, struct err *err)
{
	int64_t give_up_us = options->clock->mono_us(options->clock) + OWNER_WAIT_MS * 1000LL;

	for (;;) {
		struct err socket_err = ERR_INIT;
		enum status st = embedded_open(folder, mode, options, out, err);

		if (st != ST_BUSY)
			return st;
		st = lake_socket_connect(folder, options, out, &socket_err);
		if (st == ST_OK && options->access == LAKE_OWN) {
			lake_close(*out);
			return ST_BUSY; /* err says who */
		}
		if (st != ST_UNREACHABLE) {
			if (st != ST_OK && err)
				*err = socket_err;
			return st;
		}
		if (options->clock->mono_us(options->clock) >= give_up_us)
			return err_wrap(err, ST_BUSY,
					"no answer through the lake's socket within %d s",
					OWNER_WAIT_MS / 1000);
		options->clock->sleep_ms(options->clock, OWNER_POLL_MS);
	}
}

/* user_out keeps the default committer's text. */
static struct lake_options with_defaults(const struct lake_options *options, char **user_out)
{
	struct lake_options o = {.access = LAKE_ANY};

	if (options)
		o = *options;
	assert(!o.create || o.access != LAKE_READ);
	if (!o.clock)
		o.clock = clock_system();
	if (!o.committer)
		o.committer = *user_out = user_name();
	if (o.reserve_bytes == 0)
		o.reserve_bytes = RESERVE_DEFAULT_BYTES;
	return o;
}

enum status lake_open(const char *url, const struct lake_options *options, struct lake **out,
		      struct err *err)
{
	AUTO(freep) char *user = NULL;
	AUTO(freep) char *folder = NULL;
	struct lake_options o = with_defaults(options, &user);
	enum embedded_mode mode = o.create ? EMBEDDED_CREATE : EMBEDDED_EXISTING;
	struct lake *lake = NULL;
	enum status st = lake_url_folder(url, &folder, err);

	if (st == ST_OK)
		st = open_any(folder, mode, &o, &lake, err);
	if (st != ST_OK)
		return st;
	adopt(lake, folder, &o);
	*out = lake;
	return ST_OK;
}

enum status lake_init(const char *url, const struct lake_options *options, struct err *err)
{
	AUTO(freep) char *user = NULL;
	AUTO(freep) char *folder = NULL;
	struct lake_options o = with_defaults(options, &user);
	struct lake *lake = NULL;
	enum status st = lake_url_folder(url, &folder, err);

	if (st == ST_OK)
		st = embedded_open(folder, EMBEDDED_NEW, &o, &lake, err);
	if (st != ST_OK)
		return st;
	adopt(lake, folder, &o);
	lake_close(lake);
	return ST_OK;
}

void lake_close(struct lake *lake)
{
	AUTO(freep) struct lake_ops *reading = lake ? lake->reading : NULL;

	if (!lake)
		return;
	if (lake->ops->interrupt)
		lake->ops->interrupt(lake);
	pthread_mutex_lock(&lake->serve_mutex);
	lake_socket_stop(lake);
	pthread_mutex_unlock(&lake->serve_mutex);
	pthread_mutex_destroy(&lake->serve_mutex);
	free(lake->url);
	free(lake->folder);
	free(lake->committer);
	lake->ops->close(lake);
}

const char *lake_url(const struct lake *lake)
{
	return lake->url;
}

bool lake_is_owner(const struct lake *lake)
{
	return lake->ops->owner;
}

enum status lake_serve(struct lake *lake, lake_call_handler handler, void *ctx, struct err *err)
{
	enum status st;

	if (!lake->ops->owner || lake->reading)
		return ST_OK;
	pthread_mutex_lock(&lake->serve_mutex);
	st = lake_socket_serve(lake, handler, ctx, err);
	pthread_mutex_unlock(&lake->serve_mutex);
	return st;
}

enum status lake_call(struct lake *lake, const char *method, const char *in, struct buf *out,
		      struct err *err)
{
	if (!lake->ops->call)
		return err_set(err, ST_NOT_FOUND, "no running worker owns %s", lake->url);
	return lake->ops->call(lake, method, in, out, err);
}

/* ---- refs ---- */

enum status lake_ref_get(struct lake *lake, enum lake_ref_kind kind, const char *name,
			 struct lake_id *out, struct err *err)
{
	return lake->ops->ref_get(lake, kind, name, out, err);
}

enum status lake_refs_list(struct lake *lake, enum lake_ref_kind kind, struct lake_refs *out,
			   struct err *err)
{
	return lake->ops->refs_list(lake, kind, out, err);
}

enum status lake_refs_move(struct lake *lake, const struct lake_move *moves, size_t n,
			   const char *reason, struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		enum status st = lake_ref_name_check(moves[i].kind, moves[i].name, err);

		if (st != ST_OK)
			return st;
		for (size_t j = 0; j < i; j++)
			if (moves[i].kind == moves[j].kind &&
			    strcmp(moves[i].name, moves[j].name) == 0)
				return err_set(err, ST_USAGE, "'%s' is named twice in one move",
					       moves[i].name);
	}
	return lake->ops->refs_move(lake, moves, n, reason ? reason : "", err);
}

enum status lake_reflog_read(struct lake *lake, const char *name, size_t limit,
			     struct lake_reflog *out, struct err *err)
{
	return lake->ops->reflog_read(lake, name, limit, out, err);
}

enum status lake_branch_protect(struct lake *lake, const char *branch, const char *by,
				struct err *err)
{
	enum status st = lake_ref_name_check(LAKE_BRANCH, branch, err);

	return st != ST_OK ? st : lake->ops->branch_protect(lake, branch, by ? by : "", err);
}

enum status lake_branch_protection(struct lake *lake, const char *branch, bool *protected_out,
				   char **by_out, struct err *err)
{
	return lake->ops->branch_protection(lake, branch, protected_out, by_out, err);
}

enum status lake_branch_reset(struct lake *lake, const char *branch, const struct lake_id *to,
			      struct err *err)
{
	AUTO(freep) char *by = NULL;
	AUTO(freep) char *reason = NULL;
	struct lake_move move = {.kind = LAKE_BRANCH, .name = branch, .to = *to};
	char hex[LAKE_ID_SHORT_BYTES];
	bool is_protected = false;
	enum status st = lake_branch_protection(lake, branch, &is_protected, &by, err);

	if (st != ST_OK)
		return st;
	if (is_protected && by && by[0])
		return err_set(err, ST_PROTECTED,
			       "branch '%s' belongs to the connector '%s'; use `tidemark rollback "
			       "%s`, which keeps data and offsets together",
			       branch, by, by);
	if (is_protected)
		return err_set(err, ST_PROTECTED,
			       "branch '%s' is protected; undo by `tidemark revert %s COMMIT`",
			       branch, branch);
	st = lake_ref_get(lake, LAKE_BRANCH, branch, &move.expected, err);
	if (st != ST_OK)
		return st;
	lake_id_short(to, hex);
	reason = xasprintf("reset to %s", hex);
	return lake_refs_move(lake, &move, 1, reason, err);
}

/* ---- the grammar of refs ---- */

/* The n-th ancestor along first parents, by skip pointers. */
static enum status ancestor(struct lake *lake, const char *ref, uint64_t n, struct lake_id *id,
			    struct err *err)
{
	uint64_t goal = UINT64_MAX;

	for (;;) {
		struct commit c = {0};
		enum status st = lake->ops->commit_get(lake, id, &c, err);

		if (st != ST_OK)
			return st;
		if (goal == UINT64_MAX && n <= c.depth)
			goal = c.depth - n;
		if (goal == UINT64_MAX) {
			uint64_t depth = c.depth;

			commit_release(&c);
			return err_set(err, ST_NOT_FOUND,
				       "'%s': the history there is only %llu commits long", ref,
				       (unsigned long long)depth + 1);
		}
		if (c.depth == goal) {
			commit_release(&c);
			return ST_OK;
		}
		*id = c.jump_depth >= goal && !lake_id_is_none(&c.jump) ? c.jump
									: c.public.parents[0];
		commit_release(&c);
	}
}

static enum status nth_parent(struct lake *lake, const char *ref, uint64_t n, struct lake_id *id,
			      struct err *err)
{
	struct commit c = {0};
	enum status st;

	if (n == 0)
		return ST_OK;
	st = lake->ops->commit_get(lake, id, &c, err);
	if (st != ST_OK)
		return st;
	if (n > c.public.n_parents)
		st = err_set(err, ST_NOT_FOUND, "'%s': that commit has %zu parents", ref,
			     c.public.n_parents);
	else
		*id = c.public.parents[n - 1];
	commit_release(&c);
	return st;
}

/* A branch, a tag, or a commit's id or the beginning of one. */
static enum status resolve_name(struct lake *lake, const char *name, struct lake_id *out,
				struct err *err)
{
	size_t digits = strspn(name, "0123456789abcdefABCDEF");
	size_t len = strlen(name);
	char prefix[LAKE_ID_HEX_BYTES];
	enum status st = lake->ops->ref_get(lake, LAKE_BRANCH, name, out, err);

	if (st == ST_NOT_FOUND)
		st = lake->ops->ref_get(lake, LAKE_TAG, name, out, err);
	if (st != ST_NOT_FOUND)
		return st;
	if (digits != len || len < 6 || len >= sizeof(prefix))
		return err_set(err, ST_NOT_FOUND,
			       "no branch, tag or commit '%s'; `tidemark branch` and `tidemark "
			       "tag` list what there is",
			       name);
	for (size_t i = 0; i <= len; i++)
		prefix[i] = (char)tolower((unsigned char)name[i]);
	return lake->ops->commit_by_prefix(lake, prefix, out, err);
}

enum status lake_resolve(struct lake *lake, const char *ref, struct lake_id *out, struct err *err)
{
	size_t base = strcspn(ref, "~^");
	AUTO(freep) char *name = xstrndup(ref, base);
	const char *p = ref + base;
	struct lake_id id;
	enum status st;

	if (base == 0)
		return err_set(err, ST_USAGE, "'%s' is no ref: a name, commit id, REF~N or REF^N",
			       ref);
	st = resolve_name(lake, name, &id, err);
	while (st == ST_OK && *p) {
		char step = *p++;
		uint64_t n = 1;

		if (isdigit((unsigned char)*p)) {
			char *end;

			errno = 0;
			n = strtoull(p, &end, 10);
			if (errno || n > UINT32_MAX)
				return err_set(err, ST_USAGE, "'%s': the number is too large", ref);
			p = end;
		}
		if (*p && *p != '~' && *p != '^')
			return err_set(err, ST_USAGE, "'%s' is no ref: unexpected '%s'", ref, p);
		st = step == '~' ? ancestor(lake, ref, n, &id, err)
				 : nth_parent(lake, ref, n, &id, err);
	}
	if (st == ST_OK)
		*out = id;
	return st;
}
