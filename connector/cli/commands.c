#include <string.h>

#include "connector/cli/command.h"

/* A new command is a `const struct command command_NAME` in its file, and a
 * row here; the rows are in the order of the list that `tidemark --help` prints. */
#define COMMANDS(X)                                                                                \
	X(run)                                                                                     \
	X(status)                                                                                  \
	X(checkpoint)                                                                              \
	X(publish)                                                                                 \
	X(rollback)                                                                                \
	X(drop)                                                                                    \
	X(find)                                                                                    \
	X(pause)                                                                                   \
	X(resume)                                                                                  \
	X(init)                                                                                    \
	X(branch)                                                                                  \
	X(tag)                                                                                     \
	X(log)                                                                                     \
	X(show)                                                                                    \
	X(diff)                                                                                    \
	X(ls)                                                                                      \
	X(cat)                                                                                     \
	X(stat)                                                                                    \
	X(sql)                                                                                     \
	X(put)                                                                                     \
	X(rm)                                                                                      \
	X(changes)                                                                                 \
	X(commit)                                                                                  \
	X(discard)                                                                                 \
	X(merge)                                                                                   \
	X(revert)                                                                                  \
	X(cherry_pick)                                                                             \
	X(reset)                                                                                   \
	X(reflog)                                                                                  \
	X(fsck)                                                                                    \
	X(gc)                                                                                      \
	X(import)                                                                                  \
	X(backup)                                                                                  \
	X(restore)                                                                                 \
	X(export)                                                                                  \
	X(config)                                                                                  \
	X(version)

#define X(name) extern const struct command command_##name;
COMMANDS(X)
#undef X

#define X(name) &command_##name,
const struct command *const commands[] = {COMMANDS(X)};
#undef X

const size_t n_commands = ARRAY_SIZE(commands);

const struct command *command_by_name(const char *name)
{
	for (size_t i = 0; i < n_commands; i++)
		if (strcmp(commands[i]->name, name) == 0)
			return commands[i];
	return NULL;
}
