#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connector/history/ingest.h"
#include "tests/lib/simulation_impl.h"

static void must(struct sim *s, enum status st, const struct err *err, const char *what)
{
	if (st != ST_OK)
		sim_fail(s, "%s: %s: %s", what, status_name(st), err->text);
}

void sim_may_show(struct sim *s, const struct lake_id *checkpoint)
{
	struct sim_world *w = s->world;

	if (w->n_candidates < CANDIDATES_MAX)
		w->candidates[w->n_candidates++] = *checkpoint;
}

void sim_settled(struct sim *s)
{
	if (!s->injecting)
		s->world->n_candidates = 0;
}

/* ---- sessions ---- */

void sim_close(struct sim *s, int i, bool commit)
{
	struct sim_member *m = &s->members[i];
	struct err err = ERR_INIT;
	enum status st;

	if (!m->session)
		return;
	s->running = i;
	st = session_close(MOVE(m->session), commit, &err);
	s->running = -1;
	sim_event(s, "member %d closes: %s", i, status_name(st));
	if (st != ST_OK && st != ST_CONFLICT && st != ST_LOST && st != ST_UNREACHABLE)
		sim_fail(s, "session_close: %s: %s", status_name(st), err.text);
}

void sim_checkpoint(struct sim *s, int i)
{
	struct sim_member *m = &s->members[i];
	int outer = s->running;
	struct err err = ERR_INIT;
	enum status st;

	if (!m->session || s->running == i)
		return;
	s->running = i;
	st = session_checkpoint(m->session, &err);
	s->running = outer;
	sim_event(s, "member %d is asked for a checkpoint: %s", i, status_name(st));
	if (st != ST_OK && st != ST_EMPTY && st != ST_CONFLICT && st != ST_LOST &&
	    st != ST_UNREACHABLE)
		sim_fail(s, "session_checkpoint: %s: %s", status_name(st), err.text);
	if (st == ST_CONFLICT)
		s->world->result.conflicts++;
}

/* ---- publish ---- */

void sim_publish(struct sim *s)
{
	struct sim_world *w = s->world;
	static const struct publisher_options newest = {.dry_run = false};
	AUTO(publish_result_release) struct publish_result result = {.checkpoints = 0};
	struct lake_id head;
	struct err err = ERR_INIT;
	enum status st;
	bool followed;

	if (sim_head(s, s->config.branch, &head) != ST_OK)
		return;
	sim_may_show(s, &head);
	followed = !w->tampered || sim_followed(s, &head);
	s->injected = false;
	st = publisher_run(&s->publisher, &newest, &result, &err);
	sim_event(s, "publish: %s", status_name(st));
	if (st == ST_OK) {
		w->result.publishes++;
		if (!followed)
			sim_fail(s, "published over a change by hand");
		w->tampered = false;
		if (!lake_id_equal(&result.checkpoint, &head))
			sim_fail(s, "published another checkpoint than the head");
		w->shown = head;
	} else if (st == ST_EMPTY) {
		if (!lake_id_equal(&w->shown, &head))
			sim_fail(s, "publish says that the head is shown already");
	} else if (st == ST_HELD) {
		w->result.holds++;
		if (followed)
			sim_fail(s, "held: %s", err.text);
	} else if (st != ST_CONFLICT || !s->injected) {
		sim_fail(s, "publish: %s: %s", status_name(st), err.text);
	}
	sim_settled(s);
}

/* ---- rollback ---- */

struct ask {
	char *to[2];
	size_t n_to;
	bool undo;
	int wanted; /* the index on the line that it must resolve to; -1: none; -2: not known */
	struct lake_id wanted_id; /* wanted -2: this one, where it is not none */
	enum rollback_mode mode;
	struct position skip;
	size_t n_skip;
};

static void ask_release(struct ask *a)
{
	free(a->to[0]);
	free(a->to[1]);
	position_release(&a->skip);
}

static char *hex_of(const struct lake_id *id)
{
	char hex[LAKE_ID_HEX_BYTES];

	lake_id_hex(id, hex);
	return xstrdup(hex);
}

