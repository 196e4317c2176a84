/* How a session finds where to start: the head of ingest, or the first
 * checkpoint, and whether cluster and topics are still those it recorded. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "connector/worker/session_impl.h"
#include "core/base/log.h"

#define RETRY_MS 500

/* Asks for the subscribed topics, again and again until timeout_ms. */
enum status session_describe(struct session *s, int64_t timeout_ms, struct err *err)
{
	struct clock *clock = s->options.clock;
	int64_t end_us = clock->mono_us(clock) + timeout_ms * 1000;
	struct cluster_info info;

	for (;;) {
		enum status st =
			s->consumer->ops->describe(s->consumer, DESCRIBE_TIMEOUT_MS, &info, err);

		if (st == ST_OK)
			break;
		if (s->options.stop && *s->options.stop && st == ST_UNREACHABLE)
			return err_set(err, ST_INTERRUPTED, "stopped while waiting for Kafka");
		if (st != ST_UNREACHABLE || clock->mono_us(clock) >= end_us)
			return err_wrap(err, st, "bootstrap.servers=%s", s->config->bootstrap);
		log_warn("Kafka does not answer", LOG_S("reason", err->text));
		clock->sleep_ms(clock, RETRY_MS);
	}
	cluster_info_release(&s->cluster);
	s->cluster = info;
	if (info.n_topics == 0 && !s->config->topics_regex)
		return err_set(err, ST_NOT_FOUND, "none of the topics exists");
	return ST_OK;
}

static void all_partitions(const struct cluster_info *cluster, struct partitions *out)
{
	for (size_t i = 0; i < cluster->n_topics; i++)
		for (int32_t p = 0; p < cluster->topics[i].partitions; p++)
			partitions_add(out, cluster->topics[i].name, p);
}

static enum status ask_offsets_once(struct session *s, enum offset_spec spec,
				    struct partitions *list, struct err *err)
{
	enum status st = s->consumer->ops->list_offsets(s->consumer, spec, list,
							2 * DESCRIBE_TIMEOUT_MS, err);

	for (size_t i = 0; st == ST_OK && i < list->n; i++)
		if (list->items[i].status != ST_OK)
			return err_set(err, list->items[i].status, "Kafka gives no offset of %s:%d",
				       list->items[i].topic, list->items[i].partition);
	return st;
}

/* A leader that moves in this moment has no answer for a while. */
static enum status ask_offsets(struct session *s, enum offset_spec spec, struct partitions *list,
			       struct err *err)
{
	struct clock *clock = s->options.clock;
	int64_t end_us = clock->mono_us(clock) + START_TIMEOUT_MS * 1000LL;
	enum status st;

	while ((st = ask_offsets_once(s, spec, list, err)) == ST_UNREACHABLE &&
	       clock->mono_us(clock) < end_us && !(s->options.stop && *s->options.stop)) {
		log_warn("Kafka does not answer", LOG_S("reason", err->text));
		clock->sleep_ms(clock, RETRY_MS);
	}
	return st;
}

/* ---- the first start ---- */

/* Does the target hold this name, or files of these topics, though ingest has no
 * checkpoint? Then reading from the start would bring everything twice. */
static enum status look_for_old_data(struct session *s, bool *name_out, struct cursor *cursor,
				     struct err *err)
{
	const struct config *c = s->config;
	struct lake_id target;
	enum status st = lake_ref_get(s->options.lake, LAKE_BRANCH, c->target, &target, err);

