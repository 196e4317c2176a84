/* log, show: commits. */
#include <stdio.h>
#include <string.h>

#include "connector/cli/command.h"
#include "core/base/clock.h"

/* ---- what a checkpoint's metadata say, in one line ---- */

/* {"orders":{"0":[1000,1200]}} as "orders/0 1000-1199"; anything else as it is. */
static void print_ranges(const char *text)
{
	json_t *ranges = json_loads(text, 0, NULL);
	const char *topic;
	json_t *partitions;
	const char *gap = "";

	if (!json_is_object(ranges)) {
		cli_print_text(text, true);
		json_decref(ranges);
		return;
	}
	json_object_foreach(ranges, topic, partitions)
	{
		const char *partition;
		json_t *range;

		json_object_foreach(partitions, partition, range)
		{
			long long from = json_integer_value(json_array_get(range, 0));
			long long to = json_integer_value(json_array_get(range, 1));

			printf("%s%s/%s [%lld,%lld)", gap, topic, partition, from, to);
			gap = " ";
		}
	}
	json_decref(ranges);
}

/* {"orders":{"0":1200}} as "orders/0=1200". */
static void print_offsets(const char *text)
{
	json_t *offsets = json_loads(text, 0, NULL);
	const char *topic;
	json_t *partitions;
	const char *gap = "";

	if (!json_is_object(offsets)) {
		cli_print_text(text, true);
		json_decref(offsets);
		return;
	}
	json_object_foreach(offsets, topic, partitions)
	{
		const char *partition;
		json_t *next;

		json_object_foreach(partitions, partition, next)
		{
			printf("%s%s/%s=%lld", gap, topic, partition,
			       (long long)json_integer_value(next));
			gap = " ";
		}
	}
	json_decref(offsets);
}

/* What each gate said: "nulls passed rows refused: 12 rows without an id". */
static void print_gates(const char *text)
{
	json_t *gates = json_loads(text, 0, NULL), *gate;
	size_t i;

	if (!json_is_array(gates))
		cli_print_text(text, true);
	json_array_foreach(gates, i, gate)
	{
		const char *name = json_string_value(json_object_get(gate, "name"));
		const char *verdict = json_string_value(json_object_get(gate, "verdict"));
		const char *reason = json_string_value(json_object_get(gate, "reason"));

		printf("%s%s %s", i ? " " : "", name ? name : "", verdict ? verdict : "");
		if (reason && *reason) {
			fputs(": ", stdout);
			cli_print_text(reason, true);
		}
	}
	json_decref(gates);
}

static void print_plain(const char *text)
{
	cli_print_text(text, true);
}

static void print_checkpoint(const struct lake_meta *meta)
{
	static const struct {
		const char *key;
		const char *label;
		void (*print)(const char *text);
	} rows[] = {
		{"tidemark.connector", "connector", print_plain},
		{"tidemark.epoch", "epoch", print_plain},
		{"tidemark.records", "records", print_plain},
		{"tidemark.deadletters", "dead letters", print_plain},
		{"tidemark.ranges", "ranges", print_ranges},
		{"tidemark.offsets", "next", print_offsets},
		{"tidemark.lost", "lost", print_plain},
		{"tidemark.dropped", "dropped", print_plain},
		{"tidemark.accepted", "accepted", print_plain},
		{"tidemark.published", "published", print_plain},
		{"tidemark.gates", "gates", print_gates},
		{"tidemark.forced", "forced", print_plain},
	};
	const char *gap = "    ";

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *value = lake_meta_get(meta, rows[i].key);

		if (!value || !value[0] || strcmp(value, "{}") == 0 || strcmp(value, "[]") == 0 ||
		    (strcmp(rows[i].label, "dead letters") == 0 && strcmp(value, "0") == 0))
			continue;
		printf("%s%s ", gap, rows[i].label);
		rows[i].print(value);
		gap = ", ";
	}
	if (gap[0] == ',')
		putchar('\n');
}

static void print_commit(const struct lake_commit *c)
{
	char hex[LAKE_ID_SHORT_BYTES];
	char time[TIME_TEXT_BYTES];

	lake_id_short(&c->id, hex);
	time_format(c->time_ms, time);
	printf("%s  %s  ", hex, time);
	cli_print_text(c->message, true);
	putchar('\n');
	print_checkpoint(&c->meta);
}

/* ---- log ---- */

struct log_wish {
	uint64_t limit; /* UINT64_MAX: all */
	const char *prefix; /* NULL: all */
	bool first_parent;
};

/* Does anything under prefix differ between the commit and this parent? */
static enum status differs(struct lake *lake, const struct lake_commit *c,
			   const struct lake_id *parent, const char *prefix, bool *out,
			   struct err *err)
{
	AUTO(lake_diff_closep) struct lake_diff *diff = NULL;
	struct lake_diff_entry change = {.path = NULL};
	enum status st = lake_diff_open(lake, parent, &c->id, prefix, &diff, err);

	if (st == ST_OK)
		st = lake_diff_next(diff, &change, err);
	*out = st == ST_OK;
	freep(&change.path);
	return st == ST_END ? ST_OK : st;
}

static enum status holds_any(struct lake *lake, const struct lake_id *id, const char *prefix,
			     bool *out, struct err *err)
{
	AUTO(lake_list_closep) struct lake_list *list = NULL;
	struct lake_entry entry = {.path = NULL};
	enum status st = lake_list_open(lake, id, prefix, &list, err);

	if (st == ST_OK)
		st = lake_list_next(list, &entry, err);
	*out = st == ST_OK;
	if (st == ST_OK)
		lake_entry_release(&entry);
	return st == ST_END ? ST_OK : st;
}

/* Git's rule: a commit that has a parent's state under the prefix only carries
 * it on. */
