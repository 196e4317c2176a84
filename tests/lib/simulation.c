#include "tests/lib/simulation_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/base/killpoint.h"
#include "core/base/log.h"

#define LIVES_MAX 12
#define FINALE_STEPS 4000
#define REPLAYS 2
#define REPLAY_POINTS 60 /* kill points that a replay passes, roughly */
#define LOGS_FULL_MS 300000

void sim_event(struct sim *s, const char *fmt, ...)
{
	struct sim_world *w = s->world;
	char text[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	w->result.trace = sim_hash(w->result.trace, text);
	if (w->options.verbose)
		printf("%8" PRId64 " %s\n", virtual_clock_ms(&w->clock), text);
}

void sim_fail(struct sim *s, const char *fmt, ...)
{
	struct sim_world *w = s->world;
	va_list args;

	va_start(args, fmt);
	vsnprintf(w->result.why, sizeof(w->result.why), fmt, args);
	va_end(args);
	fflush(NULL);
	_exit(1);
}

uint64_t sim_dice(struct sim *s, uint64_t limit)
{
	return rng_below(&s->world->dice, limit);
}

enum status sim_head(struct sim *s, const char *branch, struct lake_id *out)
{
	struct err err = ERR_INIT;
	enum status st = lake_ref_get(s->lake, LAKE_BRANCH, branch, out, &err);

	if (st != ST_OK && st != ST_NOT_FOUND)
		sim_fail(s, "%s: %s", branch, err.text);
	return st;
}

/* ---- kill points ---- */

static void count_point(struct sim_result *r, const char *name)
{
	for (unsigned i = 0; i < r->n_points; i++) {
		if (strcmp(r->points[i].name, name) == 0) {
			r->points[i].passed++;
			return;
		}
	}
	if (r->n_points < SIM_POINTS_MAX) {
		struct sim_point *p = &r->points[r->n_points++];

		snprintf(p->name, sizeof(p->name), "%s", name);
		p->passed = 1;
	}
}

static void on_kill_point(const char *name, void *ctx)
{
	struct sim *s = ctx;
	struct sim_world *w = s->world;

	if (w->result.lives == 1)
		count_point(&w->result, name);
	if (w->armed && (!*w->kill_name || strcmp(w->kill_name, name) == 0) &&
	    --w->countdown == 0) {
		sim_event(s, "killed at %s", name);
		w->armed = false;
		w->result.killed = true;
		w->result.replay_kills += w->replaying;
		fflush(NULL);
		kill(getpid(), SIGKILL);
	}
	if (!s->injecting && !w->calm) {
		s->injecting = true;
		sim_rival(s, name);
		s->injecting = false;
	}
}

/* ---- a life's beginning and end ---- */

static void set_number(struct props *p, const char *key, uint64_t n)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, n);
	props_set(p, key, text);
}

static void make_config(struct sim *s)
{
	const struct fake_kafka_options *k = &s->world->kafka;
	struct rng r = rng_seeded(k->seed ^ 0xc0f);
	struct props p = PROPS_INIT;
	struct err err = ERR_INIT;
	AUTO(freep)
	char *topics =
		xasprintf("t0%s%s", k->n_topics > 1 ? ",t1" : "", k->n_topics > 2 ? ",t2" : "");
	AUTO(freep) char *schema = xasprintf("%s.avsc", s->dir);

	props_set(&p, "name", "sim");
	props_set(&p, "topics", topics);
	props_set(&p, "bootstrap.servers", "fake:9092");
	props_set(&p, "worker.id", "w");
	row_layout_config(&k->layout, schema, &p);
	if (k->poison)
		props_set(&p, "errors.tolerance", "all");
	props_set(&p, "on.topic.recreated", "earliest");
	props_set(&p, "on.offset.out.of.range", rng_below(&r, 3) ? "earliest" : "latest");
	set_number(&p, "tasks.max", 1 + rng_below(&r, 3));
	set_number(&p, "checkpoint.interval.ms", 200 + rng_below(&r, 3000));
	if (rng_below(&r, 2))
		set_number(&p, "checkpoint.records", 5 + rng_below(&r, 100));
	if (config_load(&p, &s->config, &err) != ST_OK)
		sim_fail(s, "config: %s", err.text);
}