static const struct offset_item *pick_partition(struct sim *s, const struct checkpoint *head)
{
	return &head->offsets.items[sim_dice(s, head->offsets.n)];
}

static void ask_offset(struct sim *s, const struct line_of_checkpoints *line, struct ask *a)
{
	const struct offset_item *item = pick_partition(s, &line->items[0]);
	int64_t offset = (int64_t)sim_dice(s, (uint64_t)item->value + 5);

	a->to[a->n_to++] = xasprintf("%s:%d:%" PRId64, item->topic, item->partition, offset);
	a->wanted = oracle_by_offset(line, item->topic, item->partition, offset);
}

static void ask_time(struct sim *s, const struct line_of_checkpoints *line, bool of_records,
		     struct ask *a)
{
	const struct checkpoint *any = &line->items[sim_dice(s, line->n)];
	char text[TIME_TEXT_BYTES];
	int64_t ms = of_records ? any->timestamp_so_far : any->time_ms;

	if (ms < 0)
		ms = 1700000000000;
	ms += (int64_t)sim_dice(s, 3) - 1;
	time_format(ms, text);
	a->to[a->n_to++] = xasprintf("%s%s", of_records ? "record:" : "", text);
	a->wanted = of_records ? oracle_by_record_time(line, ms) : oracle_by_time(line, ms);
}

static void choose(struct sim *s, const struct line_of_checkpoints *line, struct ask *a)
{
	struct sim_world *w = s->world;
	uint64_t kind = sim_dice(s, 11);
	unsigned n = w->n_heads < HEADS_MAX ? w->n_heads : HEADS_MAX;

	a->wanted = -2;
	if (kind < 4 || (kind < 6 && n == 0)) {
		a->wanted = (int)sim_dice(s, line->n);
		a->to[a->n_to++] = hex_of(&line->items[a->wanted].id);
	} else if (kind < 6) { /* also one that was rolled back */
		a->wanted_id = w->heads[sim_dice(s, n)];
		a->to[a->n_to++] = hex_of(&a->wanted_id);
	} else if (kind == 6) {
		ask_offset(s, line, a);
	} else if (kind == 7) {
		ask_time(s, line, sim_dice(s, 2), a);
	} else if (kind == 8) {
		a->wanted_id = w->shown;
		a->wanted = lake_id_is_none(&w->shown) ? -1 : -2;
		a->to[a->n_to++] = xstrdup(s->config.target);
	} else if (kind == 9) {
		int first;

		ask_offset(s, line, a);
		first = a->wanted;
		ask_offset(s, line, a);
		/* the oldest wins; one that is none is an error */
		a->wanted = first < 0 || a->wanted < 0 ? -1 : first > a->wanted ? first : a->wanted;
	} else {
		a->undo = true;
	}
	a->mode = sim_dice(s, 3) ? ROLLBACK_REVERT : ROLLBACK_RESET;
	if (sim_dice(s, 5) == 0) {
		const struct offset_item *item = pick_partition(s, &line->items[0]);

		a->skip = (struct position){xstrdup(item->topic), item->partition,
					    (int64_t)sim_dice(s, (uint64_t)item->value + 20) - 1};
		a->n_skip = 1;
	}
}

/* Does Kafka still have all that would be read from these offsets? */
static bool kafka_has(struct sim *s, const struct checkpoint *to, const struct offsets *offsets)
{
	for (size_t i = 0; i < offsets->n; i++) {
		const struct offset_item *item = &offsets->items[i];
		int t = fake_topic_index(s->kafka, item->topic);
		const struct topic_state *state = topic_states_find(&to->topics, item->topic);
		AUTO(freep) char *id = xasprintf("id-%d-%u", t, fake_generation(s->kafka, t));

		if (!state || strcmp(state->id, id) != 0 ||
		    item->value < fake_start(s->kafka, t, item->partition) ||
		    item->value > fake_end(s->kafka, t, item->partition))
			return false;
	}
	return true;
}

