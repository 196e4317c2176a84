/* How a session comes to its consumer: what the topics ask for, the plan of memory,
 * the member of the group. */
#include <stdlib.h>

#include "connector/columnar/parquet_file.h"
#include "connector/worker/session_impl.h"
#include "core/base/log.h"

static size_t partitions_of(const struct cluster_info *cluster)
{
	size_t n = 0;

	for (size_t i = 0; i < cluster->n_topics; i++)
		n += (size_t)cluster->topics[i].partitions;
	return n;
}

/* The partitions that the head has offsets of: most often those that there are. */
static size_t known_partitions(const struct session *s)
{
	AUTO(lake_commit_release) struct lake_commit head = {.n_parents = 0};
	AUTO(offsets_release) struct offsets offsets = OFFSETS_INIT;
	struct lake *lake = s->options.lake;
	struct lake_id id;

	if (lake_ref_get(lake, LAKE_BRANCH, s->config->branch, &id, NULL) != ST_OK ||
	    lake_commit_read(lake, &id, &head, NULL) != ST_OK ||
	    checkpoint_offsets(lake, &head, &offsets, NULL) != ST_OK)
		return 0; /* whatever it is, the start says so */
	return offsets.n;
}

static void plan(struct session *s)
{
	const struct config *c = s->config;
	int64_t library = c->format == FORMAT_PARQUET ? PARQUET_LIBRARY_BYTES : 0;
	size_t partitions = partitions_of(&s->cluster);

	s->n_tasks = c->tasks_max ? c->tasks_max : partitions < 4 ? (int)partitions : 4;
	if (s->n_tasks < 1)
		s->n_tasks = 1;
	if (c->format == FORMAT_PARQUET && !s->shared.writer.group_bytes)
		s->shared.writer.group_bytes =
			memory_row_group(c->memory_max_bytes, library,
					 partitions * (c->partitioner ? MEMORY_FOLDERS : 1),
					 partition_writer_group_copies(&s->shared.writer));
	s->memory = memory_plan_make(c->memory_max_bytes, library, partitions, s->n_tasks,
				     partition_writer_memory(&s->shared.writer));
	s->shared.writer.open_files = s->memory.files_per_writer;
}

static void log_plan(const struct session *s)
{
	const struct memory_plan *m = &s->memory;

	log_info("memory", LOG_I("max_bytes", m->total), LOG_I("base", m->base),
		 LOG_I("fetch_queues", m->queues), LOG_I("open_files", m->writers),
		 LOG_I("queue_kbytes", m->queue_kbytes), LOG_I("files_per_task", m->files_per_task),
		 LOG_I("files_per_writer", m->files_per_writer), LOG_I("tasks", s->n_tasks));
	if (s->config->partitioner && m->files_per_writer < 2)
		log_warn("memory.max.bytes holds one open file for each partition, so folders "
			 "that take turns make small files: raise it",
			 LOG_I("max_bytes", m->total),
			 LOG_I("files_per_writer", m->files_per_writer));
	if (m->needed > m->total + m->total / 16 && s->config->format == FORMAT_PARQUET)
		log_warn("memory.max.bytes does not hold a Parquet file for each partition: raise "
			 "it",
			 LOG_I("max_bytes", m->total), LOG_I("needed", m->needed));
}

/* partitions: what the member's id speaks of. A broker gives a static
 * member that comes back the partitions it had, without a look at what there is now;
 * so where topics have grown it comes as another. (The one it was is waited for until
 * its session ends, 10 s.) */
static enum status open_consumer(struct session *s, int tasks, int32_t queue_kbytes,
				 size_t partitions, struct err *err)
{
	AUTO(freep) char *member = xasprintf("%s-%zu", s->config->instance_id, partitions);
	struct consumer_options options = {
		.client = &s->config->client,
		.group_id = s->config->group_id,
		.instance_id = member,
		.topics = (const char *const *)s->config->topics.items,
		.n_topics = s->config->topics.n,
		.regex = s->config->topics_regex,
		.tasks = tasks,
		.queued_max_kbytes = queue_kbytes,
		.events = session_events,
	};

	options.events.ctx = s;
	return s->options.open_consumer(s->options.open_ctx, &options, &s->consumer, err);
}

/* A first handle asks what there is; where that needs other limits, or another
 * member, a second one is opened with them. */
enum status session_connect(struct session *s, struct err *err)
{
	const size_t known = known_partitions(s);
	const int32_t first_kbytes = 4096;
	const int first_tasks = s->config->tasks_max ? s->config->tasks_max : 4;
	enum status st = open_consumer(s, first_tasks, first_kbytes, known, err);
	size_t partitions;

	if (st == ST_OK)
		st = session_describe(s, START_TIMEOUT_MS, err);
	if (st != ST_OK)
		return st;
	plan(s);
	log_plan(s);
	partitions = partitions_of(&s->cluster);
	if (s->memory.queue_kbytes != first_kbytes || s->n_tasks > first_tasks ||
	    partitions != known) {
		s->consumer->ops->close(s->consumer);
		s->consumer = NULL;
		st = open_consumer(s, s->n_tasks, s->memory.queue_kbytes, partitions, err);
	}
	s->shared.consumer = s->consumer;
	s->shared.limit_files = s->memory.files_per_task;
	s->shared.limit_waiting = s->memory.waiting_per_task;
	return st;
}