static void open_life(struct sim *s)
{
	struct sim_world *w = s->world;
	const struct lake_options options = {
		.access = LAKE_OWN, .create = true, .clock = &w->clock.clock, .committer = "sim"};
	struct err err = ERR_INIT;

	log_set_level(w->options.verbose ? LOG_INFO : LOG_ERROR);
	make_config(s);
	s->running = -1;
	kill_point_set_hook(on_kill_point, s);
	if (lake_open(s->dir, &options, &s->lake, &err) != ST_OK)
		sim_fail(s, "the lake does not open: %s", err.text);
	s->kafka = fake_kafka_new(&w->kafka, &w->clock.clock);
	if (w->calm)
		fake_kafka_calm(s->kafka);
	s->line = config_line(&s->config, s->lake, &w->ids);
	s->publisher = (struct publisher){
		.config = &s->config,
		.lake = s->lake,
		.clock = &w->clock.clock,
		.rng = &w->ids,
	};
	s->n_members = 1 + (int)(w->kafka.seed % 3 == 0);
}

static void close_life(struct sim *s)
{
	for (int i = 0; i < s->n_members; i++)
		sim_close(s, i, false);
	kill_point_set_hook(NULL, NULL);
	fake_kafka_free(s->kafka);
	config_release(&s->config);
	lake_close(s->lake);
}

/* ---- sessions ---- */

static void on_checkpoint(void *ctx, const struct checkpoint *head, const struct batch *batch)
{
	struct sim *s = ctx;
	struct sim_world *w = s->world;
	char hex[LAKE_ID_SHORT_BYTES];

	lake_id_short(&head->id, hex);
	sim_event(s, "checkpoint %s: %" PRIu64 " rows, %" PRIu64 " dead", hex, batch->records,
		  batch->deadletters);
	w->result.checkpoints++;
	w->result.rows += (unsigned)batch->records;
	w->heads[w->n_heads++ % HEADS_MAX] = head->id;
}

static void open_member(struct sim *s, int i)
{
	const struct session_options options = {
		.config = &s->config,
		.lake = s->lake,
		.clock = &s->world->clock.clock,
		.rng = &s->world->ids,
		.open_consumer = fake_consumer_open,
		.open_ctx = s->kafka,
		.until_latest = s->until_latest,
		.checkpointed = on_checkpoint,
		.ctx = s,
	};
	struct err err = ERR_INIT;
	enum status st;

	s->running = i;
	st = session_open(&options, &s->members[i].session, &err);
	s->running = -1;
	s->members[i].woke = false;
	sim_event(s, "member %d opens: %s", i, status_name(st));
	if (st != ST_OK && st != ST_UNREACHABLE && st != ST_CONFLICT)
		sim_fail(s, "session_open: %s: %s", status_name(st), err.text);
	s->world->result.reopened++;
}

static void step_member(struct sim *s, int i)
{
	struct sim_member *m = &s->members[i];
	struct err err = ERR_INIT;
	enum status st = ST_OK;
	enum session_end end;

	if (virtual_clock_ms(&s->world->clock) < m->asleep_until_ms)
		return;
	if (!m->session) {
		open_member(s, i);
		return;
	}
	if (m->woke) { /* before it hears anything from the group */
		m->woke = false;
		sim_checkpoint(s, i);
		if (!m->session)
			return;
	}
	s->running = i;
	end = session_step(m->session, 0, &st, &err);
	s->running = -1;
	if (end == SESSION_GOES_ON)
		return;
	sim_event(s, "member %d ends: %d %s", i, (int)end, status_name(st));
	if (st == ST_CONFLICT)
		s->world->result.conflicts++;
	if (st == ST_LOST)
		s->world->result.losts++;
	if (end == SESSION_AGAIN && st != ST_CONFLICT && st != ST_LOST && st != ST_UNREACHABLE)
		sim_fail(s, "session again: %s: %s", status_name(st), err.text);
	if (end == SESSION_FAILED && !(st == ST_NOT_FOUND && s->world->kafka.recreated))
		sim_fail(s, "session failed: %s: %s", status_name(st), err.text);
	sim_close(s, i, end == SESSION_FAILED);
}

/* ---- the driver ---- */

