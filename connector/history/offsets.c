#include "connector/history/offsets.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

void offsets_release(struct offsets *o)
{
	for (size_t i = 0; i < o->n; i++)
		free(o->items[i].topic);
	free(o->items);
	*o = (struct offsets)OFFSETS_INIT;
}

void offsets_copy(struct offsets *to, const struct offsets *from)
{
	struct offsets copy = {.n = from->n, .cap = from->n};

	copy.items = xmalloc(from->n * sizeof(*copy.items));
	for (size_t i = 0; i < from->n; i++) {
		copy.items[i] = from->items[i];
		copy.items[i].topic = xstrdup(from->items[i].topic);
	}
	offsets_release(to);
	*to = copy;
}

static int compare(const struct offset_item *a, const char *topic, int32_t partition)
{
	int c = strcmp(a->topic, topic);

	return c ? c : (a->partition > partition) - (a->partition < partition);
}

/* The place of (topic, partition), or where it would go. */
static size_t place(const struct offsets *o, const char *topic, int32_t partition, bool *found)
{
	size_t low = 0, high = o->n;

	while (low < high) {
		size_t middle = (low + high) / 2;
		int c = compare(&o->items[middle], topic, partition);

		if (c == 0) {
			*found = true;
			return middle;
		}
		if (c < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*found = false;
	return low;
}

void offsets_set(struct offsets *o, const char *topic, int32_t partition, int64_t value)
{
	bool found;
	size_t i = place(o, topic, partition, &found);

	if (found) {
		o->items[i].value = value;
		return;
	}
	GROW(o->items, o->n, o->cap);
	memmove(&o->items[i + 1], &o->items[i], (o->n - i) * sizeof(*o->items));
	o->items[i] = (struct offset_item){
		.topic = xstrdup(topic),
		.partition = partition,
		.value = value,
	};
	o->n++;
}

int64_t offsets_get(const struct offsets *o, const char *topic, int32_t partition)
{
	bool found;
	size_t i = place(o, topic, partition, &found);

	return found ? o->items[i].value : -1;
}

void offsets_remove_topic(struct offsets *o, const char *topic)
{
	size_t kept = 0;

	for (size_t i = 0; i < o->n; i++) {
		if (strcmp(o->items[i].topic, topic) == 0)
			free(o->items[i].topic);
		else
			o->items[kept++] = o->items[i];
	}
	o->n = kept;
}

bool offsets_equal(const struct offsets *a, const struct offsets *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (compare(&a->items[i], b->items[i].topic, b->items[i].partition) != 0 ||
		    a->items[i].value != b->items[i].value)
			return false;
	return true;
}

/* Topic names hold no character that JSON would escape. */
void offsets_to_json(const struct offsets *o, struct buf *out)
{
	const char *topic = NULL;

	buf_addc(out, '{');
	for (size_t i = 0; i < o->n; i++) {
		const struct offset_item *item = &o->items[i];
		bool same = topic && strcmp(topic, item->topic) == 0;

		if (!same)
			buf_addf(out, "%s\"%s\":{", topic ? "}," : "", item->topic);
		buf_addf(out, "%s\"%d\":%" PRId64, same ? "," : "", item->partition, item->value);
		topic = item->topic;
	}
	buf_adds(out, topic ? "}}" : "}");
}

/* Calls each() for every {"topic":{"partition":value}}. */
static enum status each_partition(const char *text, const char *what,
				  bool (*each)(void *ctx, const char *topic, int32_t partition,
					       const json_t *value),
				  void *ctx, struct err *err)
{
	json_t *root = json_loads(text, 0, NULL), *partitions, *value;
	const char *topic, *partition;
	bool ok = json_is_object(root);

	json_object_foreach(root, topic, partitions)
	{
		ok = ok && json_is_object(partitions);
		json_object_foreach(partitions, partition, value)
		{
			char *end;
			long p = strtol(partition, &end, 10);

			ok = ok && end != partition && !*end && p >= 0 && p <= INT32_MAX &&
			     each(ctx, topic, (int32_t)p, value);
		}
	}
	json_decref(root);
	if (!ok)
		return err_set(err, ST_DAMAGED, "%.100s is no map of %s", text, what);
	return ST_OK;
}

static bool take_offset(void *ctx, const char *topic, int32_t partition, const json_t *value)
{
	if (!json_is_integer(value))
		return false;
	offsets_set(ctx, topic, partition, json_integer_value(value));
	return true;
}

enum status offsets_from_json(const char *text, struct offsets *out, struct err *err)
{
	struct offsets o = OFFSETS_INIT;
	enum status st = each_partition(text, "offsets", take_offset, &o, err);

	if (st != ST_OK) {
		offsets_release(&o);
		return st;
	}
	*out = o;
	return ST_OK;
}

void ranges_release(struct ranges *r)
{
	for (size_t i = 0; i < r->n; i++)
		free(r->items[i].topic);
	free(r->items);
	*r = (struct ranges){0};
}

struct range *ranges_add(struct ranges *r, const char *topic, int32_t partition, int64_t from,
			 int64_t to)
{
	GROW(r->items, r->n, r->cap);
	r->items[r->n] = (struct range){
		.topic = xstrdup(topic),
		.partition = partition,
		.leader_epoch = -1,
		.from = from,
		.to = to,
	};
	return &r->items[r->n++];
}

const struct range *ranges_find(const struct ranges *r, const char *topic, int32_t partition)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->items[i].partition == partition && strcmp(r->items[i].topic, topic) == 0)
			return &r->items[i];
	return NULL;
}

