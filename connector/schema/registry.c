/* The registry client: GET /schemas/ids/ID and, for references, GET
 * /subjects/SUBJECT/versions/VERSION.
 *
 * Threads: the table of schemas is guarded by one lock that is never held over
 * a request. Whoever meets an id first fetches it; others who want the same id
 * wait for that one request and share its outcome. Failures are not kept. */
#include "connector/schema/registry.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connector/schema/compiled.h"
#include "connector/schema/references.h"
#include "core/net/http_client.h"

#define PROPERTY "value.converter.schema.registry.url"
#define MAX_REFERENCES 1000
#define MAX_ANSWER_BYTES (8u << 20)

struct endpoint {
	char *base; /* without user info and trailing slash */
	char *user; /* NULL: none */
	char *password;
};

/* One HTTP client an endpoint; used by one thread at a time. */
struct session {
	struct session *next;
	struct http_client *clients[];
};

enum entry_state { ENTRY_FETCHING, ENTRY_READY, ENTRY_FAILED };

struct entry {
	int32_t id;
	enum entry_state state;
	struct compiled_schema *compiled;
	struct err err; /* of the last failure */
	unsigned users; /* threads that fetch it or wait for it */
	struct entry *next; /* in its bucket */
};

#define BUCKETS 256

struct registry {
	struct endpoint *endpoints;
	size_t n;
	size_t cap;
	int64_t timeout_ms;
	size_t preferred; /* atomic: the endpoint that answered last */
	pthread_mutex_t lock;
	pthread_cond_t changed; /* some entry has left ENTRY_FETCHING */
	struct entry *buckets[BUCKETS]; /* guarded by lock, and what hangs on it */
	struct session *idle; /* guarded by lock */
};

/* ---- open and close ---- */

static char *percent_decoded(const char *s, size_t n)
{
	struct buf out = BUF_INIT;

	for (size_t i = 0; i < n; i++) {
		if (s[i] == '%' && i + 2 < n && hex_digit(s[i + 1]) >= 0 &&
		    hex_digit(s[i + 2]) >= 0) {
			buf_addc(&out, (char)(hex_digit(s[i + 1]) * 16 + hex_digit(s[i + 2])));
			i += 2;
		} else {
			buf_addc(&out, s[i]);
		}
	}
	return buf_detach(&out);
}

static enum status add_endpoint(struct registry *r, const struct registry_options *options,
				const char *url, size_t len, size_t number, struct err *err)
{
	AUTO(freep) char *text = xstrndup(url, len);
	size_t scheme = strncmp(text, "http://", 7) == 0    ? 7
			: strncmp(text, "https://", 8) == 0 ? 8
							    : 0;
	char *host = text + scheme, *at, *colon;
	size_t authority = strcspn(host, "/?#");
	struct endpoint e = {0};

	at = memrchr(host, '@', authority);
	if (!scheme || !authority || (at && at + 1 == host + authority) || strpbrk(text, " \t?#"))
		return err_set(err, ST_USAGE,
			       PROPERTY ": number %zu of the list is no URL; it wants "
					"http[s]://HOST[:PORT][/PATH]",
			       number);
	if (at) {
		colon = memchr(host, ':', (size_t)(at - host));
		e.user = percent_decoded(host, (size_t)((colon ? colon : at) - host));
		e.password = colon ? percent_decoded(colon + 1, (size_t)(at - colon - 1)) : NULL;
		e.base = xasprintf("%.*s%s", (int)scheme, text, at + 1);
	} else {
		e.user = options->user ? xstrdup(options->user) : NULL;
		e.password = options->password ? xstrdup(options->password) : NULL;
		e.base = xstrdup(text);
	}
	for (size_t n = strlen(e.base); n && e.base[n - 1] == '/'; n--)
		e.base[n - 1] = '\0';
	GROW(r->endpoints, r->n, r->cap);
	r->endpoints[r->n++] = e;
	return ST_OK;
}

enum status registry_open(const struct registry_options *options, struct registry **out,
			  struct err *err)
{
	AUTO(registry_closep) struct registry *r = xcalloc(1, sizeof(*r));
	const char *p = options->urls ? options->urls : "";
	size_t number = 0;

