#include "connector/kafka/client.h"

#include <pthread.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/log.h"

/* One for a handle: its rd_kafka_opaque. */
struct client_state {
	pthread_mutex_t lock;
	char last_error[256]; /* guarded by lock */
};

static void on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
	struct client_state *state = opaque;

	(void)rk;
	pthread_mutex_lock(&state->lock);
	snprintf(state->last_error, sizeof(state->last_error), "%s: %s",
		 rd_kafka_err2str((rd_kafka_resp_err_t)code), reason);
	pthread_mutex_unlock(&state->lock);
}

/* librdkafka's own lines: kept as debug output, and as the reason where a
 * request then times out. */
static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
	(void)rk;
	if (level <= 3)
		log_debug("kafka", LOG_S("facility", facility), LOG_S("text", text));
}

void client_last_error(rd_kafka_t *rk, char *out, size_t size)
{
	struct client_state *state = rd_kafka_opaque(rk);

	pthread_mutex_lock(&state->lock);
	snprintf(out, size, "%s", state->last_error);
	pthread_mutex_unlock(&state->lock);
}

enum status client_conf_set(rd_kafka_conf_t *conf, const char *key, const char *value,
			    struct err *err)
{
	char reason[256];

	switch (rd_kafka_conf_set(conf, key, value, reason, sizeof(reason))) {
	case RD_KAFKA_CONF_OK:
		return ST_OK;
	case RD_KAFKA_CONF_UNKNOWN:
		return err_set(err, ST_USAGE, "%s: librdkafka has no such property", key);
	default:
		/* the reason may hold the value; it is never a secret's: those are text */
		return err_set(err, ST_USAGE, "%s: %s", key, reason);
	}
}

enum status client_conf(const struct props *client, rd_kafka_conf_t **out, struct err *err)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();

	for (size_t i = 0; i < client->n; i++) {
		enum status st =
			client_conf_set(conf, client->items[i].key, client->items[i].value, err);

		if (st != ST_OK) {
			rd_kafka_conf_destroy(conf);
			return st;
		}
	}
	*out = conf;
	return ST_OK;
}

enum status client_new(rd_kafka_type_t type, rd_kafka_conf_t *conf, rd_kafka_t **out,
		       struct err *err)
{
	struct client_state *state = xcalloc(1, sizeof(*state));
	char reason[512];
	rd_kafka_t *rk;

	pthread_mutex_init(&state->lock, NULL);
	rd_kafka_conf_set_opaque(conf, state);
	rd_kafka_conf_set_error_cb(conf, on_error);
	rd_kafka_conf_set_log_cb(conf, on_log);
	rk = rd_kafka_new(type, conf, reason, sizeof(reason));
	if (!rk) {
		rd_kafka_conf_destroy(conf);
		free(state);
		return err_set(err, ST_USAGE, "the Kafka client refuses its properties: %s",
			       reason);
	}
	*out = rk;
	return ST_OK;
}

enum status client_status(rd_kafka_resp_err_t code)
{
	switch (code) {
	case RD_KAFKA_RESP_ERR_NO_ERROR:
		return ST_OK;
	case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
	case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
	case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
	case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_ID:
		return ST_NOT_FOUND;
	case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
	case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
	case RD_KAFKA_RESP_ERR__LOG_TRUNCATION:
		return ST_LOST;
	case RD_KAFKA_RESP_ERR__AUTHENTICATION:
	case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
	case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
	case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
	case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
		return ST_USAGE;
	case RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID:
		return ST_BUSY;
	default:
		return ST_UNREACHABLE;
	}
}

/* "<what>: <code's text>[; <the client's own last error>]" */
static enum status request_failed(rd_kafka_t *rk, rd_kafka_resp_err_t code, const char *what,
				  struct err *err)
{
	char last[256];
	enum status st = client_status(code);

	client_last_error(rk, last, sizeof(last));
	if (strstr(last, "uthenticat"))
		st = ST_USAGE;
	return err_set(err, st, "%s: %s%s%s", what, rd_kafka_err2str(code), *last ? "; " : "",
		       last);
}