static int range_order(const void *a, const void *b)
{
	const struct range *x = a, *y = b;
	int c = strcmp(x->topic, y->topic);

	return c ? c : (x->partition > y->partition) - (x->partition < y->partition);
}

void ranges_to_json(const struct ranges *r, struct buf *out)
{
	AUTO(freep) struct range *sorted = (void *)xmemdup(r->items, r->n * sizeof(*r->items));
	const char *topic = NULL;

	qsort(sorted, r->n, sizeof(*sorted), range_order);
	buf_addc(out, '{');
	for (size_t i = 0; i < r->n; i++) {
		bool same = topic && strcmp(topic, sorted[i].topic) == 0;

		if (!same)
			buf_addf(out, "%s\"%s\":{", topic ? "}," : "", sorted[i].topic);
		buf_addf(out, "%s\"%d\":[%" PRId64 ",%" PRId64 "]", same ? "," : "",
			 sorted[i].partition, sorted[i].from, sorted[i].to);
		topic = sorted[i].topic;
	}
	buf_adds(out, topic ? "}}" : "}");
}

static bool take_range(void *ctx, const char *topic, int32_t partition, const json_t *value)
{
	const json_t *from = json_array_get(value, 0), *to = json_array_get(value, 1);

	if (!json_is_integer(from) || !json_is_integer(to))
		return false;
	ranges_add(ctx, topic, partition, json_integer_value(from), json_integer_value(to));
	return true;
}

enum status ranges_from_json(const char *text, struct ranges *out, struct err *err)
{
	struct ranges r = {0};
	enum status st = each_partition(text, "ranges", take_range, &r, err);

	if (st != ST_OK) {
		ranges_release(&r);
		return st;
	}
	*out = r;
	return ST_OK;
}

void losses_release(struct losses *l)
{
	for (size_t i = 0; i < l->n; i++) {
		free(l->items[i].topic);
		free(l->items[i].policy);
		free(l->items[i].reason);
	}
	free(l->items);
	*l = (struct losses){0};
}

void losses_add(struct losses *l, const char *topic, int32_t partition, int64_t from, int64_t to,
		const char *policy, const char *reason)
{
	GROW(l->items, l->n, l->cap);
	l->items[l->n++] = (struct loss){
		.topic = xstrdup(topic),
		.partition = partition,
		.from = from,
		.to = to,
		.policy = xstrdup(policy),
		.reason = xstrdup(reason),
	};
}

void losses_to_json(const struct losses *l, struct buf *out)
{
	json_t *list = json_array();
	char *text;

	for (size_t i = 0; i < l->n; i++) {
		const struct loss *x = &l->items[i];

		json_array_append_new(list, json_pack("{s:s,s:i,s:[I,I],s:s,s:s}", "topic",
						      x->topic, "partition", x->partition, "range",
						      (json_int_t)x->from, (json_int_t)x->to,
						      "policy", x->policy, "reason", x->reason));
	}
	text = json_dumps(list, JSON_COMPACT);
	buf_adds(out, text);
	free(text);
	json_decref(list);
}

enum status losses_from_json(const char *text, struct losses *out, struct err *err)
{
	json_t *list = json_loads(text, 0, NULL), *item;
	struct losses l = {0};
	bool ok = json_is_array(list);
	size_t i;

	json_array_foreach(list, i, item)
	{
		const char *topic, *policy, *reason;
		json_int_t from, to;
		int partition;

		if (json_unpack(item, "{s:s,s:i,s:[I,I],s:s,s:s}", "topic", &topic, "partition",
				&partition, "range", &from, &to, "policy", &policy, "reason",
				&reason) != 0) {
			ok = false;
			break;
		}
		losses_add(&l, topic, partition, from, to, policy, reason);
	}
	json_decref(list);
	if (!ok) {
		losses_release(&l);
		return err_set(err, ST_DAMAGED, "%.100s is no list of losses", text);
	}
	*out = l;
	return ST_OK;
}
