#include "core/remote/wire_check.h"

#include <stdlib.h>

static json_t *wire_names(const struct lake_names *names)
{
	json_t *list = json_array();

	for (size_t i = 0; i < names->n; i++)
		json_array_append_new(list, wire_text(names->items[i]));
	return json_pack("{s:o,s:I}", "names", list, "total", (json_int_t)names->total);
}

static json_t *wire_finding(const struct lake_finding *f)
{
	return json_pack("{s:b,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "damage", (int)f->damage, "kind",
			 wire_text(f->kind), "name", wire_text(f->name), "text", wire_text(f->text),
			 "remedy", wire_text(f->remedy), "refs", wire_names(&f->refs), "commits",
			 wire_names(&f->commits), "paths", wire_names(&f->paths));
}

json_t *wire_report(const struct lake_fsck_report *report)
{
	json_t *findings = json_array();
	json_t *counts = json_object();

	for (size_t i = 0; i < report->n; i++)
		json_array_append_new(findings, wire_finding(&report->items[i]));
#define X(name) json_object_set_new(counts, #name, json_integer((json_int_t)report->name));
	LAKE_FSCK_COUNTS(X)
#undef X
	return json_pack("{s:o,s:o,s:I,s:I}", "findings", findings, "counts", counts, "damaged",
			 (json_int_t)report->damaged, "remarks", (json_int_t)report->remarks);
}

/* The element i of a list of texts; the caller's, NULL where it is none. */
static char *text_at(const json_t *list, size_t i)
{
	AUTO(json_freep)
	json_t *one = json_pack("{s:O}", "text", json_array_get(list, i));
	char *text = NULL;

	return one && wire_get_text(one, "text", &text) ? text : NULL;
}

static bool get_names(const json_t *object, const char *name, struct lake_names *out)
{
	const json_t *o = json_object_get(object, name);
	const json_t *list = json_object_get(o, "names");

	for (size_t i = 0; i < json_array_size(list) && i < LAKE_NAMES_MAX; i++) {
		AUTO(freep) char *text = text_at(list, i);

		if (!text)
			return false;
		lake_names_add(out, text);
	}
	return wire_get_u64(o, "total", &out->total);
}

static bool get_finding(const json_t *in, struct lake_fsck_report *report)
{
	AUTO(freep) char *kind = NULL;
	AUTO(freep) char *name = NULL;
	AUTO(freep) char *text = NULL;
	AUTO(freep) char *remedy = NULL;
	struct lake_finding *f;
	bool damage = false;

	if (!wire_get_bool(in, "damage", &damage) || !wire_get_text(in, "kind", &kind) ||
	    !wire_get_text(in, "name", &name) || !wire_get_text(in, "text", &text) ||
	    !wire_get_text(in, "remedy", &remedy))
		return false;
	f = lake_fsck_add(report, damage, kind, name, remedy, "%s", text);
	return !f || (get_names(in, "refs", &f->refs) && get_names(in, "commits", &f->commits) &&
		      get_names(in, "paths", &f->paths));
}

bool wire_get_report(const json_t *object, struct lake_fsck_report *report)
{
	const json_t *findings = json_object_get(object, "findings");
	const json_t *counts = json_object_get(object, "counts");

	for (size_t i = 0; i < json_array_size(findings); i++)
		if (!get_finding(json_array_get(findings, i), report))
			return false;
#define X(name)                                                                                    \
	if (!wire_get_u64(counts, #name, &report->name))                                           \
		return false;
	LAKE_FSCK_COUNTS(X)
#undef X
	return wire_get_u64(object, "damaged", &report->damaged) &&
	       wire_get_u64(object, "remarks", &report->remarks);
}

/* ---- backups ---- */

json_t *wire_backup(const struct lake_backup_report *r)
{
	return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:o}", "time",
			 (json_int_t)r->time_ms, "sequence", (json_int_t)r->sequence, "objects",
			 (json_int_t)r->objects, "bytes", (json_int_t)r->bytes, "copied_objects",
			 (json_int_t)r->copied_objects, "copied_bytes", (json_int_t)r->copied_bytes,
			 "removed_objects", (json_int_t)r->removed_objects, "metadata_bytes",
			 (json_int_t)r->metadata_bytes, "copied_metadata_bytes",
			 (json_int_t)r->copied_metadata_bytes, "damaged", wire_names(&r->damaged));
}

bool wire_get_backup(const json_t *o, struct lake_backup_report *r)
{
	uint64_t time = 0;
	bool ok = wire_get_u64(o, "time", &time) && wire_get_u64(o, "sequence", &r->sequence) &&
		  wire_get_u64(o, "objects", &r->objects) && wire_get_u64(o, "bytes", &r->bytes) &&
		  wire_get_u64(o, "copied_objects", &r->copied_objects) &&
		  wire_get_u64(o, "copied_bytes", &r->copied_bytes) &&
		  wire_get_u64(o, "removed_objects", &r->removed_objects) &&
		  wire_get_u64(o, "metadata_bytes", &r->metadata_bytes) &&
		  wire_get_u64(o, "copied_metadata_bytes", &r->copied_metadata_bytes) &&
		  get_names(o, "damaged", &r->damaged);

	r->time_ms = (int64_t)time;
	return ok;
}
