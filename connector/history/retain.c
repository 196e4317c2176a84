#include "connector/history/retain.h"

#include <jansson.h>
#include <stdlib.h>

#include "connector/history/state.h"
#include "core/base/props.h"

void retention_release(struct retention *r)
{
	free(r->keeper);
	r->keeper = NULL;
}

/* ms_out 0: it has none. */
static enum status read_one(struct lake *lake, const char *connector, int64_t *ms_out,
			    struct err *err)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	const char *value;
	json_t *object;
	enum status st = state_read(lake, connector, STATE_PROPERTIES, &text, err);

	if (st != ST_OK)
		return st;
	*ms_out = 0;
	object = json_loads(buf_str(&text), 0, NULL);
	if (!json_is_object(object))
		st = err_set(err, ST_DAMAGED, "the properties of connector '%s' on %s are no JSON",
			     connector, STATE_BRANCH);
	value = json_string_value(json_object_get(object, RETAIN_PROPERTY));
	if (st == ST_OK && value && !duration_parse(value, ms_out))
		st = err_set(err, ST_DAMAGED, "connector '%s': %s=%s is no duration", connector,
			     RETAIN_PROPERTY, value);
	json_decref(object);
	return st;
}

enum status retention_read(struct lake *lake, struct retention *out, struct err *err)
{
	struct retention r = {.ms = 0};
	char **names;
	size_t n;
	enum status st = state_connectors(lake, &names, &n, err);

	if (st != ST_OK)
		return st;
	for (size_t i = 0; i < n; i++) {
		int64_t ms = 0;

		if (st == ST_OK && !r.keeper)
			st = read_one(lake, names[i], &ms, err);
		if (st == ST_OK && !r.keeper && ms == 0)
			r.keeper = xstrdup(names[i]);
		if (ms > r.ms)
			r.ms = ms;
		free(names[i]);
	}
	free(names);
	if (r.keeper)
		r.ms = 0;
	if (st != ST_OK) {
		retention_release(&r);
		return st;
	}
	*out = r;
	return ST_OK;
}
