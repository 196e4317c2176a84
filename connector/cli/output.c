/* What commands print: lines for people, or JSON objects, one a line. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "connector/cli/command.h"
#include "connector/history/checkpoint.h"
#include "connector/schema/utf8.h"
#include "core/base/buf.h"
#include "core/base/clock.h"

void cli_json_line(json_t *object)
{
	json_dumpf(object, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(object);
}

json_t *cli_json_id(const struct lake_id *id)
{
	char hex[LAKE_ID_HEX_BYTES];

	if (lake_id_is_none(id))
		return json_null();
	lake_id_hex(id, hex);
	return json_string(hex);
}

json_t *cli_json_time(int64_t wall_ms)
{
	char text[TIME_TEXT_BYTES];

	time_format(wall_ms, text);
	return json_string(text);
}

json_t *cli_json_commit(const struct lake_commit *commit)
{
	json_t *object = json_object();
	json_t *parents = json_array();

	for (size_t i = 0; i < commit->n_parents; i++)
		json_array_append_new(parents, cli_json_id(&commit->parents[i]));
	json_object_set_new(object, "id", cli_json_id(&commit->id));
	json_object_set_new(object, "parents", parents);
	json_object_set_new(object, "message", utf8_json(commit->message));
	json_object_set_new(object, "committer", utf8_json(commit->committer));
	json_object_set_new(object, "time", cli_json_time(commit->time_ms));
	json_object_set_new(object, "metadata", meta_json(&commit->meta));
	return object;
}

void cli_print_text(const char *text, bool first_line)
{
	for (; *text && !(first_line && *text == '\n'); text++) {
		unsigned char c = (unsigned char)*text;

		putchar((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f ? '?' : c);
	}
}

void cli_print_change(const struct cli *cli, enum lake_change change, const char *path)
{
	static const char letters[] = {
		[LAKE_ADDED] = 'A', [LAKE_REMOVED] = 'D', [LAKE_CHANGED] = 'M'};

	if (cli->json)
		cli_json_line(json_pack("{s:s,s:o}", "type", lake_change_name(change), "path",
					utf8_json(path)));
	else
		printf("%c  %s\n", letters[change], path);
}

void cli_print_conflicts(const struct cli *cli, const struct lake_conflicts *conflicts)
{
	for (size_t i = 0; i < conflicts->n; i++) {
		if (cli->json)
			cli_json_line(json_pack("{s:s,s:o}", "type", "conflict", "path",
						utf8_json(conflicts->paths[i])));
		else
			printf("conflict  %s\n", conflicts->paths[i]);
	}
}

void cli_print_commit(const struct cli *cli, const char *what, const struct lake_id *id)
{
	char hex[LAKE_ID_SHORT_BYTES];

	lake_id_short(id, hex);
	if (cli->json)
		cli_json_line(json_pack("{s:o}", "commit", cli_json_id(id)));
	else
		printf("%s %s\n", what, hex);
}

enum status cli_flush(struct err *err)
{
	errno = 0;
	if (fflush(stdout) != 0 || ferror(stdout))
		return err_errno(err, errno ? errno : EIO, "cannot write the output");
	return ST_OK;
}
