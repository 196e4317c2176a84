/* The part of a connector's configuration that says what values hold, and what files are
 * made of them. */
#ifndef TIDEMARK_WORKER_CONFIG_VALUES_H
#define TIDEMARK_WORKER_CONFIG_VALUES_H

#include "connector/worker/config.h"

/* Reads converter, registry, format and schema file out of c->props, which the table has
 * checked, and sees that they fit together; c->partitioner is there. ST_USAGE names key,
 * value and remedy. */
MUST_CHECK enum status config_values(struct config *c, struct err *err);

#endif