static enum status touches(struct lake *lake, const struct lake_commit *c,
			   const struct log_wish *wish, bool *out, struct err *err)
{
	size_t n = wish->first_parent && c->n_parents ? 1 : c->n_parents;
	enum status st = ST_OK;

	if (n == 0)
		return holds_any(lake, &c->id, wish->prefix, out, err);
	*out = true;
	for (size_t i = 0; st == ST_OK && *out && i < n; i++)
		st = differs(lake, c, &c->parents[i], wish->prefix, out, err);
	return st;
}

static enum status print_log(struct cli *cli, struct lake *lake, struct lake_log *log,
			     const struct log_wish *wish, struct err *err)
{
	for (uint64_t shown = 0; shown < wish->limit;) {
		AUTO(lake_commit_release) struct lake_commit c = {.n_parents = 0};
		bool show = true;
		enum status st = lake_log_next(log, &c, err);

		if (st == ST_END)
			return ST_OK;
		if (st == ST_OK && wish->prefix)
			st = touches(lake, &c, wish, &show, err);
		if (st != ST_OK)
			return st;
		if (!show)
			continue;
		shown++;
		if (cli->json)
			cli_json_line(cli_json_commit(&c));
		else
			print_commit(&c);
	}
	return ST_OK;
}

static enum status run_log(struct cli *cli, int n, char **args, struct err *err)
{
	AUTO(cli_args_release) struct cli_args a = {.n = 0};
	AUTO(lake_log_closep) struct lake_log *log = NULL;
	struct log_wish wish = {.limit = UINT64_MAX};
	const struct cli_option options[] = {
		{"number", 'n', CLI_COUNT, &wish.limit},
		{"first-parent", 0, CLI_FLAG, &wish.first_parent},
		{"prefix", 0, CLI_TEXT, &wish.prefix},
	};
	struct lake *lake;
	struct lake_id from;
	enum status st = cli_parse(cli, n, args, options, ARRAY_SIZE(options), 0, 1, &a, err);

	if (st == ST_OK)
		st = cli_resolve(cli, a.n ? a.items[0] : "main", &lake, &from, err);
	if (st == ST_OK)
		st = lake_log_open(lake, &from, wish.first_parent, &log, err);
	return st == ST_OK ? print_log(cli, lake, log, &wish, err) : st;
}

/* ---- show ---- */

static void print_whole(const struct lake_commit *c)
{
	char hex[LAKE_ID_HEX_BYTES];
	char time[TIME_TEXT_BYTES];

	lake_id_hex(&c->id, hex);
	time_format(c->time_ms, time);
	printf("commit     %s\n", hex);
	for (size_t i = 0; i < c->n_parents; i++) {
		lake_id_hex(&c->parents[i], hex);
		printf("parent     %s\n", hex);
	}
	printf("committer  ");
	cli_print_text(c->committer, true);
	printf("\ntime       %s\n\n", time);
	cli_print_text(c->message, false);
	putchar('\n');
	for (size_t i = 0; i < c->meta.n; i++) {
		printf("%s", i ? "" : "\n");
		cli_print_text(c->meta.items[i].key, true);
		printf(" = ");
		cli_print_text(c->meta.items[i].value, true);
		putchar('\n');
	}
	putchar('\n');
}

/* The changes against the first parent; all of the tree in the first commit. */
static enum status print_changes(struct cli *cli, struct lake *lake, const struct lake_commit *c,
				 struct err *err)
{
	AUTO(lake_diff_closep) struct lake_diff *diff = NULL;
	enum status st;

	if (c->n_parents == 0)
		return ST_OK; /* a lake's first commit is empty */
	st = lake_diff_open(lake, &c->parents[0], &c->id, "", &diff, err);
	while (st == ST_OK) {
		struct lake_diff_entry change;

		st = lake_diff_next(diff, &change, err);
		if (st != ST_OK)
			break;
		cli_print_change(cli, change.change, change.path);
		freep(&change.path);
	}
	return st == ST_END ? ST_OK : st;
}

static enum status run_show(struct cli *cli, int n, char **args, struct err *err)
{
	AUTO(cli_args_release) struct cli_args a = {.n = 0};
	AUTO(lake_commit_release) struct lake_commit c = {.n_parents = 0};
	struct lake *lake;
	struct lake_id id;
	enum status st = cli_parse(cli, n, args, NULL, 0, 1, 1, &a, err);

	if (st == ST_OK && strchr(a.items[0], ':'))
		st = err_set(err, ST_USAGE,
			     "show takes a commit; `tidemark cat %s` prints an object", a.items[0]);
	if (st == ST_OK)
		st = cli_resolve(cli, a.items[0], &lake, &id, err);
	if (st == ST_OK)
		st = lake_commit_read(lake, &id, &c, err);
	if (st != ST_OK)
		return st;
	if (cli->json) {
		cli_json_line(cli_json_commit(&c));
		return ST_OK;
	}
	print_whole(&c);
	return print_changes(cli, lake, &c, err);
}

const struct command command_log = {
	.name = "log",
	.usage = "[REF] [-n N] [--first-parent] [--prefix P]",
	.summary = "shows commits, newest first",
	.help = "REF defaults to main. All parents' history is shown, without a limit, unless -n "
		"or\n"
		"--first-parent says otherwise. --prefix shows the commits that changed a path\n"
		"which begins so; a merge, where what begins so differs from each of its parents'\n"
		"(with --first-parent: from its first parent's).\n",
	.access = LAKE_READ,
	.run = run_log,
};

const struct command command_show = {
	.name = "show",
	.usage = "REF",
	.summary = "shows one commit: all its metadata, and what it changed",
	.help = "Changes are against the first parent; `diff --json` prints them as JSON.\n",
	.access = LAKE_READ,
	.run = run_show,
};