static const struct sim_undo *find_undo(const struct sim_world *w, const struct lake_id *rollback)
{
	unsigned n = w->n_undos < UNDOS_MAX ? w->n_undos : UNDOS_MAX;

	for (unsigned i = 0; i < n; i++)
		if (lake_id_equal(&w->undos[i].rollback, rollback))
			return &w->undos[i];
	return NULL;
}

/* The pair that an undo must go back to. */
static void check_undo(struct sim *s, const struct line_of_checkpoints *line,
		       const struct rollback_plan *plan)
{
	const struct sim_undo *undo = NULL;

	for (size_t i = 0; i < line->n; i++) {
		if (!line->items[i].is_rollback)
			continue;
		undo = find_undo(s->world, &line->items[i].id);
		break;
	}
	if (undo && (!lake_id_equal(&undo->ingest, &plan->to.id) ||
		     !lake_id_equal(&undo->shown, &plan->show)))
		sim_fail(s, "the undo goes to another pair");
}

/* The plan against the definitions. */
static void check_plan(struct sim *s, const struct line_of_checkpoints *line, const struct ask *a,
		       const struct rollback_plan *plan)
{
	AUTO(line_of_checkpoints_release) struct line_of_checkpoints to = {0};
	AUTO(buf_release) struct buf why = BUF_INIT;
	struct lake_id show;

	if (a->wanted == -1)
		sim_fail(s, "rollback to %s: found, where there is none", a->to[0]);
	if (a->wanted >= 0 && !lake_id_equal(&line->items[a->wanted].id, &plan->to.id))
		sim_fail(s, "rollback to %s: another checkpoint than by looking at each", a->to[0]);
	if (!lake_id_is_none(&a->wanted_id) && !lake_id_equal(&a->wanted_id, &plan->to.id))
		sim_fail(s, "rollback to %s: another checkpoint than named", a->to[0]);
	if (!kafka_has(s, &plan->to, &plan->offsets))
		sim_fail(s, "a rollback to what Kafka no longer has is not refused");
	if (a->undo) {
		check_undo(s, line, plan);
		return;
	}
	if (!oracle_read_line(s->lake, &plan->to.id, &to, &why) ||
	    !oracle_show(s->lake, &to, &s->world->shown, &show, &why))
		sim_fail(s, "%s", buf_str(&why));
	if (!lake_id_equal(&show, &plan->show))
		sim_fail(s, "P' is not the newest checkpoint whose files are all shown");
}

static void remember_skips(struct sim *s, const struct rollback_plan *plan)
{
	struct sim_world *w = s->world;

	for (size_t i = 0; i < plan->skipped.n; i++) {
		const struct range *r = &plan->skipped.items[i];

		if (w->n_skips == SKIPS_MAX)
			sim_fail(s, "too many skips for the simulation");
		w->skips[w->n_skips++] = (struct sim_skip){fake_topic_index(s->kafka, r->topic),
							   r->partition, r->from, r->to};
	}
}

static void apply(struct sim *s, const struct rollback_plan *plan, bool undo)
{
	struct sim_world *w = s->world;
	struct rollback_result result;
	struct err err = ERR_INIT;
	enum status st;

	remember_skips(s, plan);
	sim_may_show(s, &plan->show);
	s->injected = false;
	st = rollback_apply(&s->line, plan, &result, &err);
	sim_event(s, "%s%s: %s", undo ? "undo" : "rollback",
		  plan->mode == ROLLBACK_RESET ? " reset" : "", status_name(st));
	if (st == ST_OK) {
		w->result.rollbacks++;
		w->result.undos += undo;
		w->shown = plan->show;
		w->tampered = false;
		w->undos[w->n_undos++ % UNDOS_MAX] =
			(struct sim_undo){result.ingest, plan->head.id, plan->shown.checkpoint};
		w->heads[w->n_heads++ % HEADS_MAX] = result.ingest;
	} else if (st != ST_CONFLICT || !s->injected) {
		sim_fail(s, "rollback: %s: %s", status_name(st), err.text);
	}
	sim_settled(s);
	if (st == ST_OK && !s->injecting)
		sim_check(s);
}

