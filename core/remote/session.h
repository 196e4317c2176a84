/* What clients have open at the owner: handles, by number, in sessions that
 * end with their client.
 *
 * A handle is lent to one request at a time. A session that ends closes what is
 * not lent, the rest when it comes back.
 *
 * Threads: a struct sessions may be used from any; a lent handle belongs to its
 * request's. */
#ifndef TIDEMARK_REMOTE_SESSION_H
#define TIDEMARK_REMOTE_SESSION_H

#include "core/lake_backend.h"

enum handle_kind { HANDLE_UPLOAD, HANDLE_OBJECT, HANDLE_DIFF };

struct handle {
	enum handle_kind kind;
	uint64_t id;
	union {
		struct lake_upload *upload;
		struct lake_object *object;
		struct lake_diff *diff;
	};
	/* For sessions.c. */
	struct session *session;
	struct handle *next;
	bool lent;
	bool dropped; /* to be closed when it comes back */
};

struct sessions;
struct session;

struct sessions *sessions_new(void);
/* No request may be running; closes everything. */
void sessions_free(struct sessions *all);

struct session *session_begin(struct sessions *all);
uint64_t session_id(const struct session *s);
void session_end(struct sessions *all, struct session *s);

/* Puts a new thing into a session; it is lent to the caller. ST_UNREACHABLE
 * where no such session is (any more): then what it holds is closed. */
MUST_CHECK enum status handle_add(struct sessions *all, uint64_t session, struct handle thing,
				  struct handle **out, struct err *err);
/* ST_UNREACHABLE where it is not there (any more); ST_USAGE where another
 * request has it, or it is of another kind. */
MUST_CHECK enum status handle_take(struct sessions *all, uint64_t session, uint64_t id,
				   enum handle_kind kind, struct handle **out, struct err *err);
void handle_give_back(struct sessions *all, struct handle *h);
/* Gives it back and closes it. */
void handle_drop(struct sessions *all, struct handle *h);
/* How many are open, for tests. */
size_t sessions_open_handles(struct sessions *all);

#endif
