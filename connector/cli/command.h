/* The commands: one `struct command` each, in a file of its own or with its
 * kin; commands.c lists them. Here is what they share: options, the lake, and
 * output.
 *
 * A command prints results to stdout and returns a status; main.c prints the
 * error's one line to stderr and exits with the status's code. A command runs
 * on the main thread. */
#ifndef TIDEMARK_CLI_COMMAND_H
#define TIDEMARK_CLI_COMMAND_H

#include <jansson.h>

#include "core/base/base.h"
#include "core/base/err.h"
#include "core/lake.h"

struct cli {
	const char *lake_url; /* --lake; NULL where it was not given */
	bool json; /* --json */
	const struct command *command; /* the one that runs */
	enum lake_access access; /* for cli_lake(); the command's, if it changes nothing */
	struct lake *lake; /* opened by cli_lake(); closed by main.c */
	bool exits; /* by _exit(): a command of milliseconds leaves nothing to be closed */
};

struct command {
	const char *name;
	const char *usage; /* "NAME [START]", without the command's own name */
	const char *summary; /* one line, for the list of commands */
	const char *help; /* more lines, "" or ending with a newline */
	/* LAKE_READ: it changes nothing. LAKE_ANY, 0, with all others; a command may
	 * set cli->access by its arguments. */
	enum lake_access access;
	/* args[0..n) follow the command's name. ST_END where only help was
	 * printed. */
	enum status (*run)(struct cli *cli, int n, char **args, struct err *err);
};

extern const struct command *const commands[];
extern const size_t n_commands;
/* NULL where there is none. */
const struct command *command_by_name(const char *name);

/* ---- options.c ---- */

enum cli_option_kind {
	CLI_FLAG, /* bool *: set to true */
	CLI_TEXT, /* const char **; the last one wins */
	CLI_COUNT, /* uint64_t * */
	CLI_LIST, /* struct cli_list *: may be repeated */
};

struct cli_list {
	const char **items; /* borrowed from the arguments */
	size_t n;
	size_t cap;
};
void cli_list_release(struct cli_list *list);

struct cli_option {
	const char *name; /* "prefix": --prefix P, --prefix=P */
	char letter; /* 'n': -n 5, -n5; 0: none */
	enum cli_option_kind kind;
	void *to;
};

/* Positional arguments, in order; borrowed. */
struct cli_args {
	const char **items;
	size_t n;
	size_t cap;
};
void cli_args_release(struct cli_args *args);

/* Options may stand before, between and behind positional arguments; "--" ends
 * them; "-" is positional. --lake, --json, --help work everywhere and need no
 * row. ST_USAGE names the nearest option, or says what is missing, with the
 * command's usage; ST_END after --help has been printed. */
MUST_CHECK enum status cli_parse(struct cli *cli, int n, char **args,
				 const struct cli_option *options, size_t n_options,
				 size_t min_args, size_t max_args, struct cli_args *out,
				 struct err *err);
void cli_print_help(const struct command *command);

/* "K=V" items into metadata; ST_USAGE. */
MUST_CHECK enum status cli_meta(const struct cli_list *pairs, struct lake_meta *out,
				struct err *err);
/* Splits "REF:PATH" (both the caller's to free). need_path: ST_USAGE without
 * ":PATH"; else *path_out is "" then. */
MUST_CHECK enum status cli_split(const char *arg, bool need_path, char **ref_out, char **path_out,
				 struct err *err);

/* ---- lake.c ---- */

/* --lake, else $TIDEMARK_LAKE, else config_url (may be NULL), else "./lake". */
const char *cli_lake_url(const struct cli *cli, const char *config_url);
/* Opens that lake for a command, by cli->access, owned or through its owner; once. */
MUST_CHECK enum status cli_lake(struct cli *cli, struct lake **out, struct err *err);
/* cli_lake(), and the commit that ref names. */
MUST_CHECK enum status cli_resolve(struct cli *cli, const char *ref, struct lake **lake_out,
				   struct lake_id *out, struct err *err);
/* Moves a branch to what prepare makes of its head; where the branch moves
 * meanwhile, again on the new head, some times. prepare's errors are returned
 * as they are. id_out: the new head. */
MUST_CHECK enum status cli_advance(struct lake *lake, const char *branch, const char *reason,
				   enum status (*prepare)(void *ctx, struct lake *lake,
							  const struct lake_id *head,
							  struct lake_id *out, struct err *err),
				   void *ctx, struct lake_id *id_out, struct err *err);

/* The prefix that people mean: "topics" is "topics/" where there is such a
 * folder, else all that begins so. *out is the caller's. */
MUST_CHECK enum status cli_folder(struct lake *lake, const struct lake_id *id, const char *prefix,
				  char **out, struct err *err);

/* ---- output.c ---- */

/* Prints the object as one line and releases it. */
void cli_json_line(json_t *object);
json_t *cli_json_id(const struct lake_id *id);
json_t *cli_json_time(int64_t wall_ms);
json_t *cli_json_commit(const struct lake_commit *commit);
/* Text for people: control characters (a terminal would obey them) are shown
 * as '?'; only the first line where first_line is set. */
void cli_print_text(const char *text, bool first_line);
/* "A  path" or {"type","path"}. */
void cli_print_change(const struct cli *cli, enum lake_change change, const char *path);
void cli_print_conflicts(const struct cli *cli, const struct lake_conflicts *conflicts);
/* "<what> <short id>" or {"commit"}. */
void cli_print_commit(const struct cli *cli, const char *what, const struct lake_id *id);
/* Did all of the output arrive? */
MUST_CHECK enum status cli_flush(struct err *err);

#endif
