#include "connector/worker/notify.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "connector/gates/post.h"
#include "connector/gates/shell.h"
#include "connector/history/state.h"
#include "connector/schema/utf8.h"
#include "connector/worker/config.h"
#include "connector/worker/publisher.h"
#include "core/base/killpoint.h"
#include "core/base/log.h"

#define FIRST_PAUSE_MS 1000
#define LAST_PAUSE_MS 60000

/* A move of the target. */
struct move {
	uint64_t sequence; /* of the publication */
	struct lake_id publication;
	bool rollback;
	char *checkpoint; /* that is shown now, in hex; "": none */
};

struct moves {
	struct move *items; /* newest first */
	size_t n, cap;
};

static void moves_release(struct moves *m)
{
	for (size_t i = 0; i < m->n; i++)
		free(m->items[i].checkpoint);
	free(m->items);
}

static bool stopped(const struct notify *n)
{
	return n->stop && *n->stop;
}

/* ---- how far a notifier has come ---- */

struct standing {
	int64_t sequence; /* of the last move that it was told, or that failed; -1: none */
	int64_t told, failed;
	json_t *failure; /* the last one; NULL */
};

static void standing_release(struct standing *s)
{
	json_decref(s->failure);
}

static char *part_of(const char *notifier)
{
	return xasprintf(STATE_NOTIFY "%s", notifier);
}

json_t *notify_state(struct lake *lake, const char *connector, const char *notifier)
{
	AUTO(freep) char *part = part_of(notifier);

	return state_read_json(lake, connector, part);
}

static void standing_read(const struct notify *n, const struct notifier *to, struct standing *out)
{
	json_t *state = notify_state(n->lake, n->config->name, to->name);
	const json_t *sequence = json_object_get(state, "sequence");
	json_t *failure = json_object_get(state, "failure");

	*out = (struct standing){
		.sequence = sequence ? json_integer_value(sequence) : -1,
		.told = json_integer_value(json_object_get(state, "told")),
		.failed = json_integer_value(json_object_get(state, "failed")),
		.failure = json_is_object(failure) ? json_incref(failure) : NULL,
	};
	json_decref(state);
}

static enum status standing_write(const struct notify *n, const struct notifier *to,
				  const struct standing *s, struct err *err)
{
	AUTO(freep) char *part = part_of(to->name);
	json_t *state = json_pack("{s:I,s:I,s:I,s:O?}", "sequence", (json_int_t)s->sequence, "told",
				  (json_int_t)s->told, "failed", (json_int_t)s->failed, "failure",
				  s->failure);

	return state_write_json(n->lake, n->config->target, n->config->name, part, state, err);
}

/* ---- telling of one move ---- */

static char *event_body(const struct notify *n, const struct notifier *to, const struct move *move,
			const struct lake_commit *commit)
{
	json_t *event;
	char time[TIME_TEXT_BYTES], id[LAKE_ID_HEX_BYTES], source[LAKE_ID_HEX_BYTES], *text;

	time_format(n->clock->wall_ms(n->clock), time);
	lake_id_hex(&commit->id, id);
	lake_id_hex(&move->publication, source);
	event = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:o,s:o,s:o}", "event_id",
			  id, "event_type", "post-merge", "event_time", time, "action_name",
			  n->config->name, "hook_id", to->name, "repository_id", lake_url(n->lake),
			  "branch_id", n->config->target, "source_ref", source, "commit_id", id,
			  "move", move->rollback ? "rollback" : "publish", "checkpoint",
			  move->checkpoint, "commit_message", utf8_json(commit->message),
			  "committer", utf8_json(commit->committer), "commit_metadata",
			  meta_json(&commit->meta));
	text = json_dumps(event, JSON_COMPACT);
	json_decref(event);
	return text;
}

static enum status run_command(const struct notify *n, const struct notifier *to,
			       const struct move *move, const struct lake_commit *commit,
			       struct err *err)
{
	AUTO(buf_release) struct buf output = BUF_INIT;
	char id[LAKE_ID_HEX_BYTES];
	char *variables[7] = {NULL};
	const struct shell_command command = {to->command, variables, to->timeout_ms, n->stop};
	enum status st;

