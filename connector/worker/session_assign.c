/* The group's side of a session: partitions come with explicit offsets from the
 * head, and go after a checkpoint. Runs inside the consumer's poll. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "connector/worker/session_impl.h"
#include "core/base/log.h"

#define ADJUST_TRIES 20
/* A group that is being rebalanced answers when its slowest member has come, at
 * the latest after max.poll.interval.ms; a coordinator that forgot us, never. */
#define GROUP_SAY_MS 15000
#define GROUP_GIVE_UP_MS 120000

struct bounds {
	struct partitions earliest, latest;
};

static void bounds_release(struct bounds *b)
{
	partitions_release(&b->earliest);
	partitions_release(&b->latest);
}

static enum status ask_bounds(struct session *s, const struct partitions *list, struct bounds *b,
			      struct err *err)
{
	enum status st;

	for (size_t i = 0; i < list->n; i++) {
		partitions_add(&b->earliest, list->items[i].topic, list->items[i].partition);
		partitions_add(&b->latest, list->items[i].topic, list->items[i].partition);
	}
	st = s->consumer->ops->list_offsets(s->consumer, OFFSET_EARLIEST, &b->earliest,
					    2 * DESCRIBE_TIMEOUT_MS, err);
	if (st == ST_OK)
		st = s->consumer->ops->list_offsets(s->consumer, OFFSET_LATEST, &b->latest,
						    2 * DESCRIBE_TIMEOUT_MS, err);
	return st;
}

static enum status out_of_range(const struct session *s, const struct partition *first,
				const struct partition *last, int64_t offset, struct err *err)
{
	if (offset < first->offset)
		return err_set(err, ST_LOST,
			       "%s:%d: the next offset is %" PRId64
			       ", but Kafka's first is %" PRId64 ": retention removed %" PRId64
			       " offsets that were never read; set on.offset.out.of.range=earliest "
			       "(or latest) "
			       "to go on and record the loss, or restore the topic",
			       first->topic, first->partition, offset, first->offset,
			       first->offset - offset);
	return err_set(err, ST_LOST,
		       "%s:%d: the next offset is %" PRId64 ", but Kafka's log ends at %" PRId64
		       ": it was cut; set on.offset.out.of.range=%s, or roll back to a checkpoint "
		       "before it "
		       "(`tidemark rollback %s --to %s:%d:%" PRId64 "`)",
		       first->topic, first->partition, offset, last->offset, "latest",
		       s->config->name, first->topic, first->partition, last->offset);
}

/* Where one partition is taken up; changes `to` where that is not the head's word. */
static enum status place_one(struct session *s, const struct partition *first,
			     const struct partition *last, struct checkpoint *to,
			     struct losses *losses, bool *changed, struct err *err)
{
	int64_t offset = offsets_get(&s->ingest.head.offsets, first->topic, first->partition);
	const char *policy =
		prop_text(&connector_table, &s->config->props, "on.offset.out.of.range");
	AUTO(freep) char *named = xasprintf("on.offset.out.of.range=%s", policy);
	int64_t go_on;

	if (first->status != ST_OK || last->status != ST_OK)
		return err_set(err, ST_UNREACHABLE, "Kafka gives no offsets of %s:%d", first->topic,
			       first->partition);
	if (offset < 0) { /* a partition that came later: from its beginning */
		offsets_set(&to->offsets, first->topic, first->partition, first->offset);
		*changed = true;
		return ST_OK;
	}
	if (offset >= first->offset && offset <= last->offset)
		return ST_OK;
	if (s->config->on_out_of_range == POLICY_FAIL)
		return out_of_range(s, first, last, offset, err);
	go_on = s->config->on_out_of_range == POLICY_LATEST || offset > last->offset
			? last->offset
			: first->offset;
	losses_add(losses, first->topic, first->partition, offset, go_on, named,
		   offset < first->offset ? "removed by retention" : "the log was cut");
	log_warn("offsets are lost", LOG_S("topic", first->topic),
		 LOG_I("partition", first->partition), LOG_I("from", offset), LOG_I("to", go_on),
		 LOG_S("policy", named));
	offsets_set(&to->offsets, first->topic, first->partition, go_on);
	*changed = true;
	return ST_OK;
}

