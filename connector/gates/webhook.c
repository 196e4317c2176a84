/* The gate that asks a server: POST with the body of lakeFS's pre-merge event,
 * so that a receiver made for that takes this too. */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>

#include "connector/gates/gate_run.h"
#include "connector/gates/post.h"

/* Pauses between tries. */
#define FIRST_PAUSE_MS 100
#define LAST_PAUSE_MS 5000

static char *event_body(const struct gate_run *run, const struct lake_commit *commit)
{
	const struct gate_subject *s = run->subject;
	json_t *metadata = json_object();
	char time[TIME_TEXT_BYTES], merged[LAKE_ID_HEX_BYTES], head[LAKE_ID_HEX_BYTES], *text;
	json_t *event;

	for (size_t i = 0; i < commit->meta.n; i++)
		json_object_set_new(metadata, commit->meta.items[i].key,
				    json_string(commit->meta.items[i].value));
	time_format(s->clock->wall_ms(s->clock), time);
	lake_id_hex(&s->merged, merged);
	lake_id_hex(&s->target_head, head);
	event = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:o}", "event_id",
			  merged, "event_type", "pre-merge", "event_time", time, "action_name",
			  s->connector, "hook_id", run->gate->name, "repository_id",
			  lake_url(s->lake), "branch_id", s->target, "source_ref", merged,
			  "commit_id", merged, "target_head", head, "commit_message",
			  commit->message, "committer", commit->committer, "commit_metadata",
			  metadata);
	text = json_dumps(event, JSON_COMPACT);
	json_decref(event);
	return text;
}

/* false: no time is left, or the process stops. */
static bool pause_before(const struct gate_run *run, int64_t pause_ms)
{
	struct clock *clock = run->subject->clock;

	while (pause_ms > 0 && gate_time(run, NULL) == ST_OK) {
		int64_t part = pause_ms < 50 ? pause_ms : 50;

		clock->sleep_ms(clock, part);
		pause_ms -= part;
	}
	return gate_time(run, NULL) == ST_OK;
}

static enum status ask_until(struct gate_run *run, const char *body, struct err *err)
{
	struct clock *clock = run->subject->clock;
	struct post post = {
		.url = run->gate->url,
		.secret = run->gate->secret,
		.body = body,
		.stop = run->subject->stop,
	};
	int64_t pause_ms = FIRST_PAUSE_MS;

	for (unsigned tries = 1;; tries++) {
		int64_t left_ms = (run->end_us - clock->mono_us(clock)) / 1000;
		enum status st;

		post.timeout_ms = left_ms > 1 ? left_ms : 1;
		st = post_event(&post, &run->output, err);
		if (st == ST_INTERRUPTED)
			return err_set(err, st, "stopped");
		/* it asks: to ask again changes nothing */
		if (st != ST_UNREACHABLE)
			return st;
		if (!pause_before(run, pause_ms)) {
			st = gate_time(run, NULL);
			if (st == ST_INTERRUPTED)
				return err_set(err, st, "stopped");
			return err_wrap(err, ST_UNREACHABLE,
					"no verdict within %" PRId64 " ms (%u tries)",
					run->gate->timeout_ms, tries);
		}
		pause_ms = 2 * pause_ms < LAST_PAUSE_MS ? 2 * pause_ms : LAST_PAUSE_MS;
	}
}

enum status gate_run_webhook(struct gate_run *run, struct err *err)
{
	AUTO(lake_commit_release) struct lake_commit commit = {.n_parents = 0};
	AUTO(freep) char *body = NULL;
	enum status st = lake_commit_read(run->subject->lake, &run->subject->merged, &commit, err);

	if (st != ST_OK)
		return st;
	body = event_body(run, &commit);
	return ask_until(run, body, err);
}