	lake_id_hex(&commit->id, id);
	variables[0] = xasprintf("TIDEMARK_LAKE=%s", lake_url(n->lake));
	variables[1] = xasprintf("TIDEMARK_REF=%s", id);
	variables[2] = xasprintf("TIDEMARK_TARGET=%s", n->config->target);
	variables[3] = xasprintf("TIDEMARK_CONNECTOR=%s", n->config->name);
	variables[4] = xasprintf("TIDEMARK_EVENT=%s", move->rollback ? "rollback" : "publish");
	variables[5] = xasprintf("TIDEMARK_CHECKPOINT=%s", move->checkpoint);
	st = shell_run(&command, &output, err);
	for (char **v = variables; *v; v++)
		free(*v);
	return st;
}

static enum status try_once(const struct notify *n, const struct notifier *to,
			    const struct move *move, const struct lake_commit *commit,
			    struct err *err)
{
	AUTO(buf_release) struct buf output = BUF_INIT;
	AUTO(freep) char *body = NULL;

	if (to->command)
		return run_command(n, to, move, commit, err);
	body = event_body(n, to, move, commit);
	return post_event(&(struct post){.url = to->url,
					 .secret = to->secret,
					 .body = body,
					 .timeout_ms = to->timeout_ms,
					 .stop = n->stop},
			  &output, err);
}

/* May another try go better? A command's exit code says nothing of that; what a server
 * has refused it will refuse again. */
static bool again_may_help(const struct notifier *to, enum status st)
{
	return to->command ? st == ST_HELD || st == ST_BUSY : st == ST_UNREACHABLE;
}

static void pause_for(const struct notify *n, int64_t ms)
{
	for (int64_t left = ms; left > 0 && !stopped(n); left -= 50)
		n->clock->sleep_ms(n->clock, left < 50 ? left : 50);
}

/* tries: 1 at least. */
static enum status tell(const struct notify *n, const struct notifier *to, const struct move *move,
			const struct lake_commit *commit, int64_t tries, struct err *err)
{
	int64_t pause_ms = FIRST_PAUSE_MS;

	for (int64_t i = 1;; i++) {
		enum status st = stopped(n) ? ST_INTERRUPTED : try_once(n, to, move, commit, err);

		if (st == ST_OK || st == ST_INTERRUPTED || i >= tries || !again_may_help(to, st))
			return st;
		pause_for(n, pause_ms);
		pause_ms = 2 * pause_ms < LAST_PAUSE_MS ? 2 * pause_ms : LAST_PAUSE_MS;
	}
}

static void note_failure(const struct notify *n, const struct notifier *to, struct standing *s,
			 const struct lake_commit *commit, const struct err *err)
{
	char id[LAKE_ID_HEX_BYTES], time[TIME_TEXT_BYTES];

	lake_id_hex(&commit->id, id);
	time_format(n->clock->wall_ms(n->clock), time);
	log_warn("notification failed", LOG_S("connector", n->config->name),
		 LOG_S("notifier", to->name), LOG_S("commit", id), LOG_S("reason", err->text));
	json_decref(s->failure);
	s->failure = json_pack("{s:s,s:o,s:s}", "commit", id, "reason", utf8_json(err->text),
			       "since", time);
	s->failed++;
}

/* ---- all that there is to tell ---- */

/* What was shown since the sequence, newest first. */
static enum status moves_since(const struct line *line, int64_t sequence, struct moves *out,
			       struct err *err)
{
	struct shown shown;
	struct lake_id at;
	enum status st = shown_read(line, &shown, err);

	at = shown.id;
	for (uint64_t left = shown.sequence; st == ST_OK && (int64_t)left > sequence; left--) {
		AUTO(lake_commit_release) struct lake_commit x = {0};
		const char *checkpoint;

		st = lake_commit_read(line->lake, &at, &x, err);
		if (st != ST_OK)
			return st;
		checkpoint = lake_meta_get(&x.meta, META_CHECKPOINT);
		GROW(out->items, out->n, out->cap);
		out->items[out->n++] = (struct move){
			.sequence = left,
			.publication = at,
			.rollback = !lake_meta_get(&x.meta, META_RECORDS),
			.checkpoint = xstrdup(checkpoint ? checkpoint : ""),
		};
		if (x.n_parents == 0)
			return err_set(err, ST_DAMAGED, "%s ends too early", line->published);
		at = x.parents[0];
	}
	return st;
}

