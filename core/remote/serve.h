/* One request at the owner, and the tables of operations. Within core/remote/
 * only. */
#ifndef TIDEMARK_REMOTE_SERVE_H
#define TIDEMARK_REMOTE_SERVE_H

#include "core/net/http_server.h"
#include "core/remote/session.h"
#include "core/remote/wire.h"

struct request {
	struct lake *lake;
	struct sessions *sessions;
	struct remote_server *server;
	struct http_exchange *x;
	json_t *in; /* of a POST with JSON; else NULL */
	json_t *out; /* the answer, to be set by the operation; NULL: raw */
	struct buf raw;
	struct lake_conflicts conflicts; /* go with an error, where there are any */
};

struct operation {
	const char *method;
	const char *name;
	bool body_is_data;
	enum status (*run)(struct request *r, struct err *err);
};

/* Each ends with a row whose name is NULL. */
extern const struct operation serve_read_operations[];
extern const struct operation serve_write_operations[];
extern const struct operation serve_upload_operations[];
extern const struct operation serve_check_operations[];
extern const struct operation serve_gc_operations[];

/* Arguments of the query: ST_USAGE where absent or malformed. The text lives
 * as long as the request. */
MUST_CHECK enum status query_text(struct request *r, const char *name, const char **out,
				  struct err *err);
MUST_CHECK enum status query_id(struct request *r, const char *name, struct lake_id *out,
				struct err *err);
MUST_CHECK enum status query_u64(struct request *r, const char *name, uint64_t *out,
				 struct err *err);
/* The handle that the query's session and handle name; given back by the
 * caller. */
MUST_CHECK enum status query_handle(struct request *r, enum handle_kind kind, struct handle **out,
				    struct err *err);
enum status bad_request(struct err *err);

#endif