	r->timeout_ms = options->timeout_ms ? options->timeout_ms : 10000;
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->changed, NULL);
	while (*p) {
		size_t n;
		enum status st;

		p += strspn(p, ", \t");
		n = strcspn(p, ",");
		while (n && (p[n - 1] == ' ' || p[n - 1] == '\t'))
			n--;
		if (!n)
			break;
		st = add_endpoint(r, options, p, n, ++number, err);
		if (st != ST_OK)
			return st;
		p += strcspn(p, ",");
	}
	if (!r->n)
		return err_set(err, ST_USAGE, PROPERTY " names no URL");
	*out = MOVE(r);
	return ST_OK;
}

static void session_free(struct registry *r, struct session *s)
{
	for (size_t i = 0; i < r->n; i++)
		http_client_free(s->clients[i]);
	free(s);
}

void registry_close(struct registry *r)
{
	if (!r)
		return;
	for (struct session *s = r->idle, *next; s; s = next) {
		next = s->next;
		session_free(r, s);
	}
	for (size_t i = 0; i < BUCKETS; i++) {
		for (struct entry *e = r->buckets[i], *next; e; e = next) {
			next = e->next;
			compiled_schema_free(e->compiled);
			free(e);
		}
	}
	for (size_t i = 0; i < r->n; i++) {
		free(r->endpoints[i].base);
		free(r->endpoints[i].user);
		if (r->endpoints[i].password)
			explicit_bzero(r->endpoints[i].password, strlen(r->endpoints[i].password));
		free(r->endpoints[i].password);
	}
	free(r->endpoints);
	pthread_cond_destroy(&r->changed);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

static struct session *session_take(struct registry *r)
{
	struct session *s;

	pthread_mutex_lock(&r->lock);
	s = r->idle;
	if (s)
		r->idle = s->next;
	pthread_mutex_unlock(&r->lock);
	return s ? s : xcalloc(1, sizeof(*s) + r->n * sizeof(struct http_client *));
}

static void session_give(struct registry *r, struct session *s)
{
	pthread_mutex_lock(&r->lock);
	s->next = r->idle;
	r->idle = s;
	pthread_mutex_unlock(&r->lock);
}

/* ---- requests ---- */

static struct http_client *client_of(struct registry *r, struct session *s, size_t i)
{
	const struct endpoint *e = &r->endpoints[i];

	if (!s->clients[i])
		s->clients[i] = http_client_new(
			&(struct http_client_options){.user = e->user,
						      .password = e->password,
						      .connect_timeout_ms = r->timeout_ms,
						      .timeout_ms = r->timeout_ms,
						      .max_body_bytes = MAX_ANSWER_BYTES});
	return s->clients[i];
}

/* What an answer's code means; ST_OK where the body is the answer. */
static enum status judge(const struct endpoint *e, const char *path, long code, struct err *err)
{
	if (code >= 200 && code < 300)
		return ST_OK;
	if (code == 401 || code == 403)
		return err_set(err, ST_USAGE,
			       "the schema registry at %s refuses the credentials (%ld); see "
			       "value.converter.basic.auth.user.info",
			       e->base, code);
	if (code == 404)
		return err_set(err, ST_NOT_FOUND, "the schema registry at %s knows no %s (404)",
			       e->base, path);
	return err_set(err, ST_UNREACHABLE, "the schema registry at %s answers %ld to %s", e->base,
		       code, path);
}

/* Asks the endpoints in turn, from the one that answered last. */
static enum status get(struct registry *r, struct session *s, const char *path, json_t **out,
		       struct err *err)
{
	size_t first = __atomic_load_n(&r->preferred, __ATOMIC_RELAXED);
	enum status st = ST_UNREACHABLE;

	for (size_t k = 0; k < r->n; k++) {
		size_t i = (first + k) % r->n;
		const struct endpoint *e = &r->endpoints[i];
		AUTO(http_answer_release) struct http_answer answer = HTTP_ANSWER_INIT;
		AUTO(freep) char *url = xasprintf("%s%s", e->base, path);
		static const char *const headers[] = {
			"Accept: application/vnd.schemaregistry.v1+json, application/json", NULL};

		st = http_request(
			client_of(r, s, i),
			&(struct http_request){.method = "GET", .url = url, .headers = headers},
			&answer, err);
		if (st == ST_FAILED)
			st = ST_UNREACHABLE; /* an endless answer */
		if (st == ST_OK)
			st = judge(e, path, answer.code, err);
		if (st == ST_OK) {
			*out = json_loadb(buf_str(&answer.body), answer.body.len,
					  JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
			if (!*out)
				st = err_set(err, ST_UNREACHABLE,
					     "what answers at %s is no schema registry: %s is no "
					     "JSON",
					     e->base, path);
		}
		if (st == ST_UNREACHABLE)
			continue;
		__atomic_store_n(&r->preferred, i, __ATOMIC_RELAXED);
		return st;
	}
	return st;
}

enum status registry_check(struct registry *r, struct err *err)
{
	struct session *s = session_take(r);
	json_t *types = NULL;
	enum status st = get(r, s, "/schemas/types", &types, err);

	session_give(r, s);
	json_decref(types);
	/* An old registry has no such path, but it answers. */
	return st == ST_NOT_FOUND ? ST_OK : st;
}

/* ---- schemas and their references ---- */

struct documents {
	json_t **docs;
	char **paths; /* of each, so that none is fetched twice */
	size_t n;
	size_t cap;
};

static void documents_release(struct documents *d)
{
	for (size_t i = 0; i < d->n; i++) {
		json_decref(d->docs[i]);
		free(d->paths[i]);
	}
	free(d->docs);
	free(d->paths);
}

/* The schema in an answer, parsed; *text borrows from it. */
static enum status schema_in(const json_t *answer, const char *path, const char **text,
			     json_t **out, struct err *err)
{
	const char *type = json_string_value(json_object_get(answer, "schemaType"));
	json_error_t e;

	*text = json_string_value(json_object_get(answer, "schema"));
	if (!*text)
		return err_set(err, ST_UNREACHABLE,
			       "the schema registry's answer to %s has no schema", path);
	if (type && strcmp(type, "AVRO") != 0)
		return err_set(err, ST_POISON, "%s is a schema of type %s, not Avro", path, type);
	*out = json_loads(*text, JSON_DECODE_ANY | JSON_ALLOW_NUL, &e);
	if (!*out)
		return err_set(err, ST_POISON, "%s is no Avro schema: %s", path, e.text);
	return ST_OK;
}

static enum status reference_path(const json_t *reference, const char *from, struct buf *path,
				  struct err *err)
{
	const char *subject = json_string_value(json_object_get(reference, "subject"));
	const json_t *version = json_object_get(reference, "version");

	if (!subject || !json_is_integer(version))
		return err_set(err, ST_POISON, "%s has a reference without subject and version",
			       from);
	buf_adds(path, "/subjects/");
	http_add_escaped(path, subject);
	buf_addf(path, "/versions/%lld", (long long)json_integer_value(version));
	return ST_OK;
}

static enum status fetch_references(struct registry *r, struct session *s, const json_t *answer,
				    const char *from, struct documents *docs, struct err *err)
{
	json_t *reference;
	size_t i;

	json_array_foreach(json_object_get(answer, "references"), i, reference)
	{
		AUTO(buf_release) struct buf path = BUF_INIT;
		AUTO(json_decrefp) json_t *body = NULL;
		const char *text;
		json_t *doc;
		size_t k = 0;
		enum status st = reference_path(reference, from, &path, err);

		if (st != ST_OK)
			return st;
		while (k < docs->n && strcmp(docs->paths[k], path.data) != 0)
			k++;
		if (k < docs->n)
			continue;
		if (docs->n == MAX_REFERENCES)
			return err_set(err, ST_POISON, "%s has over %d references", from,
				       MAX_REFERENCES);
		st = get(r, s, path.data, &body, err);
		if (st == ST_OK)
			st = schema_in(body, path.data, &text, &doc, err);
		if (st != ST_OK)
			return err_wrap(err, st, "a reference of %s", from);
		if (docs->n == docs->cap) {
			docs->cap = docs->cap ? 2 * docs->cap : 8;
			docs->docs = xrealloc_array(docs->docs, docs->cap, sizeof(*docs->docs));
			docs->paths = xrealloc_array(docs->paths, docs->cap, sizeof(*docs->paths));
		}
		docs->docs[docs->n] = doc;
		docs->paths[docs->n++] = xstrdup(path.data);
		st = fetch_references(r, s, body, path.data, docs, err);
		if (st != ST_OK)
			return st;
	}
	return ST_OK;
}

static enum status fetch_text(struct registry *r, struct session *s, const char *path, char **out,
			      struct err *err)
{
	AUTO(documents_release) struct documents docs = {.n = 0};
	AUTO(json_decrefp) json_t *answer = NULL;
	AUTO(json_decrefp) json_t *main = NULL;
	AUTO(json_decrefp) json_t *whole = NULL;
	const char *text;
	enum status st = get(r, s, path, &answer, err);

	if (st == ST_OK)
		st = schema_in(answer, path, &text, &main, err);
	if (st == ST_OK)
		st = fetch_references(r, s, answer, path, &docs, err);
	if (st != ST_OK)
		return st;
	if (!docs.n) {
		*out = xstrdup(text);
		return ST_OK;
	}
	st = references_inline(main, docs.docs, docs.n, &whole, err);
	if (st != ST_OK)
		return err_wrap(err, ST_POISON, "%s", path);
	*out = json_dumps(whole, JSON_COMPACT | JSON_ENCODE_ANY);
	return *out ? ST_OK : err_set(err, ST_POISON, "%s cannot be written as JSON", path);
}

static enum status fetch(struct registry *r, int32_t id, struct compiled_schema **out,
			 struct err *err)
{
	AUTO(freep) char *text = NULL;
	char path[40], name[24];
	struct session *s = session_take(r);
	enum status st;

	snprintf(path, sizeof(path), "/schemas/ids/%d", id);
	snprintf(name, sizeof(name), "id:%d", id);
	st = fetch_text(r, s, path, &text, err);
	session_give(r, s);
	if (st != ST_OK)
		return st;
	st = compiled_schema_new(name, text, out, err);
	return st == ST_OK ? ST_OK : err_wrap(err, ST_POISON, "schema %s of the registry", name);
}

/* ---- the table ---- */

static struct entry *find(struct registry *r, int32_t id)
{
	struct entry *e = r->buckets[(uint32_t)id % BUCKETS];

	while (e && e->id != id)
		e = e->next;
	return e;
}

/* Under the lock: the entry of id, ours to fetch, or one that somebody else has
 * fetched, be it while we waited. */
static struct entry *claim(struct registry *r, int32_t id, bool *ours)
{
	struct entry *e = find(r, id);

	*ours = !e || e->state == ENTRY_FAILED;
	if (!e) {
		e = xcalloc(1, sizeof(*e));
		e->id = id;
		e->next = r->buckets[(uint32_t)id % BUCKETS];
		r->buckets[(uint32_t)id % BUCKETS] = e;
	}
	e->users++;
	if (*ours)
		e->state = ENTRY_FETCHING;
	while (!*ours && e->state == ENTRY_FETCHING)
		pthread_cond_wait(&r->changed, &r->lock);
	return e;
}

/* Under the lock. A failed entry goes with its last user: poison records may
 * name any number of ids that do not exist. */
static void release(struct registry *r, struct entry *e)
{
	struct entry **at = &r->buckets[(uint32_t)e->id % BUCKETS];

	if (--e->users || e->state != ENTRY_FAILED)
		return;
	while (*at != e)
		at = &(*at)->next;
	*at = e->next;
	free(e);
}

enum status registry_compiled(struct registry *r, int32_t id, const struct compiled_schema **out,
			      struct err *err)
{
	struct compiled_schema *fetched = NULL;
	struct err why = ERR_INIT;
	enum status st = ST_OK;
	struct entry *e;
	bool ours;

	pthread_mutex_lock(&r->lock);
	e = claim(r, id, &ours);
	if (ours) {
		pthread_mutex_unlock(&r->lock);
		st = fetch(r, id, &fetched, &why);
		pthread_mutex_lock(&r->lock);
		e->state = st == ST_OK ? ENTRY_READY : ENTRY_FAILED;
		e->compiled = fetched;
		e->err = why;
		pthread_cond_broadcast(&r->changed);
	}
	if (e->state == ENTRY_READY)
		*out = e->compiled;
	else
		st = err_set(err, e->err.code, "%s", e->err.text);
	release(r, e);
	pthread_mutex_unlock(&r->lock);
	return st;
}

enum status registry_schema(struct registry *r, int32_t id, const char **json_out, struct err *err)
{
	const struct compiled_schema *c;
	enum status st = registry_compiled(r, id, &c, err);

	if (st == ST_OK)
		*json_out = c->json;
	return st;
}