/* A move that a reset has taken off the target since has no commit to tell of. */
static enum status tell_of(const struct notify *n, const struct notifier *to,
			   const struct line *line, const struct move *move, struct standing *s,
			   struct err *err)
{
	AUTO(lake_commit_release) struct lake_commit commit = {0};
	struct lake_id target;
	struct cursor cursor;
	struct err why = ERR_INIT;
	enum status st = lake_ref_get(n->lake, LAKE_BRANCH, line->target, &target, err);

	if (st == ST_OK)
		st = publication_on_target(line, &target, move->sequence, &commit, err);
	if (st == ST_OK)
		st = cursor_read(n->lake, &commit.id, line->connector, &cursor, err);
	if (st != ST_OK)
		return st;
	if (cursor.sequence == move->sequence) {
		/* where it has just failed there is no use in waiting long again */
		bool was_well = !s->failure;

		st = tell(n, to, move, &commit, was_well ? to->retries + 1 : 1, &why);
		if (st == ST_INTERRUPTED)
			return err_set(err, st, "stopped");
		KILL_POINT("notify.told");
		if (st == ST_OK) {
			s->told++;
			json_decref(s->failure);
			s->failure = NULL;
		} else {
			note_failure(n, to, s, &commit, &why);
		}
	}
	s->sequence = (int64_t)move->sequence;
	return standing_write(n, to, s, err);
}

enum status notify_catch_up(const struct notify *n, const struct notifier *to, struct err *err)
{
	AUTO(standing_release) struct standing s = {0};
	AUTO(moves_release) struct moves moves = {0};
	struct line line = config_line(n->config, n->lake, NULL);
	enum status st;

	standing_read(n, to, &s);
	st = moves_since(&line, s.sequence < 0 ? INT64_MAX : s.sequence, &moves, err);
	for (size_t i = moves.n; st == ST_OK && i > 0; i--)
		st = tell_of(n, to, &line, &moves.items[i - 1], &s, err);
	return st == ST_NOT_FOUND && moves.n == 0 ? ST_OK : st;
}

enum status notify_begin(const struct notify *n, struct err *err)
{
	struct line line = config_line(n->config, n->lake, NULL);
	struct shown shown = {0};
	enum status st = shown_read(&line, &shown, err);

	if (st == ST_NOT_FOUND)
		st = ST_OK; /* it has never started */
	for (size_t i = 0; st == ST_OK && i < n->config->n_notifiers; i++) {
		const struct notifier *to = &n->config->notifiers[i];
		AUTO(standing_release) struct standing s = {0};

		standing_read(n, to, &s);
		/* greater: the publication branch was made anew */
		if (s.sequence >= 0 && s.sequence <= (int64_t)shown.sequence)
			continue;
		s.sequence = (int64_t)shown.sequence;
		st = standing_write(n, to, &s, err);
	}
	return st;
}

void notify_all(const struct notify *n)
{
	for (size_t i = 0; i < n->config->n_notifiers; i++) {
		const struct notifier *to = &n->config->notifiers[i];
		AUTO(freep) char *secret = xasprintf("publish.notify.%s.secret", to->name);
		AUTO(freep) char *url = xasprintf("publish.notify.%s.url", to->name);
		struct err err = ERR_INIT;

		if (config_withholds(n->config, secret) || config_withholds(n->config, url))
			log_info("notification is left to the connector's next start",
				 LOG_S("notifier", to->name), LOG_S("withheld", secret));
		else if (notify_catch_up(n, to, &err) != ST_OK)
			log_warn("notification is left to the connector's next start",
				 LOG_S("notifier", to->name), LOG_S("reason", err.text));
	}
}
