/* Cuts (drop, --accept-target) and publishes of a prefix, with what must come of them. */
#include <stdlib.h>
#include <string.h>

#include "connector/history/cut.h"
#include "connector/history/publish.h"
#include "tests/lib/simulation_impl.h"

/* ---- cuts ---- */

static void files_of(struct sim *s, const struct lake_id *commit, struct file_list *out)
{
	AUTO(buf_release) struct buf why = BUF_INIT;

	if (!lake_id_is_none(commit) && !oracle_files(s->lake, commit, NULL, out, &why))
		sim_fail(s, "%s", buf_str(&why));
}

/* The plan by the definition: what the checkpoints added that is there still. */
static void check_drop_plan(struct sim *s, const struct cut_plan *plan)
{
	AUTO(file_list_release) struct file_list before = {0};
	AUTO(file_list_release) struct file_list to = {0};
	AUTO(file_list_release) struct file_list head = {0};
	size_t n = 0;

	files_of(s, &plan->from.previous, &before);
	files_of(s, &plan->to.id, &to);
	files_of(s, &plan->head.id, &head);
	for (size_t i = 0; i < to.n; i++) {
		const struct file_list one = {.items = &to.items[i], .n = 1};

		if (file_list_subset(&one, &before) || !file_list_subset(&one, &head))
			continue;
		if (n == plan->n_remove ||
		    strncmp(plan->remove[n], to.items[i], strlen(plan->remove[n])) != 0)
			sim_fail(s, "a drop leaves %s where it is", to.items[i]);
		n++;
	}
	if (n != plan->n_remove)
		sim_fail(s, "a drop takes %zu files too many", plan->n_remove - n);
}

/* A cut happened as a whole, with all its files, or not at all: whichever, the line says so. */
void sim_check_cut(struct sim *s)
{
	struct sim_world *w = s->world;
	AUTO(line_of_checkpoints_release) struct line_of_checkpoints line = {0};
	AUTO(file_list_release) struct file_list before = {0};
	AUTO(file_list_release) struct file_list after = {0};
	AUTO(buf_release) struct buf why = BUF_INIT;
	struct lake_id head;

	if (!w->cutting || s->injecting)
		return;
	w->cutting = false;
	if (sim_head(s, s->config.branch, &head) != ST_OK ||
	    !oracle_read_line(s->lake, &head, &line, &why))
		sim_fail(s, "after a cut: %s", buf_str(&why));
	for (size_t i = 0; i < line.n; i++) {
		const struct checkpoint *cp = &line.items[i];

		if (!lake_id_equal(&cp->previous, &w->cut_head) || cp->cuts == 0 ||
		    (i + 1 < line.n && cp->cuts == line.items[i + 1].cuts))
			continue;
		files_of(s, &w->cut_head, &before);
		files_of(s, &cp->id, &after);
		if (before.n - after.n != w->cut_files)
			sim_fail(s, "a cut took %zu of %u files", before.n - after.n, w->cut_files);
		sim_event(s, "the cut was done");
		return;
	}
	sim_event(s, "the cut was not done");
}

/* How a commit has the path: "path checksum", or NULL. */
static const char *item_of(const struct file_list *list, const char *item)
{
	size_t n = (size_t)(strrchr(item, ' ') + 1 - item);

	for (size_t i = 0; i < list->n; i++)
		if (strncmp(list->items[i], item, n) == 0)
			return list->items[i];
	return NULL;
}

