/* Types of gates and their properties, as a table. Private to connector/gates. */
#ifndef TIDEMARK_GATES_GATE_TABLE_H
#define TIDEMARK_GATES_GATE_TABLE_H

#include "connector/gates/gates.h"

/* Before the rest of each name in gate_table. */
#define PREFIX "gates.<g>."

const char *gate_type_name(enum gate_type type);
/* Does a gate of the type take gate_table's row? */
bool gate_takes(enum gate_type type, size_t row);
/* Is it monotone where the configuration does not say, over what is added? */
bool gate_type_monotone(enum gate_type type);

#endif