static void one_step(struct sim *s)
{
	struct sim_world *w = s->world;
	int member = (int)sim_dice(s, (uint64_t)s->n_members);
	uint64_t what = sim_dice(s, 1000);

	virtual_clock_advance(&w->clock, (int64_t)sim_dice(s, 300));
	if (what < 30)
		sim_publish(s);
	else if (what < (w->tampered ? 66 : 48))
		sim_rollback(s);
	else if (what < 96)
		sim_note(s);
	else if (what < 100)
		sim_tamper(s);
	else if (what < 105)
		sim_drop(s);
	else if (what < 110)
		sim_prefix(s);
	else if (what < 125)
		sim_checkpoint(s, member);
	else if (what < 132)
		sim_close(s, member, what < 129);
	else if (what < 150)
		fake_kafka_rebalance(s->kafka);
	else if (what < 160)
		virtual_clock_advance(&w->clock, (int64_t)sim_dice(s, 8000));
	else if (w->tampered && what < 220)
		sim_accept(s);
	else if (what < 166 && s->members[member].session) {
		/* as by SIGSTOP; it may wake before or after the group misses it */
		s->members[member].asleep_until_ms =
			virtual_clock_ms(&w->clock) + (int64_t)sim_dice(s, 25000);
		s->members[member].woke = sim_dice(s, 2);
	} else
		step_member(s, member);
}

/* Has everything that Kafka has been committed? */
static bool all_read(struct sim *s)
{
	AUTO(checkpoint_release) struct checkpoint cp = {0};
	struct lake_id head;
	struct err err = ERR_INIT;

	if (sim_head(s, s->config.branch, &head) != ST_OK)
		return false;
	if (checkpoint_read(s->lake, &head, &cp, &err) != ST_OK)
		sim_fail(s, "the head is no checkpoint: %s", err.text);
	for (int t = 0; t < s->world->kafka.n_topics; t++) {
		AUTO(freep) char *name = xasprintf("t%d", t);

		for (int p = 0; p < fake_partitions(s->kafka, t); p++)
			if (offsets_get(&cp.offsets, name, p) != fake_end(s->kafka, t, p))
				return false;
	}
	return true;
}

static void read_all(struct sim *s)
{
	for (int i = 0; i < FINALE_STEPS && !all_read(s); i++) {
		virtual_clock_advance(&s->world->clock, 250);
		step_member(s, 0);
		s->members[0].asleep_until_ms = 0;
		if (i % 50 == 49 && !s->until_latest)
			sim_checkpoint(s, 0);
	}
	if (!all_read(s))
		sim_fail(s, "not everything was read in the end");
}

/* Has Kafka all that the line has? */
static bool may_replay(const struct sim *s)
{
	const struct fake_kafka_options *k = &s->world->kafka;

	return s->world->result.foldered && !k->retention && !k->recreated;
}

/* Goes back to the first checkpoint and reads everything again, into one checkpoint: the
 * files are the same each time, also where the life before was killed on the way. */
static void replay(struct sim *s)
{
	struct sim_world *w = s->world;
	AUTO(file_list_release) struct file_list files = {0};
	AUTO(buf_release) struct buf why = BUF_INIT;
	uint64_t made = 1;
	struct lake_id head;

	w->replaying = true;
	if (!w->options.quiet_kills) {
		w->armed = w->result.replays == 1 && !w->result.replay_kills;
		w->countdown = 1 + (unsigned)sim_dice(s, REPLAY_POINTS);
	}
	sim_event(s, "replay %u", w->result.replays);
	sim_close(s, 0, false);
	virtual_clock_advance(&w->clock, LOGS_FULL_MS); /* there will be no more records */
	if (!sim_rollback_to_first(s))
		sim_fail(s, "a rollback to the first checkpoint is refused");
	s->config.checkpoint_interval_ms = INT64_MAX / 4;
	s->config.checkpoint_records = 0;
	s->until_latest = true;
	read_all(s);
	sim_check(s);
	if (sim_head(s, s->config.branch, &head) != ST_OK ||
	    !oracle_files(s->lake, &head, "_deadletters/", &files, &why))
		sim_fail(s, "replay: %s", buf_str(&why));
	for (size_t i = 0; i < files.n; i++)
		made = sim_hash(made, files.items[i]);
	sim_event(s, "%zu files, %016" PRIx64, files.n, made);
	if (w->result.replays++ == 0)
		w->result.replayed = made;
	else if (made != w->result.replayed)
		sim_fail(s, "a replay made other files");
}

/* No more faults: everything is read, committed and published. */
static void finale(struct sim *s)
{
	struct sim_world *w = s->world;

	w->calm = true;
	fake_kafka_calm(s->kafka);
	if (!w->replaying) {
		if (w->tampered && !sim_rollback_to_head(s))
			sim_restore(s);
		read_all(s);
		sim_publish(s);
		sim_check(s);
	}
	while (may_replay(s) && w->result.replays < REPLAYS)
		replay(s);
	w->done = true;
}

