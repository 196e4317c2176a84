#include <stdlib.h>
#include <string.h>

#include "connector/kafka/consumer.h"

void partitions_release(struct partitions *list)
{
	for (size_t i = 0; i < list->n; i++)
		free(list->items[i].topic);
	free(list->items);
	*list = (struct partitions)PARTITIONS_INIT;
}

struct partition *partitions_add(struct partitions *list, const char *topic, int32_t partition)
{
	struct partition *p;

	GROW(list->items, list->n, list->cap);
	p = &list->items[list->n++];
	*p = (struct partition){
		.topic = xstrdup(topic),
		.partition = partition,
		.leader_epoch = -1,
		.offset = -1,
	};
	return p;
}

struct partition *partitions_find(const struct partitions *list, const char *topic,
				  int32_t partition)
{
	for (size_t i = 0; i < list->n; i++)
		if (list->items[i].partition == partition &&
		    strcmp(list->items[i].topic, topic) == 0)
			return &list->items[i];
	return NULL;
}

void cluster_info_release(struct cluster_info *info)
{
	for (size_t i = 0; i < info->n_topics; i++) {
		free(info->topics[i].name);
		free(info->topics[i].id);
	}
	free(info->topics);
	free(info->cluster_id);
	*info = (struct cluster_info){0};
}
