/* A lake's history as tables, made where a query names them:
 *
 *   lake$commits      every commit in the history of the ref
 *   lake$checkpoints  those that are checkpoints
 *   lake$offsets      what each checkpoint read, by partition
 *   lake$publishes    on the ref's line of first parents, what each showed anew
 *   lake$files        every file of records at the ref
 *   lake$deadletters  the records that could not be written as data: the rows of the
 *                     files under DEADLETTER_FOLDER
 *
 * No topic can have such a name: `$` is no letter of Kafka's. */
#ifndef TIDEMARK_COLUMNAR_SQL_HISTORY_H
#define TIDEMARK_COLUMNAR_SQL_HISTORY_H

#include "connector/columnar/sql_table.h"

#define SQL_HISTORY_PREFIX "lake$"

/* Adds the rows to t. ST_NOT_FOUND names the tables that there are. */
MUST_CHECK enum status sql_history_add(struct sql_table *t, struct lake *lake,
				       const struct lake_id *commit, const char *name,
				       struct err *err);

#endif
