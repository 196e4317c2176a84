/* A lake that makes a move of refs and gives no answer: ST_UNKNOWN. One at a time. */
#ifndef TIDEMARK_TESTS_LOST_ANSWER_H
#define TIDEMARK_TESTS_LOST_ANSWER_H

#include "core/lake.h"

/* What becomes of the move. */
enum fate {
	IT_HAPPENED,
	IT_DID_NOT,
	IT_HAPPENED_AND_MORE, /* `more` goes on at once */
	ANOTHER_HAPPENED, /* it did not, and `more` did */
	IT_HAPPENS_LATE, /* just before the next move that is tried */
	FATES
};

/* The next move on the lake, and only that. more(ctx): see above; its own moves are answered. */
void lose_an_answer(struct lake *lake, enum fate fate, void (*more)(void *ctx), void *ctx);
/* Asserts that it came to that. */
void answers_again(struct lake *lake);

#endif
