/* Files that a writer has finished, as they lie in the lake. */
#ifndef TIDEMARK_TESTS_READ_BACK_H
#define TIDEMARK_TESTS_READ_BACK_H

#include "connector/writer/partition_writer.h"

/* The file's bytes, in the place of out's, by way of a commit that no branch shows. Takes
 * the upload. Fails the test that calls it where the lake does not do its part. */
void read_back(struct lake *lake, struct written_file *f, struct buf *out);

#endif