static bool same_item(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

bool sim_followed(struct sim *s, const struct lake_id *checkpoint)
{
	AUTO(file_list_release) struct file_list target = {0};
	AUTO(file_list_release) struct file_list shown = {0};
	AUTO(file_list_release) struct file_list follows = {0};
	AUTO(buf_release) struct buf why = BUF_INIT;
	struct lake_id head;
	bool same = true;

	if (sim_head(s, s->config.target, &head) != ST_OK ||
	    !oracle_files(s->lake, &head, "notes/", &target, &why))
		sim_fail(s, "%s", buf_str(&why));
	files_of(s, &s->world->shown, &shown);
	files_of(s, checkpoint, &follows);
	for (size_t i = 0; same && i < shown.n + target.n; i++) {
		const char *item = i < shown.n ? shown.items[i] : target.items[i - shown.n];

		same = same_item(item_of(&shown, item), item_of(&target, item)) ||
		       same_item(item_of(&follows, item), item_of(&target, item));
	}
	return same;
}

static void apply(struct sim *s, const struct cut_plan *plan, bool accept)
{
	struct sim_world *w = s->world;
	AUTO(file_list_release) struct file_list head = {0};
	struct lake_id made;
	struct err err = ERR_INIT;
	enum status st;

	files_of(s, &plan->head.id, &head);
	w->cutting = true;
	w->cut_head = plan->head.id;
	w->cut_files = 0; /* accept: what went by hand may have been dropped before */
	for (size_t i = 0; i < plan->n_remove; i++)
		for (size_t j = 0; j < head.n; j++)
			w->cut_files += strncmp(head.items[j], plan->remove[i],
						strlen(plan->remove[i])) == 0 &&
					head.items[j][strlen(plan->remove[i])] == ' ';
	s->injected = false;
	st = cut_apply(&s->line, plan, &made, &err);
	sim_event(s, "%s: %s", accept ? "accept" : "drop", status_name(st));
	w->cutting = false;
	if (st == ST_OK) {
		w->result.cuts += !accept;
		w->result.accepts += accept;
		w->undos[w->n_undos++ % UNDOS_MAX] =
			(struct sim_undo){made, plan->head.id, plan->shown.checkpoint};
		w->heads[w->n_heads++ % HEADS_MAX] = made;
	} else if (st != ST_CONFLICT || !s->injected) {
		sim_fail(s, "cut: %s: %s", status_name(st), err.text);
	}
	if (st == ST_OK && !s->injecting)
		sim_check(s);
}

void sim_drop(struct sim *s)
{
	AUTO(line_of_checkpoints_release) struct line_of_checkpoints line = {0};
	AUTO(buf_release) struct buf why = BUF_INIT;
	AUTO(cut_plan_release) struct cut_plan plan = {.records = 0};
	char from[LAKE_ID_HEX_BYTES], to[LAKE_ID_HEX_BYTES];
	struct lake_id head;
	struct err err = ERR_INIT;
	size_t newest, oldest;
	enum status st;

	if (sim_head(s, s->config.branch, &head) != ST_OK)
		return;
	if (!oracle_read_line(s->lake, &head, &line, &why))
		sim_fail(s, "%s", buf_str(&why));
	if (line.n < 3)
		return;
	newest = sim_dice(s, line.n - 1 < 8 ? line.n - 1 : 8);
	oldest = newest + sim_dice(s, 2);
	if (oldest > line.n - 2)
		oldest = line.n - 2;
	lake_id_hex(&line.items[oldest].id, from);
	lake_id_hex(&line.items[newest].id, to);
	st = cut_plan_drop(&s->line, from, to, "simulated", &plan, &err);
	if (st == ST_EMPTY)
		return;
	if (st != ST_OK)
		sim_fail(s, "drop: %s: %s", status_name(st), err.text);
	check_drop_plan(s, &plan);
	apply(s, &plan, false);
}

void sim_accept(struct sim *s)
{
	struct sim_world *w = s->world;
	AUTO(cut_plan_release) struct cut_plan plan = {.records = 0};
	struct err err = ERR_INIT;
	struct lake_id head;
	enum status st;

	/* what somebody wrote himself has no offsets, and the oracle could say nothing of it */
	if (!w->tampered || !w->hand_took_one || sim_head(s, s->config.branch, &head) != ST_OK ||
	    sim_followed(s, &head))
		return;
	st = cut_plan_accept(&s->line, &plan, &err);
	if (st != ST_OK)
		sim_fail(s, "accept: %s: %s", status_name(st), err.text);
	if (plan.n_remove != 1 || plan.n_take != 0)
		sim_fail(s, "accept: %zu files go and %zu change, where one went", plan.n_remove,
			 plan.n_take);
	apply(s, &plan, true);
}

/* ---- the longest prefix ---- */

/* What the gate refuses: a function of the path alone. */
static bool is_bad(const char *path)
{
	uint32_t hash = 2166136261U;

	for (const char *p = path; *p && *p != ' '; p++)
		hash = (hash ^ (unsigned char)*p) * 16777619U;
	return hash % 6 == 0;
}

/* Does the checkpoint hold a bad file that is not shown? */
static bool passes(struct sim *s, const struct lake_id *checkpoint, const struct file_list *shown)
{
	AUTO(file_list_release) struct file_list files = {0};
	bool good = true;

	files_of(s, checkpoint, &files);
	for (size_t i = 0; good && i < files.n; i++) {
		const struct file_list one = {.items = &files.items[i], .n = 1};

		good = !is_bad(files.items[i]) || file_list_subset(&one, shown);
	}
	return good;
}

static enum status judge(void *ctx, const struct publish_candidate *candidate, char **record_out,
			 struct err *err)
{
	struct sim *s = ctx;
	AUTO(file_list_release) struct file_list shown = {0};

	*record_out = xstrdup("[]");
	files_of(s, &candidate->from, &shown);
	return passes(s, &candidate->to, &shown) ? ST_OK : err_set(err, ST_HELD, "a bad file");
}

/* Without a cut among them what is bad stays bad: nothing longer passes. */
static void check_longest(struct sim *s, const struct line_of_checkpoints *line,
			  const struct lake_id *chosen, const struct file_list *shown)
{
	bool longer = false, cut = false;

	for (size_t i = 0; i < line->n; i++) {
		const struct checkpoint *cp = &line->items[i];

		if (lake_id_equal(&cp->id, chosen) || lake_id_equal(&cp->id, &s->world->shown))
			break;
		longer = longer || passes(s, &cp->id, shown);
		cut = cut || (i + 1 < line->n && cp->cuts != line->items[i + 1].cuts);
	}
	if (longer && !cut)
		sim_fail(s, "a longer prefix passes");
}

void sim_prefix(struct sim *s)
{
	struct sim_world *w = s->world;
	AUTO(line_of_checkpoints_release) struct line_of_checkpoints line = {0};
	AUTO(file_list_release) struct file_list shown = {0};
	AUTO(publish_result_release) struct publish_result result = {.checkpoints = 0};
	AUTO(buf_release) struct buf why = BUF_INIT;
	const struct publish_request request = {
		.judge = judge,
		.ctx = s,
		.prefix = true,
		.force = sim_dice(s, 8) == 0 ? "simulated" : NULL,
	};
	struct lake_id head;
	struct err err = ERR_INIT;
	enum status st;
	bool good, followed;

	if (sim_head(s, s->config.branch, &head) != ST_OK)
		return;
	if (!oracle_read_line(s->lake, &head, &line, &why))
		sim_fail(s, "%s", buf_str(&why));
	files_of(s, &w->shown, &shown);
	for (size_t i = 0; i < line.n && !lake_id_equal(&line.items[i].id, &w->shown); i++)
		if (request.force || passes(s, &line.items[i].id, &shown))
			sim_may_show(s, &line.items[i].id);
	good = passes(s, &head, &shown);
	followed = !w->tampered || sim_followed(s, &head);
	s->injected = false;
	st = publish(&s->line, &request, &result, &err);
	sim_event(s, "prefix: %s", status_name(st));
	if (st != ST_OK && st != ST_HELD && st != ST_EMPTY && !(st == ST_CONFLICT && s->injected))
		sim_fail(s, "prefix: %s: %s", status_name(st), err.text);
	if (st == ST_OK && !followed)
		sim_fail(s, "published over a change by hand");
	if (st == ST_OK && !good && !request.force)
		sim_fail(s, "a bad file was published");
	if (st == ST_HELD && good && followed)
		sim_fail(s, "held: %s", err.text);
	if ((st == ST_OK || st == ST_HELD) && !lake_id_is_none(&result.checkpoint)) {
		if (st == ST_HELD && !passes(s, &result.checkpoint, &shown))
			sim_fail(s, "a prefix with a bad file was published");
		if (st == ST_HELD)
			check_longest(s, &line, &result.checkpoint, &shown);
		w->result.prefixes += st == ST_HELD;
		w->shown = result.checkpoint;
		w->tampered = false;
	}
	sim_settled(s);
	if (!s->injecting)
		sim_check(s);
}
