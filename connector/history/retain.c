#include "connector/history/retain.h"

#include <stdlib.h>

#include "connector/history/state.h"
#include "core/base/props.h"

void retention_release(struct retention *r)
{
	free(r->keeper);
	r->keeper = NULL;
}

static enum status add_one(void *ctx, const char *connector, const json_t *properties,
			   struct err *err)
{
	struct retention *r = ctx;
	const char *value = json_string_value(json_object_get(properties, RETAIN_PROPERTY));
	int64_t ms = 0;

	if (value && !duration_parse(value, &ms))
		return err_set(err, ST_DAMAGED, "connector '%s': %s=%s is no duration", connector,
			       RETAIN_PROPERTY, value);
	if (ms == 0 && !r->keeper)
		r->keeper = xstrdup(connector);
	if (ms > r->ms)
		r->ms = ms;
	return ST_OK;
}

enum status retention_read(struct lake *lake, struct retention *out, struct err *err)
{
	struct retention r = {.ms = 0};
	enum status st = state_each_properties(lake, NULL, add_one, &r, err);

	if (st != ST_OK) {
		retention_release(&r);
		return st;
	}
	if (r.keeper)
		r.ms = 0;
	*out = r;
	return ST_OK;
}