	*name_out = false;
	if (st == ST_NOT_FOUND)
		return err_set(err, ST_USAGE,
			       "lake.target=%s: no such branch; create it (`tidemark branch %s`)",
			       c->target, c->target);
	if (st == ST_OK)
		st = cursor_read(s->options.lake, &target, c->name, cursor, err);
	if (st == ST_OK) {
		*name_out = true;
		return ST_OK;
	}
	for (size_t i = 0; st == ST_NOT_FOUND && i < s->cluster.n_topics; i++) {
		AUTO(lake_list_closep) struct lake_list *list = NULL;
		AUTO(lake_entry_release) struct lake_entry entry = {0};
		AUTO(freep)
		char *root = xasprintf("%s/%s/", c->path_prefix, s->cluster.topics[i].name);

		st = lake_list_open(s->options.lake, &target, root, &list, err);
		if (st == ST_OK)
			st = lake_list_next(list, &entry, err);
		if (st == ST_OK)
			return err_set(
				err, ST_USAGE,
				"%s already holds %s, which this connector has not written, and %s "
				"has no checkpoint: reading from the start would bring everything "
				"twice; give the connector its old name, or set path.prefix to a "
				"folder of its own",
				c->target, entry.path, c->branch);
		if (st == ST_END)
			st = ST_NOT_FOUND;
	}
	return st == ST_NOT_FOUND ? ST_OK : st;
}

/* --adopt: ingest goes on at the checkpoint that the target shows. */
static enum status adopt(struct session *s, const struct cursor *cursor, struct err *err)
{
	const struct lake_move move = {LAKE_BRANCH, s->config->branch, {{0}}, cursor->checkpoint};
	enum status st;

	if (lake_id_is_none(&cursor->checkpoint))
		return err_set(err, ST_USAGE, "%s shows no checkpoint of %s to adopt",
			       s->config->target, s->config->name);
	st = lake_refs_move(s->options.lake, &move, 1, "adopt", err);
	if (st == ST_OK)
		st = lake_branch_protect(s->options.lake, s->config->branch, s->config->name, err);
	return st == ST_OK ? ingest_open(&s->ingest, &s->ingest_options, err) : st;
}

static enum status resolve_start(struct session *s, struct checkpoint *start, struct err *err)
{
	AUTO(partitions_release) struct partitions list = PARTITIONS_INIT;
	enum status st;

	all_partitions(&s->cluster, &list);
	st = ask_offsets(s, s->config->start_at_latest ? OFFSET_LATEST : OFFSET_EARLIEST, &list,
			 err);
	if (st != ST_OK)
		return st;
	for (size_t i = 0; i < list.n; i++)
		offsets_set(&start->offsets, list.items[i].topic, list.items[i].partition,
			    list.items[i].offset);
	for (size_t i = 0; i < s->cluster.n_topics; i++)
		topic_states_set(&start->topics, s->cluster.topics[i].name, s->cluster.topics[i].id,
				 0);
	start->cluster = xstrdup(s->cluster.cluster_id);
	return ST_OK;
}

static enum status first_start(struct session *s, struct err *err)
{
	AUTO(checkpoint_release) struct checkpoint start = {0};
	struct cursor cursor;
	bool name_there;
	enum status st = look_for_old_data(s, &name_there, &cursor, err);

	if (st != ST_OK)
		return st;
	if (name_there && s->options.adopt)
		return adopt(s, &cursor, err);
	if (name_there)
		return err_set(err, ST_USAGE,
			       "%s already shows data of %s, but its ingest branch %s does not "
			       "exist: reading "
			       "from the start would bring everything twice; set lake.branch to "
			       "the old name, "
			       "or take it over with --adopt",
			       s->config->target, s->config->name, s->config->branch);
	st = resolve_start(s, &start, err);
	if (st == ST_OK)
		st = ingest_start(&s->ingest, &s->ingest_options, &start, err);
	if (st == ST_CONFLICT) /* another worker was first */
		st = ingest_open(&s->ingest, &s->ingest_options, err);
	return st;
}

static enum status capture_until(struct session *s, struct err *err)
{
	AUTO(partitions_release) struct partitions list = PARTITIONS_INIT;
	enum status st;

	all_partitions(&s->cluster, &list);
	st = ask_offsets(s, OFFSET_LATEST, &list, err);
	for (size_t i = 0; st == ST_OK && i < list.n; i++)
		offsets_set(&s->until, list.items[i].topic, list.items[i].partition,
			    list.items[i].offset);
	return st;
}

enum status session_find_start(struct session *s, struct err *err)
{
	enum status st = ingest_open(&s->ingest, &s->ingest_options, err);

