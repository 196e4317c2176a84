/* Notifiers as they are configured. */
#include <stdlib.h>
#include <string.h>

#include "connector/worker/notify.h"

#define PREFIX "publish.notify."
#define MS_MAX (24LL * 3600 * 1000)

static const struct prop_def defs[] = {
	{.name = PREFIX "<n>.type",
	 .type = PROP_CHOICE,
	 .required = true,
	 .choices = "command|webhook",
	 .doc = "give `command` or `webhook`: how it is told (docs/gates.md)"},
	{.name = PREFIX "<n>.command",
	 .doc = "`command`: run by `/bin/sh -c`; exit code 0 says that it was taken"},
	{.name = PREFIX "<n>.url", .doc = "`webhook`: where the event is posted to"},
	{.name = PREFIX "<n>.secret",
	 .secret = true,
	 .doc = "`webhook`: key of the signature in `X-Tidemark-Signature`"},
	{.name = PREFIX "<n>.timeout.ms",
	 .type = PROP_MS,
	 .def = "60000",
	 .min = 1,
	 .max = MS_MAX,
	 .doc = "one try that takes longer has failed"},
	{.name = PREFIX "<n>.retries",
	 .type = PROP_INT,
	 .def = "3",
	 .max = 1000,
	 .doc = "tries after the first, 1 s, 2 s, 4 s, ... (a minute at most) apart; after that it "
		"is logged, counted, and not tried again"},
};

const struct prop_table notify_table = {.defs = defs, .n = ARRAY_SIZE(defs)};

void notify_config_free(struct notifier *notifiers, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(notifiers[i].name);
		free(notifiers[i].command);
		free(notifiers[i].url);
		if (notifiers[i].secret)
			explicit_bzero(notifiers[i].secret, strlen(notifiers[i].secret));
		free(notifiers[i].secret);
	}
	free(notifiers);
}

/* ---- one notifier's properties, with its own table ---- */

struct reading {
	const char *name;
	struct prop_def defs[ARRAY_SIZE(defs)];
	struct prop_table table; /* the rows, under this notifier's name */
	struct props props; /* this notifier's */
};

static void reading_release(struct reading *r)
{
	for (size_t i = 0; i < r->table.n; i++)
		free((char *)(uintptr_t)r->defs[i].name);
	props_release(&r->props);
}

static enum status read_props(struct reading *r, const struct props *props, struct err *err)
{
	AUTO(freep) char *prefix = xasprintf(PREFIX "%s.", r->name);
	AUTO(buf_release) struct buf warnings = BUF_INIT;

	r->table = (struct prop_table){r->defs, ARRAY_SIZE(defs)};
	for (size_t i = 0; i < ARRAY_SIZE(defs); i++) {
		r->defs[i] = defs[i];
		r->defs[i].name = xasprintf("%s%s", prefix, defs[i].name + strlen(PREFIX "<n>."));
	}
	for (size_t i = 0; i < props->n; i++)
		if (strncmp(props->items[i].key, prefix, strlen(prefix)) == 0)
			props_set(&r->props, props->items[i].key, props->items[i].value);
	return prop_table_check(&r->table, &r->props, &warnings, err);
}

static const char *text_of(const struct reading *r, const char *key)
{
	AUTO(freep) char *whole = xasprintf(PREFIX "%s.%s", r->name, key);

	return prop_text(&r->table, &r->props, whole);
}

static int64_t number_of(const struct reading *r, const char *key)
{
	AUTO(freep) char *whole = xasprintf(PREFIX "%s.%s", r->name, key);

	return prop_number(&r->table, &r->props, whole);
}

/* Keys that the other type takes. */
static enum status refuse(const struct reading *r, const char *type, const char *const *keys,
			  size_t n, struct err *err)
{
	for (size_t i = 0; i < n; i++)
		if (text_of(r, keys[i]))
			return err_set(err, ST_USAGE,
				       PREFIX "%s.%s: a notifier of type %s takes no such "
					      "property; remove it",
				       r->name, keys[i], type);
	return ST_OK;
}

