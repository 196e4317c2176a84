/* tidemark-sql: the process that answers a query, as a program of its own. It is small
 * because its start is a part of each answer: what it is linked to is mapped, relocated
 * and searched for each of DuckDB's 40,000 symbols. It never opens a lake, nor a
 * connection. */
#include "connector/columnar/sql_child.h"

int main(void)
{
	return sql_child_run();
}
