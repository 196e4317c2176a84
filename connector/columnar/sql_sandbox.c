#include "connector/columnar/sql_sandbox.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "connector/columnar/sql_wire.h"

void sql_sandbox_begin(void)
{
	const struct rlimit none = {0, 0};
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd >= 0) {
		(void)!write(fd, "1000", 4);
		close(fd);
	}
	close_range(SQL_DATA_FD + 1, ~0U, 0);
	setrlimit(RLIMIT_FSIZE, &none);
	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

/* ---- Landlock: Documentation/userspace-api/landlock.rst ---- */

/* All that its first version knows of; opening to read is what is given back. */
#define EVERYTHING                                                                                 \
	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE |                              \
	 LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR |                              \
	 LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |                          \
	 LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR |                              \
	 LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |                              \
	 LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |                            \
	 LANDLOCK_ACCESS_FS_MAKE_SYM)

static void allow(int rules, const char *path, uint64_t what)
{
	struct landlock_path_beneath_attr rule = {.allowed_access = what};

	rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
	if (rule.parent_fd < 0)
		return;
	syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
	close(rule.parent_fd);
}

static void allow_files(int rules, const json_t *tables)
{
	const json_t *table, *group, *file;
	size_t i, j, k;

	json_array_foreach(tables, i, table)
		json_array_foreach(json_object_get(table, "groups"), j, group)
			json_array_foreach(json_object_get(group, "files"), k, file)
				allow(rules, json_string_value(file), LANDLOCK_ACCESS_FS_READ_FILE);
}

void sql_sandbox_files(const json_t *tables)
{
	const struct landlock_ruleset_attr attr = {.handled_access_fs = EVERYTHING};
	int rules = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);

	if (rules < 0)
		return;
	allow_files(rules, tables);
	/* its own descriptors by their names, for Parquet; memory's limits */
	allow(rules, "/proc/self/", LANDLOCK_ACCESS_FS_READ_FILE);
	syscall(SYS_landlock_restrict_self, rules, 0);
	close(rules);
}