/* Runs an admin request that `start` sends to a queue; *event_out is the
 * caller's to destroy. */
static enum status admin_wait(rd_kafka_t *rk, rd_kafka_queue_t *queue, int timeout_ms,
			      const char *what, rd_kafka_event_t **event_out, struct err *err)
{
	rd_kafka_event_t *event = rd_kafka_queue_poll(queue, timeout_ms + 1000);
	enum status st;

	if (!event)
		return request_failed(rk, RD_KAFKA_RESP_ERR__TIMED_OUT, what, err);
	if (rd_kafka_event_error(event)) {
		st = request_failed(rk, rd_kafka_event_error(event), what, err);
		rd_kafka_event_destroy(event);
		return st;
	}
	*event_out = event;
	return ST_OK;
}

static void topic_id(const rd_kafka_TopicDescription_t *topic, char **out)
{
	const rd_kafka_Uuid_t *id = rd_kafka_TopicDescription_topic_id(topic);
	bool zero = !id || (rd_kafka_Uuid_most_significant_bits(id) == 0 &&
			    rd_kafka_Uuid_least_significant_bits(id) == 0);

	*out = xstrdup(zero ? "" : rd_kafka_Uuid_base64str(id));
}

static enum status take_topics(rd_kafka_t *rk, const rd_kafka_event_t *event,
			       struct cluster_info *out, struct err *err)
{
	size_t n;
	const rd_kafka_TopicDescription_t **topics = rd_kafka_DescribeTopics_result_topics(
		rd_kafka_event_DescribeTopics_result((rd_kafka_event_t *)event), &n);

	out->topics = xcalloc(n, sizeof(*out->topics));
	for (size_t i = 0; i < n; i++) {
		const rd_kafka_error_t *error = rd_kafka_TopicDescription_error(topics[i]);
		const char *name = rd_kafka_TopicDescription_name(topics[i]);
		size_t partitions;

		if (error && rd_kafka_error_code(error)) {
			rd_kafka_resp_err_t code = rd_kafka_error_code(error);
			char what[300];

			if (client_status(code) == ST_NOT_FOUND)
				return err_set(
					err, ST_NOT_FOUND,
					"topic %s does not exist on this cluster; create it, or "
					"correct `topics`",
					name);
			snprintf(what, sizeof(what), "cannot describe topic %s", name);
			return request_failed(rk, code, what, err);
		}
		rd_kafka_TopicDescription_partitions(topics[i], &partitions);
		out->topics[i].name = xstrdup(name);
		out->topics[i].partitions = (int32_t)partitions;
		topic_id(topics[i], &out->topics[i].id);
		out->n_topics = i + 1;
	}
	return ST_OK;
}

static enum status describe_topics(rd_kafka_t *rk, const char *const *topics, size_t n,
				   int timeout_ms, struct cluster_info *out, struct err *err)
{
	rd_kafka_TopicCollection_t *names =
		rd_kafka_TopicCollection_of_topic_names((const char **)topics, n);
	rd_kafka_AdminOptions_t *options =
		rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_DESCRIBETOPICS);
	rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
	rd_kafka_event_t *event = NULL;
	char reason[256];
	enum status st;

	rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, reason, sizeof(reason));
	rd_kafka_DescribeTopics(rk, names, options, queue);
	st = admin_wait(rk, queue, timeout_ms, "cannot describe the topics", &event, err);
	if (st == ST_OK)
		st = take_topics(rk, event, out, err);
	if (event)
		rd_kafka_event_destroy(event);
	rd_kafka_queue_destroy(queue);
	rd_kafka_AdminOptions_destroy(options);
	rd_kafka_TopicCollection_destroy(names);
	return st;
}

enum status client_describe(rd_kafka_t *rk, const char *const *topics, size_t n, int timeout_ms,
			    struct cluster_info *out, struct err *err)
{
	struct cluster_info info = {0};
	enum status st;
	char *id;

