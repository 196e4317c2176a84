/* Refs, the reflog and its index, staged changes and protections: names, and
 * whether they agree with each other. */
#include <stdlib.h>
#include <string.h>

#include "core/embedded/fsck.h"

static const char restore[] = "restore a backup (`tidemark restore`), or set the ref where it "
			      "belongs (`tidemark reflog` shows where it was)";

static int by_kind_and_name(const void *x, const void *y)
{
	const struct lake_reflog_entry *a = x, *b = y;
	int order = strcmp(a->name, b->name);

	if (order == 0)
		order = (int)a->kind - (int)b->kind;
	if (order == 0)
		order = (a->sequence > b->sequence) - (a->sequence < b->sequence);
	return order;
}

static int by_sequence(const void *x, const void *y)
{
	const struct lake_reflog_entry *a = x, *b = y;
	int order = (a->sequence > b->sequence) - (a->sequence < b->sequence);

	return order ? order : strcmp(a->name, b->name);
}

static const struct ref_seen *find_ref(const struct fsck *f, enum lake_ref_kind kind,
				       const char *name)
{
	for (size_t i = 0; i < f->n_refs; i++)
		if (f->refs[i].kind == kind && strcmp(f->refs[i].name, name) == 0)
			return &f->refs[i];
	return NULL;
}

static void check_names(struct fsck *f)
{
	for (size_t i = 0; i < f->n_refs; i++) {
		const struct ref_seen *r = &f->refs[i];
		struct err err = ERR_INIT;

		if (lake_ref_name_check(r->kind, r->name, &err) != ST_OK)
			lake_fsck_add(f->report, true, "ref", r->name, restore, "%s", err.text);
	}
	if (!find_ref(f, LAKE_BRANCH, "main"))
		lake_fsck_add(f->report, true, "ref", "main", restore, "is missing");
}

/* ---- the reflog ---- */

/* The last entry about a ref says where it is. */
static void check_last(struct fsck *f, const struct lake_reflog_entry *last)
{
	const struct ref_seen *ref = find_ref(f, last->kind, last->name);
	char is[LAKE_ID_SHORT_BYTES] = "nowhere";
	char says[LAKE_ID_SHORT_BYTES] = "nowhere";

	if (ref ? lake_id_equal(&ref->id, &last->to) : lake_id_is_none(&last->to))
		return;
	if (ref)
		lake_id_short(&ref->id, is);
	if (!lake_id_is_none(&last->to))
		lake_id_short(&last->to, says);
	lake_fsck_add(f->report, true, "ref", last->name, restore,
		      "is at %s, and its last reflog entry (%llu) moved it to %s", is,
		      (unsigned long long)last->sequence, says);
}

static void check_reflog(struct fsck *f)
{
	if (f->n_log)
		qsort(f->log, f->n_log, sizeof(*f->log), by_kind_and_name);
	for (size_t i = 0; i < f->n_log; i++) {
		const struct lake_reflog_entry *e = &f->log[i];
		const struct lake_reflog_entry *next = i + 1 < f->n_log ? e + 1 : NULL;
		bool last = !next || strcmp(next->name, e->name) != 0 || next->kind != e->kind;

		if (f->has_q && e->sequence > f->q)
			lake_fsck_add(f->report, true, "reflog", e->name, restore,
				      "entry %llu is younger than the last write, %llu",
				      (unsigned long long)e->sequence, (unsigned long long)f->q);
		if (last)
			check_last(f, e);
		else if (!lake_id_equal(&e->to, &next->from))
			lake_fsck_add(f->report, true, "reflog", e->name, restore,
				      "entry %llu does not go on where %llu ended",
				      (unsigned long long)next->sequence,
				      (unsigned long long)e->sequence);
	}
}

/* Entries and index, both by sequence then. */
static void check_index(struct fsck *f)
{
	size_t i = 0, j = 0;

	if (f->n_log)
		qsort(f->log, f->n_log, sizeof(*f->log), by_sequence);
	if (f->n_index)
		qsort(f->index, f->n_index, sizeof(*f->index), by_sequence);
	while (i < f->n_log || j < f->n_index) {
		const struct lake_reflog_entry *entry = i < f->n_log ? &f->log[i] : NULL;
		const struct lake_reflog_entry *index = j < f->n_index ? &f->index[j] : NULL;
		int order = !entry ? 1 : !index ? -1 : by_sequence(entry, index);

		if (order < 0)
			lake_fsck_add(f->report, true, "reflog", entry->name, restore,
				      "entry %llu is missing in the index by name",
				      (unsigned long long)entry->sequence);
		if (order > 0)
			lake_fsck_add(f->report, true, "reflog", index->name, restore,
				      "the index names entry %llu, which is missing",
				      (unsigned long long)index->sequence);
		i += order <= 0;
		j += order >= 0;
	}
}

/* ---- what stands beside branches ---- */

static void check_beside(struct fsck *f)
{
	for (size_t i = 0; i < f->n_staged; i++) {
		const struct staged_seen *s = &f->staged[i];
		struct err err = ERR_INIT;

		if (!find_ref(f, LAKE_BRANCH, s->branch))
			lake_fsck_add(f->report, true, "staged", s->path, restore,
				      "is staged on '%s', and there is no such branch", s->branch);
		else if (lake_path_check(s->path, &err) != ST_OK)
			lake_fsck_add(f->report, true, "staged", s->path, restore, "%s", err.text);
	}
	for (size_t i = 0; i < f->n_protected; i++)
		if (!find_ref(f, LAKE_BRANCH, f->protected[i]))
			lake_fsck_add(f->report, true, "protection", f->protected[i], restore,
				      "protects a branch that there is not");
}

void fsck_refs(struct fsck *f)
{
	check_names(f);
	check_reflog(f);
	check_index(f);
	check_beside(f);
	if (!f->has_q)
		lake_fsck_add(f->report, true, "metadata", "q", restore,
			      "the number of the last synced write is missing");
}
