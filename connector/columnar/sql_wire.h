/* Messages between the two processes of a query: 4 bytes of length, big-endian,
 * and so much JSON, over a stream socket. Private to connector/columnar. */
#ifndef TIDEMARK_COLUMNAR_SQL_WIRE_H
#define TIDEMARK_COLUMNAR_SQL_WIRE_H

#include <jansson.h>

#include "core/base/buf.h"
#include "core/base/err.h"

/* The child's descriptors. */
#define SQL_CONTROL_FD 3
#define SQL_DATA_FD 4

/* Takes message over, whatever comes of it. ST_END: the other process is gone. */
MUST_CHECK enum status sql_send(int fd, json_t *message, struct err *err);
/* Waits for one. ST_END: the other process is gone. */
MUST_CHECK enum status sql_receive(int fd, json_t **out, struct err *err);

/* {"error":{"status","text"}} */
json_t *sql_error_message(const struct err *err);
/* ST_OK where the message is no error. */
enum status sql_error_of(const json_t *message, struct err *err);

#endif