/* One try; ST_CONFLICT where the head moved while adjusting. */
static enum status place_once(struct session *s, const struct bounds *b, struct err *err)
{
	AUTO(checkpoint_release) struct checkpoint to = {0};
	AUTO(losses_release) struct losses losses = {0};
	bool changed = false;
	enum status st = ingest_refresh(&s->ingest, err);

	if (st != ST_OK)
		return st;
	checkpoint_copy(&to, &s->ingest.head);
	for (size_t i = 0; st == ST_OK && i < b->earliest.n; i++) {
		const struct partition *first = &b->earliest.items[i];

		if (!topic_states_find(&to.topics, first->topic))
			return err_set(err, ST_CONFLICT, "topic %s has only now appeared",
				       first->topic);
		st = place_one(s, first, &b->latest.items[i], &to, &losses, &changed, err);
	}
	if (st != ST_OK || !changed)
		return st;
	return ingest_adjust(&s->ingest, &to, &losses,
			     losses.n ? "positions moved by policy" : "new partitions", err);
}

static enum status place(struct session *s, const struct partitions *list, struct err *err)
{
	AUTO(bounds_release) struct bounds b = {0};
	enum status st = ask_bounds(s, list, &b, err);

	for (int i = 0; st == ST_OK && i < ADJUST_TRIES; i++) {
		st = place_once(s, &b, err);
		if (st != ST_CONFLICT)
			return st;
		st = session_describe(s, DESCRIBE_TIMEOUT_MS, err);
		if (st == ST_OK)
			st = session_check_topics(s, err);
		if (st == ST_CONFLICT)
			st = ingest_refresh(&s->ingest, err);
	}
	return st;
}

/* The task with the fewest partitions. */
static int pick_task(const struct session *s)
{
	int best = 0;

	for (int t = 1; t < s->n_tasks; t++)
		if (s->load[t] < s->load[best])
			best = t;
	return best;
}

static bool described(const struct session *s, const char *topic)
{
	for (size_t i = 0; i < s->cluster.n_topics; i++)
		if (strcmp(s->cluster.topics[i].name, topic) == 0)
			return true;
	return false;
}

/* What we subscribe to, of what the group gave. A broker gives a static member that
 * comes back its old partitions, also those of topics that it no longer reads. */
static enum status choose_ours(struct session *s, const struct partitions *list,
			       struct partitions *out, struct err *err)
{
	bool asked = false;

	for (size_t i = 0; i < list->n; i++) {
		const struct partition *p = &list->items[i];

		if (!described(s, p->topic) && !asked) {
			enum status st = session_describe(s, DESCRIBE_TIMEOUT_MS, err);

			if (st != ST_OK)
				return st;
			asked = true;
		}
		if (described(s, p->topic))
			partitions_add(out, p->topic, p->partition);
		else
			log_warn("not ours", LOG_S("topic", p->topic),
				 LOG_I("partition", p->partition));
	}
	return ST_OK;
}

static enum status take_up(struct session *s, const struct partitions *list, struct err *err)
{
	AUTO(partitions_release) struct partitions with_offsets = PARTITIONS_INIT;
	const struct checkpoint *head = &s->ingest.head;

	for (size_t i = 0; i < list->n; i++) {
		const struct partition *p = &list->items[i];
		const struct topic_state *topic = topic_states_find(&head->topics, p->topic);
		struct partition *own = partitions_add(&s->assigned, p->topic, p->partition);
		struct partition *given;

		own->task = pick_task(s);
		s->load[own->task]++;
		own->offset = offsets_get(&head->offsets, p->topic, p->partition);
		task_add(s->tasks[own->task], p->topic, p->partition, topic ? topic->generation : 0,
			 own->offset,
			 s->options.until_latest ? offsets_get(&s->until, p->topic, p->partition)
						 : -1);
		given = partitions_add(&with_offsets, p->topic, p->partition);
		given->offset = own->offset;
		given->task = own->task;
		given->leader_epoch =
			(int32_t)offsets_get(&head->leader_epochs, p->topic, p->partition);
	}
	/* no record may come before its task knows the partition */
	session_wait(s, session_tasks_idle);
	return s->consumer->ops->assign(s->consumer, &with_offsets, err);
}