static _Noreturn void live(struct sim_world *w, const char *dir)
{
	struct sim s = {.world = w, .dir = xasprintf("%s/lake", dir)};

	open_life(&s);
	sim_event(&s, "life %u, rows of format %d in folders %d%s%s%s", w->result.lives,
		  (int)w->kafka.layout.format, (int)w->kafka.layout.folders,
		  w->kafka.layout.metadata ? ", metadata" : "",
		  w->kafka.layout.small ? ", little memory" : "",
		  w->kafka.layout.sorted ? ", sorted" : "");
	sim_check(&s);
	while (!w->calm && w->steps_left > 0) {
		w->steps_left--;
		one_step(&s);
	}
	finale(&s);
	close_life(&s);
	free(s.dir);
	fflush(NULL);
	_exit(0);
}

/* ---- the parent ---- */

static struct row_layout plan_layout(uint64_t seed, bool json)
{
	bool parquet = json && seed % SIM_PARQUET_EVERY == 0;

	struct row_layout l = {.seed = seed,
			       .format = parquet ? ROWS_PARQUET
					 : json  ? ROWS_JSON
						 : ROWS_BYTES};

	if (seed % SIM_FOLDERS_EVERY == 0)
		l = row_layout_by_seed(seed, json, parquet);
	l.sorted = parquet && seed % SIM_SORTED_EVERY == 0;
	return l;
}

static void plan_world(struct sim_world *w, const struct sim_options *options)
{
	struct rng r = rng_seeded(options->seed);

	w->options = *options;
	w->result.trace = 0xcbf29ce484222325U;
	w->dice = rng_seeded(rng_next(&r));
	w->ids = rng_seeded(rng_next(&r));
	w->kafka = (struct fake_kafka_options){
		.seed = options->seed,
		.n_topics = 1 + (int)rng_below(&r, FAKE_TOPICS_MAX),
		.layout = plan_layout(options->seed, rng_below(&r, 3) > 0),
		.poison = rng_below(&r, 2),
		.transactions = rng_below(&r, 2),
		.compaction = rng_below(&r, 2),
		.retention = rng_below(&r, 3) == 0,
		.grows = rng_below(&r, 3) == 0,
		.recreated = rng_below(&r, 5) == 0,
		.cooperative = rng_below(&r, 2),
		.unreachable = rng_below(&r, 2),
	};
	w->kafka.poison = w->kafka.poison && w->kafka.layout.format != ROWS_BYTES &&
			  w->kafka.layout.format != ROWS_AVRO;
	w->result.foldered = w->kafka.layout.folders != FOLDERS_DEFAULT;
	w->steps_left = options->steps ? options->steps : 200 + (int)rng_below(&r, 400);
	virtual_clock_init(&w->clock, 1700000000000);
}

static void arm(struct sim_world *w)
{
	const struct sim_options *o = &w->options;

	*w->kill_name = '\0';
	w->armed = false;
	if (o->kill_name) {
		snprintf(w->kill_name, sizeof(w->kill_name), "%s", o->kill_name);
		w->countdown = o->kill_nth;
		w->armed = w->result.lives == 1;
	} else if (!o->quiet_kills && w->result.lives <= 4) {
		w->armed = rng_below(&w->dice, 4) > 0;
		w->countdown = 1 + (unsigned)rng_below(&w->dice, w->result.lives == 1 ? 60 : 1500);
	}
}

static void run_lives(struct sim_world *w, const char *dir)
{
	while (!w->done) {
		int status;
		pid_t pid;

		if (++w->result.lives > LIVES_MAX) {
			snprintf(w->result.why, SIM_WHY_BYTES, "too many lives");
			return;
		}
		arm(w);
		fflush(NULL);
		pid = fork();
		if (pid < 0)
			abort();
		if (pid == 0)
			live(w, dir);
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
		if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && w->result.killed)
			continue;
		if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && w->done)
			break;
		if (!*w->result.why)
			snprintf(w->result.why, SIM_WHY_BYTES, "a life ended with status %x",
				 (unsigned)status);
		return;
	}
	w->result.ok = true;
}

void simulate(const struct sim_options *options, struct sim_result *out)
{
	struct sim_world *w =
		mmap(NULL, sizeof(*w), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	AUTO(freep) char *dir = xasprintf("%s/tidemark-sim-XXXXXX", base);
	struct err err = ERR_INIT;

	if (w == MAP_FAILED || !mkdtemp(dir))
		abort();
	plan_world(w, options);
	run_lives(w, dir);
	*out = w->result;
	if (dir_remove_all(dir, &err) != ST_OK)
		fprintf(stderr, "%s\n", err.text);
	munmap(w, sizeof(*w));
}
