#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "core/lake_backend.h"
#include "tests/lib/lost_answer.h"
#include "tests/lib/must.h"

static struct {
	struct lake_ops ops;
	const struct lake_ops *real;
	enum fate fate;
	bool next; /* is the one */
	void (*more)(void *ctx);
	void *ctx;
	struct lake_move *late; /* not made yet */
	size_t n_late;
} lost;

static void keep(const struct lake_move *moves, size_t n)
{
	lost.late = xcalloc(n, sizeof(*moves));
	lost.n_late = n;
	for (size_t i = 0; i < n; i++) {
		lost.late[i] = moves[i];
		lost.late[i].name = xstrdup(moves[i].name);
	}
}

static void make_late(struct lake *lake)
{
	MUST(lost.real->refs_move(lake, lost.late, lost.n_late, "late", &err));
	for (size_t i = 0; i < lost.n_late; i++)
		free((void *)(uintptr_t)lost.late[i].name);
	free(MOVE(lost.late));
}

static enum status move_unsurely(struct lake *lake, const struct lake_move *moves, size_t n,
				 const char *reason, struct err *why)
{
	if (lost.late)
		make_late(lake);
	if (!lost.next)
		return lost.real->refs_move(lake, moves, n, reason, why);
	lost.next = false;
	if (lost.fate == IT_HAPPENED || lost.fate == IT_HAPPENED_AND_MORE)
		MUST(lost.real->refs_move(lake, moves, n, reason, &err));
	if (lost.fate == IT_HAPPENED_AND_MORE || lost.fate == ANOTHER_HAPPENED)
		lost.more(lost.ctx);
	if (lost.fate == IT_HAPPENS_LATE)
		keep(moves, n);
	return err_set(why, ST_UNKNOWN, "no answer");
}

void lose_an_answer(struct lake *lake, enum fate fate, void (*more)(void *ctx), void *ctx)
{
	lost.real = lake->ops;
	lost.ops = *lake->ops;
	lost.ops.refs_move = move_unsurely;
	lost.fate = fate;
	lost.next = true;
	lost.more = more;
	lost.ctx = ctx;
	lake->ops = &lost.ops;
}

void answers_again(struct lake *lake)
{
	assert_false(lost.next);
	assert_null(lost.late);
	lake->ops = lost.real;
}
