/* What both ends of the lake's socket share: HTTP/1.1 on a Unix socket in the
 * lake's folder, mode 0600, for programs of one user and one version.
 *
 * GET /v1/OPERATION?ARGUMENT=... reads, POST /v1/OPERATION changes something,
 * with arguments as JSON or, where the body is data, in the query. Answers are
 * JSON or, where said so, bytes. An operation that fails answers 4xx or 5xx
 * with {"status": NAME, "text": TEXT}, so that the client gives back the very
 * status and text of the owner; merges add "conflicts": [PATH].
 *
 * Ids are 64 hex digits. A text that is no UTF-8 travels as {"hex": DIGITS}.
 *
 * What an operation leaves at the owner (uploads, open objects and diffs) is a
 * numbered handle of a session. A session begins with POST /v1/session and ends
 * with the connection of that request, which its client keeps to itself: the
 * kernel closes it when the client dies. */
#ifndef TIDEMARK_REMOTE_WIRE_H
#define TIDEMARK_REMOTE_WIRE_H

#include <jansson.h>

#include "core/lake_backend.h"

#define WIRE_PROTOCOL 1
#define WIRE_SOCKET "sock"

/* An upload's data go in pieces of this size, an object's come so. */
#define WIRE_CHUNK_BYTES (512u << 10)
#define WIRE_READ_BYTES (1u << 20)
/* Entries of a listing or a diff in one answer. */
#define WIRE_PAGE 1000
/* Transactions travel whole. */
#define WIRE_BODY_BYTES ((size_t)1 << 30)

static inline void json_freep(json_t **j)
{
	json_decref(*j);
}

/* The path under which the socket of a folder fits into a sockaddr_un (107
 * bytes); a longer one goes by /proc and a descriptor of the folder. dir_fd is
 * -1 or to be closed when the path is no longer used. */
MUST_CHECK enum status wire_socket_path(const char *folder, int *dir_fd_out, char **path_out,
					struct err *err);

/* Values as JSON: new references. */
json_t *wire_text(const char *text);
json_t *wire_id(const struct lake_id *id);
json_t *wire_meta(const struct lake_meta *meta);
json_t *wire_entry(const struct lake_entry *entry);
json_t *wire_diff_entry(const struct lake_diff_entry *entry);
json_t *wire_error(enum status st, const struct err *err);

/* Members of a JSON object. Each is false where the member is absent or of
 * another shape; outputs that are pointers are the caller's. */
MUST_CHECK bool wire_get_text(const json_t *object, const char *name, char **out);
MUST_CHECK bool wire_get_id(const json_t *object, const char *name, struct lake_id *out);
MUST_CHECK bool wire_get_u64(const json_t *object, const char *name, uint64_t *out);
MUST_CHECK bool wire_get_bool(const json_t *object, const char *name, bool *out);
MUST_CHECK bool wire_get_meta(const json_t *object, const char *name, struct lake_meta *out);
MUST_CHECK bool wire_get_entry(const json_t *entry, struct lake_entry *out);
MUST_CHECK bool wire_get_diff_entry(const json_t *entry, struct lake_diff_entry *out);
MUST_CHECK bool wire_get_ids(const json_t *object, const char *name, struct lake_id **out,
			     size_t *n_out);
/* Fills err and returns the status that wire_error() was made of. */
enum status wire_get_error(const json_t *object, struct err *err);

json_t *wire_gc_report(const struct lake_gc_report *report);
MUST_CHECK bool wire_get_gc_report(const json_t *object, struct lake_gc_report *out);

const char *wire_kind_name(enum lake_ref_kind kind);
MUST_CHECK bool wire_kind_by_name(const char *name, enum lake_ref_kind *out);

#endif