	if (st == ST_NOT_FOUND)
		st = first_start(s, err);
	if (st == ST_OK && s->options.until_latest)
		st = capture_until(s, err);
	return st;
}

/* ---- cluster and topics ---- */

static const struct topic_info *described(const struct session *s, const char *topic)
{
	for (size_t i = 0; i < s->cluster.n_topics; i++)
		if (strcmp(s->cluster.topics[i].name, topic) == 0)
			return &s->cluster.topics[i];
	return NULL;
}

static bool id_changed(const char *old, const char *now)
{
	return *old && *now && strcmp(old, now) != 0;
}

static enum status recreated(const struct session *s, const char *topic, struct err *err)
{
	return err_set(
		err, ST_LOST,
		"topic %s was deleted and created anew since the last checkpoint; its offsets mean "
		"other records now: set on.topic.recreated=earliest to read the new topic from its "
		"beginning (what the old one still held is recorded as lost), or give %s another "
		"name",
		topic, s->config->name);
}

/* Offsets of a topic that is another one now: from its beginning, and what was not
 * read of the old one is lost. */
static void begin_anew(const struct session *s, struct checkpoint *to, const struct topic_info *now,
		       struct losses *losses)
{
	const struct topic_state *old = topic_states_find(&s->ingest.head.topics, now->name);

	for (size_t i = 0; i < s->ingest.head.offsets.n; i++) {
		const struct offset_item *item = &s->ingest.head.offsets.items[i];

		if (strcmp(item->topic, now->name) == 0)
			losses_add(losses, item->topic, item->partition, item->value, -1,
				   "on.topic.recreated=earliest", "the topic was created anew");
	}
	offsets_remove_topic(&to->offsets, now->name);
	offsets_remove_topic(&to->leader_epochs, now->name);
	topic_states_set(&to->topics, now->name, now->id, old->generation + 1);
}

enum status session_check_topics(struct session *s, struct err *err)
{
	AUTO(checkpoint_release) struct checkpoint to = {0};
	AUTO(losses_release) struct losses losses = {0};
	const struct checkpoint *head = &s->ingest.head;
	bool changed = id_changed(head->cluster, s->cluster.cluster_id);
	bool earliest = s->config->on_recreated == POLICY_EARLIEST;

	if (changed && !earliest)
		return err_set(err, ST_LOST,
			       "bootstrap.servers=%s is another Kafka cluster (%s) than the one of "
			       "the last "
			       "checkpoint (%s): its offsets mean other records; correct "
			       "bootstrap.servers, or "
			       "set on.topic.recreated=earliest to read it from its beginning",
			       s->config->bootstrap, s->cluster.cluster_id, head->cluster);
	checkpoint_copy(&to, head);
	free(to.cluster);
	to.cluster = xstrdup(*s->cluster.cluster_id ? s->cluster.cluster_id : head->cluster);
	for (size_t i = 0; i < s->cluster.n_topics; i++) {
		const struct topic_info *now = &s->cluster.topics[i];
		const struct topic_state *old = topic_states_find(&head->topics, now->name);

		if (!old) {
			topic_states_set(&to.topics, now->name, now->id, 0);
			changed = true;
		} else if (id_changed(old->id, now->id)) {
			if (!earliest)
				return recreated(s, now->name, err);
			begin_anew(s, &to, now, &losses);
			changed = true;
		}
	}
	return changed ? ingest_adjust(&s->ingest, &to, &losses, "topics as they are now", err)
		       : ST_OK;
}

enum status session_verify_topics(struct session *s, struct err *err)
{
	enum status st = session_describe(s, START_TIMEOUT_MS, err);

	if (st == ST_NOT_FOUND)
		return err_set(err, ST_LOST,
			       "a topic is gone; what was read of it since the last "
			       "checkpoint is not committed");
	for (size_t i = 0; st == ST_OK && i < s->ingest.head.topics.n; i++) {
		const struct topic_state *old = &s->ingest.head.topics.items[i];
		const struct topic_info *now = described(s, old->name);

		if (now && id_changed(old->id, now->id))
			return recreated(s, old->name, err);
	}
	return st;
}
