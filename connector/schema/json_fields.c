#include "connector/schema/json_fields.h"

#include <string.h>

#include "connector/schema/json_text.h"

/* Is the string at the quote that name? */
static bool is_name(const char *quote, const char *name, size_t len)
{
	AUTO(buf_release) struct buf plain = BUF_INIT;
	size_t inside = (size_t)(json_string_end(quote) - quote) - 2;

	if (!memchr(quote + 1, '\\', inside))
		return inside == len && memcmp(quote + 1, name, len) == 0;
	json_unescape(&quote, &plain);
	return plain.len == len && memcmp(plain.data, name, len) == 0;
}

/* The last member of that name of the object at p, or NULL. */
static const char *find_member(const char *p, const char *name, size_t len)
{
	const char *found = NULL;

	p = json_blank(p + 1);
	while (*p != '}') {
		const char *key = p;

		p = json_blank(json_blank(json_string_end(p)) + 1); /* behind the colon */
		if (is_name(key, name, len))
			found = p;
		p = json_blank(json_skip(p));
		if (*p == ',')
			p = json_blank(p + 1);
	}
	return found;
}

static struct value value_at(const char *p, struct buf *scratch)
{
	struct value v = {.data = p, .len = (size_t)(json_skip(p) - p)};

	switch (*p) {
	case 'n':
		v.kind = VALUE_NULL;
		break;
	case 't':
	case 'f':
		v.kind = VALUE_BOOLEAN;
		v.number = *p == 't';
		v.len = 0;
		break;
	case '"':
		v.kind = VALUE_TEXT;
		v.data++;
		v.len -= 2;
		if (memchr(v.data, '\\', v.len)) {
			buf_clear(scratch);
			json_unescape(&p, scratch);
			v.data = buf_str(scratch);
			v.len = scratch->len;
		}
		break;
	case '{':
	case '[':
		v.kind = VALUE_OTHER;
		break;
	default:
		v.kind = VALUE_NUMBER;
	}
	return v;
}

struct value json_field(const char *text, const char *path, struct buf *scratch)
{
	const char *p = json_blank(text);

	for (;;) {
		size_t n = strcspn(path, ".");

		if (*p != '{')
			return (struct value){.kind = VALUE_ABSENT};
		p = find_member(p, path, n);
		if (!p)
			return (struct value){.kind = VALUE_ABSENT};
		if (!path[n])
			return value_at(p, scratch);
		path += n + 1;
	}
}
