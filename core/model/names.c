/* What a branch, a tag and a path may be called. */
#include <string.h>

#include "core/lake.h"

#define REF_NAME_MAX 255
#define PATH_MAX_BYTES 1024

static bool is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || c == '-';
}

enum status lake_ref_name_check(enum lake_ref_kind kind, const char *name, struct err *err)
{
	const char *what = kind == LAKE_TAG ? "tag" : "branch";
	size_t len = strlen(name);
	struct lake_id id;

	if (len == 0)
		return err_set(err, ST_USAGE, "a %s needs a name", what);
	if (len > REF_NAME_MAX)
		return err_set(err, ST_USAGE,
			       "the %s name '%.40s...' has %zu characters; use %d at most", what,
			       name, len, REF_NAME_MAX);
	if (name[0] == '-')
		return err_set(err, ST_USAGE,
			       "the %s name '%s' begins with '-'; begin it with a letter, a digit "
			       "or '_'",
			       what, name);
	for (size_t i = 0; i < len; i++)
		if (!is_name_char(name[i]))
			return err_set(
				err, ST_USAGE,
				"the %s name '%s' may hold letters, digits, '_' and '-' only", what,
				name);
	if (lake_id_parse(name, &id))
		return err_set(err, ST_USAGE,
			       "the %s name '%s' would be taken for a commit id; choose another",
			       what, name);
	return ST_OK;
}

/* The code point at p and its length, or 0 where that is no UTF-8 (RFC 3629:
 * no overlong forms, no surrogates, nothing over U+10FFFF). */
static size_t utf8_at(const unsigned char *p, uint32_t *out)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t n = *p < 0x80   ? 1
		   : *p < 0xc2 ? 0
		   : *p < 0xe0 ? 2
		   : *p < 0xf0 ? 3
		   : *p < 0xf5 ? 4
			       : 0;
	uint32_t c;

	if (n == 0)
		return 0;
	if (n == 1) {
		*out = *p;
		return 1;
	}
	c = *p & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80) /* also the NUL at the end */
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	if (c < least[n] || (c >= 0xd800 && c < 0xe000) || c > 0x10ffff)
		return 0;
	*out = c;
	return n;
}

static enum status check_characters(const char *path, struct err *err)
{
	const unsigned char *p = (const unsigned char *)path;

	while (*p) {
		uint32_t c;
		size_t n = utf8_at(p, &c);

		if (n == 0)
			return err_set(err, ST_USAGE, "a path is not UTF-8 at its byte %td",
				       p - (const unsigned char *)path);
		if (c < 0x20 || (c >= 0x7f && c < 0xa0))
			return err_set(err, ST_USAGE,
				       "a path holds the control character U+%04X at its byte %td",
				       (unsigned)c, p - (const unsigned char *)path);
		p += n;
	}
	return ST_OK;
}

enum status lake_path_check(const char *path, struct err *err)
{
	size_t len = strlen(path);
	enum status st;

	if (len == 0)
		return err_set(err, ST_USAGE, "a path is empty");
	if (len > PATH_MAX_BYTES)
		return err_set(err, ST_USAGE, "a path has %zu bytes; use %d at most", len,
			       PATH_MAX_BYTES);
	st = check_characters(path, err);
	if (st != ST_OK)
		return st;
	if (path[0] == '/' || path[len - 1] == '/')
		return err_set(err, ST_USAGE, "the path '%s' begins or ends with '/'", path);
	for (const char *part = path; part;) {
		size_t n = strcspn(part, "/");

		if (n == 0)
			return err_set(err, ST_USAGE, "the path '%s' has an empty part", path);
		if ((n == 1 && part[0] == '.') || (n == 2 && part[0] == '.' && part[1] == '.'))
			return err_set(err, ST_USAGE, "the path '%s' has a part '%.*s'", path,
				       (int)n, part);
		part = part[n] ? part + n + 1 : NULL;
	}
	return ST_OK;
}
