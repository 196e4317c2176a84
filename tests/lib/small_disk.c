#include "tests/lib/small_disk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "core/base/buf.h"
#include "core/base/file.h"
#include "tests/lib/must.h"

/* Who is not root becomes it in a namespace of its own. */
static bool become_root(uid_t uid, gid_t gid)
{
	AUTO(freep) char *uids = xasprintf("0 %u 1", (unsigned)uid);
	AUTO(freep) char *gids = xasprintf("0 %u 1", (unsigned)gid);
	const char *const files[][2] = {{"/proc/self/setgroups", "deny"},
					{"/proc/self/uid_map", uids},
					{"/proc/self/gid_map", gids}};

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		AUTO(closep) int fd = open(files[i][0], O_WRONLY | O_CLOEXEC);

		if (fd < 0 || write(fd, files[i][1], strlen(files[i][1])) < 0)
			return false;
	}
	return true;
}

bool small_disk_allowed(void)
{
	uid_t uid = getuid();
	gid_t gid = getgid();
	bool ok = unshare(CLONE_NEWNS) == 0 ||
		  (unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 && become_root(uid, gid));

	ok = ok && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
	if (!ok)
		printf("skipped: this process may not mount a small disk (%s)\n", strerror(errno));
	return ok;
}

static void mount_it(const char *dir, size_t bytes, unsigned long flags)
{
	AUTO(freep) char *size = xasprintf("size=%zu", bytes);

	if (mount("none", dir, "tmpfs", flags, size) < 0)
		fail_msg("cannot mount a tmpfs at %s: %s", dir, strerror(errno));
}

void small_disk_mount(const char *dir, size_t bytes)
{
	mount_it(dir, bytes, 0);
}

void small_disk_resize(const char *dir, size_t bytes)
{
	mount_it(dir, bytes, MS_REMOUNT);
}

void small_disk_unmount(const char *dir)
{
	assert_int_equal(umount2(dir, MNT_DETACH), 0);
}

uint64_t small_disk_free(const char *dir)
{
	struct statvfs v;

	assert_int_equal(statvfs(dir, &v), 0);
	return (uint64_t)v.f_bavail * v.f_frsize;
}

void small_disk_fill(const char *dir, const char *file, uint64_t left)
{
	AUTO(closep) int fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	uint64_t free_bytes = small_disk_free(dir);
	off_t end;

	assert_true(fd >= 0 && free_bytes >= left);
	end = lseek(fd, 0, SEEK_END);
	if (free_bytes > left)
		assert_int_equal(posix_fallocate(fd, end, (off_t)(free_bytes - left)), 0);
}
