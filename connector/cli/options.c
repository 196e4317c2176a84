/* Options and arguments of a command line. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connector/cli/command.h"
#include "core/base/props.h"

void cli_list_release(struct cli_list *list)
{
	free(list->items);
}

void cli_args_release(struct cli_args *args)
{
	free(args->items);
}

void cli_print_help(const struct command *command)
{
	printf("usage: tidemark [--lake URL] [--json] %s%s%s\n\n%s\n", command->name,
	       command->usage[0] ? " " : "", command->usage, command->summary);
	if (command->help[0])
		printf("\n%s", command->help);
}

/* What is being parsed. */
struct parse {
	struct cli *cli;
	const struct cli_option *options; /* the command's own, then the common ones */
	size_t n_options;
	int n;
	char **args;
	int at;
};

static const struct cli_option *find_long(const struct parse *p, const char *name, size_t len)
{
	for (size_t i = 0; i < p->n_options; i++)
		if (strlen(p->options[i].name) == len &&
		    strncmp(p->options[i].name, name, len) == 0)
			return &p->options[i];
	return NULL;
}

static const struct cli_option *find_letter(const struct parse *p, char letter)
{
	for (size_t i = 0; i < p->n_options; i++)
		if (p->options[i].letter == letter)
			return &p->options[i];
	return NULL;
}

static enum status unknown_option(const struct parse *p, const char *arg, size_t len,
				  struct err *err)
{
	AUTO(freep) const char **names = xcalloc(p->n_options, sizeof(*names));
	AUTO(freep) char *word = xstrndup(arg, len);
	const char *near;

	for (size_t i = 0; i < p->n_options; i++)
		names[i] = p->options[i].name;
	near = nearest_word(word + strspn(word, "-"), names, p->n_options);
	return err_set(err, ST_USAGE,
		       "%s: unknown option '%s'%s%s%s; `tidemark %s --help` lists them",
		       p->cli->command->name, word, near ? " (did you mean --" : "",
		       near ? near : "", near ? "?)" : "", p->cli->command->name);
}

static enum status store(const struct parse *p, const struct cli_option *o, const char *value,
			 struct err *err)
{
	struct cli_list *list = o->to;
	unsigned long long number;
	char *end;

	switch (o->kind) {
	case CLI_FLAG:
		*(bool *)o->to = true;
		return ST_OK;
	case CLI_TEXT:
		*(const char **)o->to = value;
		return ST_OK;
	case CLI_LIST:
		GROW(list->items, list->n, list->cap);
		list->items[list->n++] = value;
		return ST_OK;
	case CLI_COUNT:
		break;
	}
	errno = 0;
	number = strtoull(value, &end, 10);
	if (value[0] < '0' || value[0] > '9' || *end || errno)
		return err_set(err, ST_USAGE, "%s: --%s takes a number, not '%s'",
			       p->cli->command->name, o->name, value);
	*(uint64_t *)o->to = number;
	return ST_OK;
}

/* The argument at p->at is an option; it and its value are consumed. */
static enum status take_option(struct parse *p, struct err *err)
{
	const char *arg = p->args[p->at++];
	bool is_long = arg[1] == '-';
	size_t len = is_long ? strcspn(arg, "=") : 2;
	const struct cli_option *o =
		is_long ? find_long(p, arg + 2, len - 2) : find_letter(p, arg[1]);
	const char *value = NULL;

	if (!o)
		return unknown_option(p, arg, len, err);
	if (arg[len])
		value = arg + len + is_long;
	if (o->kind == CLI_FLAG && value)
		return err_set(err, ST_USAGE, "%s: --%s takes no value", p->cli->command->name,
			       o->name);
	if (o->kind != CLI_FLAG && !value) {
		if (p->at == p->n)
			return err_set(err, ST_USAGE, "%s: --%s needs a value",
				       p->cli->command->name, o->name);
		value = p->args[p->at++];
	}
	return store(p, o, value, err);
}

static enum status check_count(const struct parse *p, size_t min_args, size_t max_args,
			       const struct cli_args *args, struct err *err)
{
	const struct command *c = p->cli->command;

	if (args->n < min_args)
		return err_set(err, ST_USAGE, "%s: an argument is missing; usage: tidemark %s %s",
			       c->name, c->name, c->usage);
	if (args->n > max_args)
		return err_set(err, ST_USAGE,
			       "%s: '%s' is one argument too many; usage: tidemark %s %s", c->name,
			       args->items[max_args], c->name, c->usage);
	return ST_OK;
}

enum status cli_parse(struct cli *cli, int n, char **args, const struct cli_option *options,
		      size_t n_options, size_t min_args, size_t max_args, struct cli_args *out,
		      struct err *err)
{
	bool help = false;
	const struct cli_option common[] = {
		{"lake", 0, CLI_TEXT, &cli->lake_url},
		{"json", 0, CLI_FLAG, &cli->json},
		{"help", 'h', CLI_FLAG, &help},
	};
	AUTO(freep) struct cli_option *all = xcalloc(n_options + ARRAY_SIZE(common), sizeof(*all));
	struct parse p = {.cli = cli, .options = all, .n = n, .args = args};
	bool only_args = false;

	if (n_options)
		memcpy(all, options, n_options * sizeof(*all));
	memcpy(all + n_options, common, sizeof(common));
	p.n_options = n_options + ARRAY_SIZE(common);
	while (p.at < n) {
		const char *arg = args[p.at];

		if (only_args || arg[0] != '-' || arg[1] == '\0') {
			GROW(out->items, out->n, out->cap);
			out->items[out->n++] = arg;
			p.at++;
		} else if (strcmp(arg, "--") == 0) {
			only_args = true;
			p.at++;
		} else {
			enum status st = take_option(&p, err);

			if (st != ST_OK)
				return st;
		}
	}
	if (help) {
		cli_print_help(cli->command);
		return ST_END;
	}
	return check_count(&p, min_args, max_args, out, err);
}

enum status cli_meta(const struct cli_list *pairs, struct lake_meta *out, struct err *err)
{
	for (size_t i = 0; i < pairs->n; i++) {
		const char *equals = strchr(pairs->items[i], '=');
		AUTO(freep) char *key = NULL;

		if (!equals || equals == pairs->items[i])
			return err_set(err, ST_USAGE, "--meta takes KEY=VALUE, not '%s'",
				       pairs->items[i]);
		key = xstrndup(pairs->items[i], (size_t)(equals - pairs->items[i]));
		lake_meta_set(out, key, equals + 1);
	}
	return ST_OK;
}

enum status cli_split(const char *arg, bool need_path, char **ref_out, char **path_out,
		      struct err *err)
{
	const char *colon = strchr(arg, ':');

	if (need_path && (!colon || colon[1] == '\0'))
		return err_set(err, ST_USAGE, "'%s' names no path; write it as REF:PATH", arg);
	if (colon == arg)
		return err_set(err, ST_USAGE, "'%s' names no ref before the colon", arg);
	*ref_out = colon ? xstrndup(arg, (size_t)(colon - arg)) : xstrdup(arg);
	*path_out = xstrdup(colon ? colon + 1 : "");
	return ST_OK;
}
