#include "connector/worker/answers.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CALL_WAIT_MS 60000

void answers_init(struct answers *a, const char *name)
{
	*a = (struct answers){.name = name};
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->cond, NULL);
}

void answers_release(struct answers *a)
{
	session_status_release(&a->status);
	offsets_release(&a->lag);
	pthread_cond_destroy(&a->cond);
	pthread_mutex_destroy(&a->lock);
}

/* ---- to commands ---- */

static enum status answer_checkpoint(struct answers *a, struct buf *out, struct err *err)
{
	char hex[LAKE_ID_HEX_BYTES];
	struct timespec until;
	enum status st = ST_OK;
	uint64_t mine;

	deadline_after(CALL_WAIT_MS, &until);
	pthread_mutex_lock(&a->lock);
	mine = ++a->asked;
	while (a->answered < mine && !a->gone && st == ST_OK)
		if (pthread_cond_timedwait(&a->cond, &a->lock, &until) != 0)
			st = err_set(err, ST_UNREACHABLE,
				     "the connector did not answer within %d s",
				     CALL_WAIT_MS / 1000);
	if (a->answered >= mine) {
		st = a->answer;
		*err = a->answer_err;
		lake_id_hex(&a->answer_id, hex);
		buf_addf(out, "{\"commit\":\"%s\",\"records\":%" PRIu64 "}", hex,
			 a->answer_records);
	} else if (st == ST_OK) {
		st = err_set(err, ST_NOT_FOUND, "the connector is stopping");
	}
	pthread_mutex_unlock(&a->lock);
	return st;
}

static void put_offsets(json_t *object, const char *key, const struct offsets *o)
{
	AUTO(buf_release) struct buf text = BUF_INIT;

	offsets_to_json(o, &text);
	json_object_set_new(object, key, json_loads(buf_str(&text), 0, NULL));
}

static void answer_status(struct answers *a, struct buf *out)
{
	AUTO(offsets_release) struct offsets positions = OFFSETS_INIT;
	json_t *object = json_object();
	char *text;

	pthread_mutex_lock(&a->lock);
	for (size_t i = 0; i < a->status.positions.n; i++)
		offsets_set(&positions, a->status.positions.items[i].topic,
			    a->status.positions.items[i].partition,
			    a->status.positions.items[i].offset);
	json_object_set_new(object, "state", json_string(a->paused ? "PAUSED" : "RUNNING"));
	json_object_set_new(object, "pending", json_integer((json_int_t)a->status.pending_records));
	json_object_set_new(object, "stalled_ms", json_integer((json_int_t)a->status.stalled_ms));
	put_offsets(object, "positions", &positions);
	if (a->lag_known)
		put_offsets(object, "lag", &a->lag);
	pthread_mutex_unlock(&a->lock);
	text = json_dumps(object, JSON_COMPACT);
	buf_adds(out, text);
	free(text);
	json_decref(object);
}

enum status answers_call(void *ctx, const char *method, const char *in, struct buf *out,
			 struct err *err)
{
	struct answers *a = ctx;
	json_t *request = json_loads(in, 0, NULL);
	const char *name = json_string_value(json_object_get(request, "name"));
	bool mine = name && strcmp(name, a->name) == 0;

	json_decref(request);
	if (!mine)
		return err_set(err, ST_NOT_FOUND, "the process that owns the lake runs %s only",
			       a->name);
	if (strcmp(method, "checkpoint") == 0)
		return answer_checkpoint(a, out, err);
	if (strcmp(method, "status") == 0) {
		answer_status(a, out);
		return ST_OK;
	}
	if (strcmp(method, "refresh") == 0) {
		pthread_mutex_lock(&a->lock);
		a->refresh = true;
		pthread_mutex_unlock(&a->lock);
		buf_adds(out, "{}");
		return ST_OK;
	}
	return err_set(err, ST_USAGE, "no such call: %s", method);
}

/* ---- from the connector ---- */

bool answers_checkpoint_asked(struct answers *a, uint64_t *asked_out)
{
	bool asked;

	pthread_mutex_lock(&a->lock);
	asked = a->asked != a->answered;
	*asked_out = a->asked;
	pthread_mutex_unlock(&a->lock);
	return asked;
}

void answers_checkpointed(struct answers *a, uint64_t asked, enum status st, const struct err *err,
			  const struct checkpoint *head)
{
	pthread_mutex_lock(&a->lock);
	a->answered = asked;
	a->answer = st;
	a->answer_err = *err;
	a->answer_id = head->id;
	a->answer_records = head->records;
	pthread_cond_broadcast(&a->cond);
	pthread_mutex_unlock(&a->lock);
}

bool answers_take_refresh(struct answers *a)
{
	bool refresh;

	pthread_mutex_lock(&a->lock);
	refresh = a->refresh;
	a->refresh = false;
	pthread_mutex_unlock(&a->lock);
	return refresh;
}

void answers_set_paused(struct answers *a, bool paused)
{
	pthread_mutex_lock(&a->lock);
	a->paused = paused;
	pthread_mutex_unlock(&a->lock);
}

void answers_set_status(struct answers *a, struct session_status *status)
{
	pthread_mutex_lock(&a->lock);
	session_status_release(&a->status);
	a->status = *status;
	pthread_mutex_unlock(&a->lock);
}

void answers_set_lag(struct answers *a, struct offsets *lag)
{
	pthread_mutex_lock(&a->lock);
	offsets_release(&a->lag);
	a->lag = *lag;
	a->lag_known = true;
	pthread_mutex_unlock(&a->lock);
}

void answers_end(struct answers *a)
{
	pthread_mutex_lock(&a->lock);
	a->gone = true;
	pthread_cond_broadcast(&a->cond);
	pthread_mutex_unlock(&a->lock);
}
