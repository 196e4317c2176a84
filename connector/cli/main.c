/* tidemark: finds the command, runs it, and says how it ended. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "connector/cli/command.h"
#include "core/base/props.h"

static void print_commands(void)
{
	puts("usage: tidemark [--lake URL] [--json] COMMAND ...\n"
	     "\n"
	     "Carries Kafka streams into a data lake that is versioned like git.\n"
	     "\n"
	     "The lake is --lake, else $TIDEMARK_LAKE, else ./lake. REF is a branch, a tag, a\n"
	     "commit id (6 digits or more), REF~N or REF^N. --json prints one object a line.\n"
	     "\n"
	     "commands:");
	for (size_t i = 0; i < n_commands; i++)
		printf("  %-12s %s\n", commands[i]->name, commands[i]->summary);
	puts("\n`tidemark COMMAND --help` says more.\n"
	     "\n"
	     "exit codes: 0 done; 1 failed; 2 usage or configuration; 3 something is held;\n"
	     "4 conflict, or the head moved; 5 not found; 6 Kafka, lake or registry out of\n"
	     "reach; 7 data damaged");
}

static enum status unknown_command(const char *name, struct err *err)
{
	AUTO(freep) const char **names = xcalloc(n_commands, sizeof(*names));
	const char *near;

	for (size_t i = 0; i < n_commands; i++)
		names[i] = commands[i]->name;
	near = nearest_word(name, names, n_commands);
	return err_set(err, ST_USAGE, "unknown command '%s'%s%s%s; `tidemark --help` lists them",
		       name, near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "");
}

/* Takes the flags that stand before the command; *at is then the command's. */
static enum status global_flags(struct cli *cli, int argc, char **argv, int *at,
				const char **name_out, struct err *err)
{
	for (; *at < argc && argv[*at][0] == '-'; ++*at) {
		const char *arg = argv[*at];

		if (strcmp(arg, "--json") == 0) {
			cli->json = true;
		} else if (strncmp(arg, "--lake=", 7) == 0) {
			cli->lake_url = arg + 7;
		} else if (strcmp(arg, "--lake") == 0) {
			if (*at + 1 == argc)
				return err_set(err, ST_USAGE, "--lake needs a URL");
			cli->lake_url = argv[++*at];
		} else if (strcmp(arg, "--version") == 0) {
			*name_out = "version";
			return ST_OK;
		} else if (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0) {
			print_commands();
			return ST_END;
		} else {
			return err_set(err, ST_USAGE,
				       "unknown option '%s'; `tidemark --help` says what there is",
				       arg);
		}
	}
	if (*at == argc)
		return err_set(err, ST_USAGE, "no command given; `tidemark --help` lists them");
	*name_out = argv[*at];
	return ST_OK;
}

/* `tidemark help`, `tidemark help COMMAND`. */
static enum status help(int n, char **args, struct err *err)
{
	const struct command *command;

	if (n == 0) {
		print_commands();
		return ST_END;
	}
	command = command_by_name(args[0]);
	if (!command)
		return unknown_command(args[0], err);
	cli_print_help(command);
	return ST_END;
}

static enum status run(struct cli *cli, int argc, char **argv, struct err *err)
{
	const char *name = NULL;
	int at = 1;
	enum status st = global_flags(cli, argc, argv, &at, &name, err);

	if (st != ST_OK)
		return st;
	at = at < argc ? at + 1 : at;
	if (strcmp(name, "help") == 0)
		return help(argc - at, argv + at, err);
	cli->command = command_by_name(name);
	if (!cli->command)
		return unknown_command(name, err);
	cli->access = cli->command->access;
	return cli->command->run(cli, argc - at, argv + at, err);
}

/* One line, whatever the message holds. */
static void print_error(const struct err *err)
{
	fputs("tidemark: ", stderr);
	for (const char *p = err->text; *p; p++)
		fputc((unsigned char)*p < 0x20 || *p == 0x7f ? ' ' : *p, stderr);
	fputc('\n', stderr);
}

int main(int argc, char **argv)
{
	struct err err = ERR_INIT;
	struct cli cli = {.lake_url = NULL};
	enum status st;

	st = run(&cli, argc, argv, &err);

	if (!cli.exits)
		lake_close(cli.lake);
	if (st == ST_OK || st == ST_END) {
		st = cli_flush(&err);
	} else {
		fflush(stdout);
	}
	if (st != ST_OK)
		print_error(&err);
	/* nor have the libraries' threads and tables to be taken down one by one */
	if (cli.exits)
		_exit(status_exit_code(st));
	return status_exit_code(st);
}
