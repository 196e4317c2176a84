#include "connector/writer/file_name.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

bool file_name_parse(const char *path, struct file_name *out)
{
	const char *name = strrchr(path, '/');
	const char *plus;
	int n = 0;

	name = name ? name + 1 : path;
	plus = strchr(name, '+');
	if (!plus || (size_t)(plus - name) >= sizeof(out->topic))
		return false;
	memcpy(out->topic, name, (size_t)(plus - name));
	out->topic[plus - name] = '\0';
	out->generation = 0;
	if (sscanf(plus, "+%" SCNd32 "+%" SCNd64 "%n", &out->partition, &out->first_offset, &n) !=
	    2)
		return false;
	return plus[n] != '+' || sscanf(plus + n, "+g%" SCNu32, &out->generation) == 1;
}
