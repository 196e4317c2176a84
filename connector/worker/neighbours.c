/* Two connectors of one lake may not write to one place. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "connector/history/checkpoint.h"
#include "connector/history/state.h"
#include "connector/worker/connector.h"

static const char *text_of(const json_t *properties, const char *key, const char *otherwise)
{
	const char *text = json_string_value(json_object_get(properties, key));

	return text ? text : otherwise;
}

/* Does the other connector read this topic: by its list, or by what it has read? */
static bool reads(struct lake *lake, const json_t *properties, const char *name, const char *topic)
{
	AUTO(text_list_release)
	struct text_list list = text_list_split(text_of(properties, "topics", ""));
	AUTO(checkpoint_release) struct checkpoint head = {0};
	AUTO(freep) char *standard = xasprintf("ingest-%s", name);
	struct lake_id id;

	for (size_t i = 0; i < list.n; i++)
		if (strcmp(list.items[i], topic) == 0)
			return true;
	if (lake_ref_get(lake, LAKE_BRANCH, text_of(properties, "lake.branch", standard), &id,
			 NULL) != ST_OK ||
	    checkpoint_read(lake, &id, &head, NULL) != ST_OK)
		return false;
	return topic_states_find(&head.topics, topic) != NULL;
}

struct neighbours {
	const struct config *config;
	struct lake *lake;
};

static enum status check_one(void *ctx, const char *name, const json_t *other, struct err *err)
{
	const struct neighbours *n = ctx;
	const struct config *c = n->config;
	AUTO(freep) char *standard = xasprintf("ingest-%s", name);
	AUTO(freep)
	char *published = config_published_branch(name, text_of(other, "lake.target", "main"));
	const char *branch = text_of(other, "lake.branch", standard);

	if (strcmp(branch, c->branch) == 0)
		return err_set(err, ST_USAGE,
			       "lake.branch=%s is the ingest branch of the connector %s; "
			       "give this one a branch of its own",
			       branch, name);
	if (strcmp(published, c->published) == 0)
		return err_set(
			err, ST_USAGE,
			"name=%s: its publication branch %s would be that of the connector %s too; "
			"give it another name",
			c->name, published, name);
	if (strcmp(text_of(other, "path.prefix", "topics"), c->path_prefix) != 0)
		return ST_OK;
	for (size_t i = 0; !c->topics_regex && i < c->topics.n; i++)
		if (reads(n->lake, other, name, c->topics.items[i]))
			return err_set(
				err, ST_USAGE,
				"topics: %s/%s belongs to the connector %s of this lake; set "
				"path.prefix to a folder of its own",
				c->path_prefix, c->topics.items[i], name);
	return ST_OK;
}

enum status connector_check_neighbours(const struct config *config, struct lake *lake,
				       struct err *err)
{
	struct neighbours n = {config, lake};

	return state_each_properties(lake, config->name, check_one, &n, err);
}