/* Was it refused for a reason that there is? */
static void check_refusal(struct sim *s, const struct ask *a, enum status st, const struct err *err)
{
	const struct fake_kafka_options *k = &s->world->kafka;

	s->world->result.refused++;
	if (st == ST_LOST && (k->retention || k->recreated))
		return;
	if (st == ST_UNREACHABLE && k->unreachable)
		return;
	if (st == ST_NOT_FOUND && (a->wanted == -1 || a->undo))
		return;
	if (st == ST_USAGE &&
	    (a->undo || a->n_skip || (a->mode == ROLLBACK_RESET && s->world->notes > 0)))
		return;
	sim_fail(s, "rollback to %s refused: %s: %s", a->undo ? "(undo)" : a->to[0],
		 status_name(st), err->text);
}

static void heads_of(struct sim *s, struct lake_id out[3])
{
	memset(out, 0, 3 * sizeof(*out));
	(void)!sim_head(s, s->config.branch, &out[0]);
	(void)!sim_head(s, s->config.published, &out[1]);
	(void)!sim_head(s, s->config.target, &out[2]);
}

static bool run_rollback(struct sim *s, const struct line_of_checkpoints *line, const struct ask *a)
{
	const struct rollback_request request = {
		.to = (const char *const *)a->to,
		.n_to = a->n_to,
		.undo = a->undo,
		.mode = a->mode,
		.skip = &a->skip,
		.n_skip = a->n_skip,
		.ask = fake_ask_bounds,
		.ask_ctx = s->kafka,
	};
	struct rollback_plan plan;
	struct lake_id before[3], after[3];
	struct err err = ERR_INIT;
	enum status st;

	heads_of(s, before);
	st = rollback_plan_make(&s->line, &request, &plan, &err);
	heads_of(s, after);
	if (memcmp(before, after, sizeof(before)) != 0)
		sim_fail(s, "a plan moved something");
	if (st != ST_OK) {
		sim_event(s, "rollback refused: %s", status_name(st));
		check_refusal(s, a, st, &err);
		return false;
	}
	check_plan(s, line, a, &plan);
	apply(s, &plan, a->undo);
	rollback_plan_release(&plan);
	return true;
}

void sim_rollback(struct sim *s)
{
	AUTO(line_of_checkpoints_release) struct line_of_checkpoints line = {0};
	AUTO(ask_release) struct ask a = {0};
	AUTO(buf_release) struct buf why = BUF_INIT;
	struct lake_id head;

	if (sim_head(s, s->config.branch, &head) != ST_OK)
		return;
	if (!oracle_read_line(s->lake, &head, &line, &why))
		sim_fail(s, "%s", buf_str(&why));
	if (line.items[0].offsets.n == 0)
		return; /* its only topic has just been made anew */
	choose(s, &line, &a);
	run_rollback(s, &line, &a);
}

static bool rollback_to(struct sim *s, bool first)
{
	AUTO(line_of_checkpoints_release) struct line_of_checkpoints line = {0};
	AUTO(ask_release) struct ask a = {.n_to = 1};
	AUTO(buf_release) struct buf why = BUF_INIT;
	struct lake_id head;

	if (sim_head(s, s->config.branch, &head) != ST_OK)
		return false;
	if (!oracle_read_line(s->lake, &head, &line, &why))
		sim_fail(s, "%s", buf_str(&why));
	a.wanted = first ? (int)line.n - 1 : 0;
	a.to[0] = hex_of(&line.items[a.wanted].id);
	return run_rollback(s, &line, &a);
}

bool sim_rollback_to_head(struct sim *s)
{
	return rollback_to(s, false);
}

bool sim_rollback_to_first(struct sim *s)
{
	return rollback_to(s, true);
}

/* ---- by hand ---- */

static void commit_on_target(struct sim *s, struct lake_txn *txn, const struct lake_id *head)
{
	struct lake_id id;
	struct err err = ERR_INIT;

	must(s, lake_txn_commit(txn, s->config.target, head, "by hand", &id, &err), &err,
	     "a commit by hand");
}

