/* A fresh lake for each test, by one of the ways in which it can be reached. */
#ifndef TIDEMARK_TESTS_LAKE_FIXTURE_H
#define TIDEMARK_TESTS_LAKE_FIXTURE_H

#include <sys/types.h>

#include "core/lake.h"

enum lake_way {
	LAKE_EMBEDDED, /* this process owns it */
	LAKE_SOCKET, /* another process owns it */
};

struct lake_fixture {
	char *folder; /* the lake's, below a temporary one */
	char *top;
	struct lake *lake;
	pid_t owner; /* 0: this process */
	int stop_fd; /* closing it ends the owner */
};

/* name_bytes: of the folder's path, at least; 0: short. Asserts. */
void lake_fixture_open(struct lake_fixture *f, enum lake_way way, size_t name_bytes);
void lake_fixture_close(struct lake_fixture *f);
/* Starts a process that owns the folder and serves it; waits until it does. */
void lake_fixture_start_owner(struct lake_fixture *f);
void lake_fixture_stop_owner(struct lake_fixture *f);

/* What that process does: tests/tools/lake_owner. */
void lake_fixture_own(const char *folder, int ready_fd, int stop_fd);

/* The owner's call handler: "echo" gives the input back, "fail" ST_HELD,
 * "owner" its pid. */
enum status lake_fixture_call(void *ctx, const char *method, const char *in, struct buf *out,
			      struct err *err);

#endif