static enum status command_of(const struct reading *r, struct notifier *out, struct err *err)
{
	static const char *const others[] = {"url", "secret"};
	const char *command = text_of(r, "command");

	if (!command || !*command)
		return err_set(err, ST_USAGE,
			       PREFIX "%s.command is not set: give a command for /bin/sh -c",
			       r->name);
	out->command = xstrdup(command);
	return refuse(r, "command", others, ARRAY_SIZE(others), err);
}

static enum status webhook_of(const struct reading *r, struct notifier *out, struct err *err)
{
	static const char *const others[] = {"command"};
	const char *url = text_of(r, "url"), *secret = text_of(r, "secret");
	const char *host = url ? strstr(url, "://") : NULL;

	if (!host || !host[3] ||
	    (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0))
		return err_set(err, ST_USAGE,
			       PREFIX "%s.url=%s: give http://HOST[:PORT]/PATH, or https", r->name,
			       url ? url : "");
	if (secret && !*secret)
		return err_set(err, ST_USAGE, PREFIX "%s.secret is empty: give a key, or remove it",
			       r->name);
	out->url = xstrdup(url);
	out->secret = secret ? xstrdup(secret) : NULL;
	return refuse(r, "webhook", others, ARRAY_SIZE(others), err);
}

static enum status read_one(const struct props *props, const char *name, struct notifier *out,
			    struct err *err)
{
	AUTO(reading_release) struct reading r = {.name = name};
	enum status st = read_props(&r, props, err);

	if (st != ST_OK)
		return st;
	out->name = xstrdup(name);
	out->timeout_ms = number_of(&r, "timeout.ms");
	out->retries = number_of(&r, "retries");
	return strcmp(text_of(&r, "type"), "command") == 0 ? command_of(&r, out, err)
							   : webhook_of(&r, out, err);
}

/* ---- all ---- */

static enum status check_names(const struct props *props, const struct text_list *names,
			       struct err *err)
{
	for (size_t i = 0; i < names->n; i++) {
		const char *name = names->items[i];

		if (strspn(name,
			   "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") !=
			    strlen(name) ||
		    strlen(name) > 100)
			return err_set(err, ST_USAGE,
				       "publish.notify: %s: give 1 to 100 letters, digits, `_` or "
				       "`-`",
				       name);
		for (size_t j = 0; j < i; j++)
			if (strcmp(name, names->items[j]) == 0)
				return err_set(err, ST_USAGE,
					       "publish.notify: %s is named twice; remove one",
					       name);
	}
	for (size_t i = 0; i < props->n; i++) {
		const char *key = props->items[i].key;
		bool known = strncmp(key, PREFIX, strlen(PREFIX)) != 0;

		for (size_t j = 0; !known && j < names->n; j++) {
			const char *name = names->items[j], *rest = key + strlen(PREFIX);

			known = strncmp(rest, name, strlen(name)) == 0 && rest[strlen(name)] == '.';
		}
		if (!known)
			return err_set(err, ST_USAGE,
				       "%s: publish.notify does not name this notifier; add it "
				       "there",
				       key);
	}
	return ST_OK;
}

enum status notify_configure(const struct props *props, struct notifier **out, size_t *n_out,
			     struct err *err)
{
	AUTO(text_list_release)
	struct text_list names = text_list_split(props_get(props, "publish.notify"));
	struct notifier *notifiers = xcalloc(names.n, sizeof(*notifiers));
	enum status st = check_names(props, &names, err);

	for (size_t i = 0; st == ST_OK && i < names.n; i++)
		st = read_one(props, names.items[i], &notifiers[i], err);
	if (st != ST_OK) {
		notify_config_free(notifiers, names.n);
		return st;
	}
	*out = notifiers;
	*n_out = names.n;
	return ST_OK;
}