static struct lake_txn *begin_on_target(struct sim *s, struct lake_id *head)
{
	struct lake_txn *txn = NULL;
	struct err err = ERR_INIT;

	if (sim_head(s, s->config.target, head) != ST_OK)
		sim_fail(s, "the target is gone");
	must(s, lake_txn_begin(s->lake, head, &txn, &err), &err, "by hand");
	return txn;
}

void sim_note(struct sim *s)
{
	struct sim_world *w = s->world;
	AUTO(freep) char *path = xasprintf("notes/n%03u", w->notes);
	struct lake_id head;
	AUTO(lake_txn_freep) struct lake_txn *txn = begin_on_target(s, &head);
	struct err err = ERR_INIT;

	must(s, lake_txn_put_bytes(txn, path, path, strlen(path), NULL, NULL, &err), &err, path);
	w->noting = true;
	commit_on_target(s, txn, &head);
	w->noting = false;
	w->notes++;
	sim_event(s, "note");
}

void sim_tamper(struct sim *s)
{
	struct sim_world *w = s->world;
	AUTO(file_list_release) struct file_list files = {0};
	AUTO(buf_release) struct buf why = BUF_INIT;
	struct lake_id head, ingest;
	AUTO(lake_txn_freep) struct lake_txn *txn = begin_on_target(s, &head);
	struct err err = ERR_INIT;
	enum status st;

	if (w->tampered || sim_head(s, s->config.branch, &ingest) != ST_OK)
		return;
	if (!oracle_files(s->lake, &head, "notes/", &files, &why))
		sim_fail(s, "%s", buf_str(&why));
	w->hand_took_one = false;
	if (files.n == 0 || sim_dice(s, 3) == 0) {
		st = lake_txn_put_bytes(txn, "topics/t0/partition=0/hand", "x", 1, NULL, NULL,
					&err);
	} else {
		char *path = files.items[sim_dice(s, files.n)];

		*strchr(path, ' ') = '\0';
		w->hand_took_one = sim_dice(s, 2);
		st = w->hand_took_one ? lake_txn_remove(txn, path, &err)
				      : lake_txn_put_bytes(txn, path, "?", 1, NULL, NULL, &err);
	}
	must(s, st, &err, "tamper");
	w->tampering = true;
	commit_on_target(s, txn, &head);
	w->tampering = false;
	w->tampered = true;
	sim_event(s, "changed by hand");
}

void sim_restore(struct sim *s)
{
	struct lake_id head, published;
	AUTO(lake_txn_freep) struct lake_txn *txn = begin_on_target(s, &head);
	struct err err = ERR_INIT;

	if (sim_head(s, s->config.published, &published) != ST_OK)
		return;
	must(s, lake_txn_graft(txn, &published, "topics/", &err), &err, "graft");
	must(s, lake_txn_graft(txn, &published, "_deadletters/", &err), &err, "graft");
	commit_on_target(s, txn, &head);
	s->world->tampered = false;
	sim_event(s, "put back by hand");
}

/* Somebody else does something at the worst moment. */
void sim_rival(struct sim *s, const char *point)
{
	bool checkpoint = strcmp(point, "checkpoint.before_commit") == 0;
	bool publish = strcmp(point, "publish.before_move") == 0;
	bool rollback = strcmp(point, "rollback.target_made") == 0;
	bool cut = strcmp(point, "cut.before_commit") == 0;
	uint64_t what;
	int member;

	if (!checkpoint && !publish && !rollback && !cut)
		return;
	what = sim_dice(s, 40);
	member = (int)sim_dice(s, (uint64_t)s->n_members);
	if (what >= 10)
		return;
	s->world->result.rivals++;
	sim_event(s, "a rival at %s", point);
	if (what == 0 && !rollback && !cut)
		sim_rollback(s);
	else if (what == 1 && cut)
		sim_publish(s);
	else if (what < 4 && !checkpoint)
		sim_note(s);
	else
		sim_checkpoint(s, member);
	s->injected = true;
}