	if (n > 0) {
		st = describe_topics(rk, topics, n, timeout_ms, &info, err);
		if (st != ST_OK) {
			cluster_info_release(&info);
			return st;
		}
	}
	id = rd_kafka_clusterid(rk, timeout_ms);
	info.cluster_id = xstrdup(id ? id : "");
	if (id)
		rd_kafka_mem_free(rk, id);
	*out = info;
	return ST_OK;
}

enum status client_match_topics(rd_kafka_t *rk, const char *regex, int timeout_ms,
				char ***names_out, size_t *n_out, struct err *err)
{
	AUTO(freep) char *whole = xasprintf("^(%s)$", regex);
	const struct rd_kafka_metadata *metadata;
	rd_kafka_resp_err_t code;
	size_t cap = 0;
	regex_t re;

	if (regcomp(&re, whole, REG_EXTENDED | REG_NOSUB) != 0)
		return err_set(err, ST_USAGE,
			       "topics.regex=%s is no (POSIX extended) regular expression", regex);
	code = rd_kafka_metadata(rk, 1, NULL, &metadata, timeout_ms);
	if (code) {
		regfree(&re);
		return request_failed(rk, code, "cannot list the topics", err);
	}
	*names_out = NULL;
	*n_out = 0;
	for (int i = 0; i < metadata->topic_cnt; i++) {
		const char *name = metadata->topics[i].topic;

		if (metadata->topics[i].err || strncmp(name, "__", 2) == 0 ||
		    regexec(&re, name, 0, NULL, 0) != 0)
			continue;
		GROW(*names_out, *n_out, cap);
		(*names_out)[(*n_out)++] = xstrdup(name);
	}
	rd_kafka_metadata_destroy(metadata);
	regfree(&re);
	return ST_OK;
}

static void take_offsets(const rd_kafka_event_t *event, struct partitions *list)
{
	size_t n;
	const rd_kafka_ListOffsetsResultInfo_t **infos = rd_kafka_ListOffsets_result_infos(
		rd_kafka_event_ListOffsets_result((rd_kafka_event_t *)event), &n);

	for (size_t i = 0; i < n; i++) {
		const rd_kafka_topic_partition_t *tp =
			rd_kafka_ListOffsetsResultInfo_topic_partition(infos[i]);
		/* answers come in the order of the question; if not, they are searched */
		struct partition *p = i < list->n ? &list->items[i] : NULL;

		if (!p || p->partition != tp->partition || strcmp(p->topic, tp->topic) != 0)
			p = partitions_find(list, tp->topic, tp->partition);
		if (!p)
			continue;
		p->status = client_status(tp->err);
		p->offset = tp->err ? -1 : tp->offset;
	}
}

enum status client_list_offsets(rd_kafka_t *rk, enum offset_spec spec, struct partitions *list,
				int timeout_ms, struct err *err)
{
	rd_kafka_topic_partition_list_t *wanted = rd_kafka_topic_partition_list_new((int)list->n);
	rd_kafka_AdminOptions_t *options =
		rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_LISTOFFSETS);
	rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
	rd_kafka_event_t *event = NULL;
	char reason[256];
	enum status st = ST_OK;

	for (size_t i = 0; i < list->n; i++) {
		struct partition *p = &list->items[i];

		p->status = ST_UNREACHABLE;
		p->offset = -1;
		rd_kafka_topic_partition_list_add(wanted, p->topic, p->partition)->offset =
			spec == OFFSET_EARLIEST ? RD_KAFKA_OFFSET_SPEC_EARLIEST
						: RD_KAFKA_OFFSET_SPEC_LATEST;
	}
	rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, reason, sizeof(reason));
	rd_kafka_error_destroy(rd_kafka_AdminOptions_set_isolation_level(
		options, RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED));
	if (list->n > 0) {
		rd_kafka_ListOffsets(rk, wanted, options, queue);
		st = admin_wait(rk, queue, timeout_ms, "cannot list the offsets", &event, err);
	}
	if (event) {
		take_offsets(event, list);
		rd_kafka_event_destroy(event);
	}
	rd_kafka_queue_destroy(queue);
	rd_kafka_AdminOptions_destroy(options);
	rd_kafka_topic_partition_list_destroy(wanted);
	return st;
}
