/* The part of a connector's configuration that says to which folder a record goes. */
#ifndef TIDEMARK_WORKER_CONFIG_PARTITIONER_H
#define TIDEMARK_WORKER_CONFIG_PARTITIONER_H

#include "connector/writer/partitioner.h"
#include "core/base/props.h"

/* props: checked by the connector's table. *out NULL: a folder for each Kafka
 * partition. Properties that have no effect are appended to warnings, one a line.
 * ST_USAGE names key, value and remedy. */
MUST_CHECK enum status config_partitioner(const struct props *props, struct buf *warnings,
					  struct partitioner **out, struct err *err);

#endif