static void on_assigned(void *ctx, const struct partitions *list)
{
	AUTO(partitions_release) struct partitions ours = PARTITIONS_INIT;
	struct session *s = ctx;
	struct err err = ERR_INIT;
	enum status st;

	if (s->closing)
		return;
	s->answered = true;
	st = choose_ours(s, list, &ours, &err);
	if (st == ST_OK)
		st = place(s, &ours, &err);
	if (st == ST_OK) /* what is held already must still continue it */
		st = session_check_head(s, &err);
	if (st == ST_OK)
		st = take_up(s, &ours, &err);
	s->ever_assigned = s->ever_assigned || ours.n > 0;
	log_info("assigned", LOG_S("connector", s->config->name), LOG_I("partitions", ours.n));
	if (st != ST_OK)
		session_end_with(s,
				 status_retriable(st) || st == ST_CONFLICT ? SESSION_AGAIN
									   : SESSION_FAILED,
				 st, &err);
}

static void forget(struct session *s, const struct partitions *list)
{
	size_t kept = 0;

	for (int t = 0; t < s->n_tasks; t++)
		task_drop(s->tasks[t], list);
	session_wait(s, session_tasks_idle);
	for (size_t i = 0; i < s->assigned.n; i++) {
		struct partition *p = &s->assigned.items[i];

		if (partitions_find(list, p->topic, p->partition)) {
			s->load[p->task]--;
			free(p->topic);
		} else {
			s->assigned.items[kept++] = *p;
		}
	}
	s->assigned.n = kept;
}

static void on_revoked(void *ctx, const struct partitions *list)
{
	struct session *s = ctx;
	struct err err = ERR_INIT;

	if (s->end == SESSION_GOES_ON) {
		log_info("revoked", LOG_S("connector", s->config->name),
			 LOG_I("partitions", list->n));
		(void)!session_checkpoint(s, &err); /* a failure ends the session */
	}
	forget(s, list);
}

static void on_lost(void *ctx, const struct partitions *list)
{
	struct session *s = ctx;
	struct err err = ERR_INIT;

	err_set(&err, ST_CONFLICT, "the group gave the partitions to another member");
	/* what was read of them is in the same batch as the rest: drop it whole */
	session_end_with(s, SESSION_AGAIN, ST_CONFLICT, &err);
	forget(s, list);
}

void session_watch_group(struct session *s)
{
	int64_t now = s->options.clock->mono_us(s->options.clock);
	int64_t waited_ms = (now - s->subscribed_us) / 1000;
	struct err err = ERR_INIT;

	if (s->answered || waited_ms < GROUP_SAY_MS)
		return;
	if (waited_ms >= GROUP_GIVE_UP_MS) {
		err_set(&err, ST_UNREACHABLE,
			"the consumer group %s has given this member no answer for %" PRId64 " s",
			s->config->group_id, waited_ms / 1000);
		session_end_with(s, SESSION_AGAIN, ST_UNREACHABLE, &err);
	} else if ((now - s->said_waiting_us) / 1000 >= GROUP_SAY_MS) {
		s->said_waiting_us = now;
		log_warn("waiting for partitions: the consumer group has not answered yet",
			 LOG_S("group", s->config->group_id), LOG_I("waited_ms", waited_ms));
	}
}

static void on_consumer_error(void *ctx, enum status st, const char *text)
{
	struct session *s = ctx;
	struct err err = ERR_INIT;

	err_set(&err, st, "%s", text);
	if (st == ST_UNREACHABLE) { /* librdkafka goes on trying */
		log_warn("Kafka", LOG_S("reason", text));
		return;
	}
	session_end_with(s, SESSION_FAILED, st, &err);
}

const struct consumer_events session_events = {
	.assigned = on_assigned,
	.revoked = on_revoked,
	.lost = on_lost,
	.error = on_consumer_error,
};
