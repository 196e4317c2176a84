/* libcurl's functions, for http_client.c and for librdkafka, which is linked in and
 * calls it too: each passes on to the library, which is loaded with the first call
 * (core/base/library.h). */
#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>
#include <pthread.h>
#include <stdarg.h>

#include "core/base/base.h"
#include "core/base/library.h"

#undef curl_easy_setopt
#undef curl_easy_getinfo

/* X(what it gives, name, parameters, arguments); V: those that give nothing. */
/* clang-format off */
#define CURL_FUNCTIONS(X, V) \
	X(CURLcode, global_init, (long flags), (flags)) \
	X(char *, version, (void), ()) \
	X(CURL *, easy_init, (void), ()) \
	X(CURLcode, easy_perform, (CURL *c), (c)) \
	X(char *, easy_escape, (CURL *c, const char *s, int n), (c, s, n)) \
	X(const char *, easy_strerror, (CURLcode code), (code)) \
	V(easy_cleanup, (CURL *c), (c)) \
	V(easy_reset, (CURL *c), (c)) \
	V(free, (void *p), (p)) \
	X(struct curl_slist *, slist_append, (struct curl_slist *l, const char *s), (l, s)) \
	V(slist_free_all, (struct curl_slist *l), (l)) \
	X(CURLU *, url, (void), ()) \
	V(url_cleanup, (CURLU *u), (u)) \
	X(CURLUcode, url_set, (CURLU *u, CURLUPart what, const char *s, unsigned flags), \
	  (u, what, s, flags))
/* clang-format on */
#define OTHER_CURL_FUNCTIONS(N) N(easy_setopt) N(easy_getinfo) N(url_get)

static struct {
#define N(name) __typeof__(&curl_##name) name;
#define X(type, name, parameters, arguments) __typeof__(&curl_##name) name;
#define V(name, parameters, arguments) __typeof__(&curl_##name) name;
	CURL_FUNCTIONS(X, V) OTHER_CURL_FUNCTIONS(N)
#undef N
#undef X
#undef V
} lib;

static void load(void)
{
	static const char *const names[] = {
#define N(name) "curl_" #name,
#define X(type, name, parameters, arguments) N(name)
#define V(name, parameters, arguments) N(name)
		CURL_FUNCTIONS(X, V) OTHER_CURL_FUNCTIONS(N)
#undef N
#undef X
#undef V
	};

	library_load(TIDEMARK_CURL, names, (void **)&lib, ARRAY_SIZE(names));
}

static void need(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, load);
}

#define X(type, name, parameters, arguments)                                                       \
	type curl_##name parameters                                                                \
	{                                                                                          \
		need();                                                                            \
		return lib.name arguments;                                                         \
	}
#define V(name, parameters, arguments)                                                             \
	void curl_##name parameters                                                                \
	{                                                                                          \
		need();                                                                            \
		lib.name arguments;                                                                \
	}
CURL_FUNCTIONS(X, V)

/* Their one argument more is a pointer or a number of its size (curl.h: long, curl_off_t,
 * pointers to objects and functions). */
_Static_assert(sizeof(long) == sizeof(void *) && sizeof(curl_off_t) == sizeof(void *),
	       "an argument is passed on as a pointer");

CURLcode curl_easy_setopt(CURL *c, CURLoption option, ...)
{
	va_list list;
	void *value;

	va_start(list, option);
	value = va_arg(list, void *);
	va_end(list);
	need();
	return lib.easy_setopt(c, option, value);
}

CURLcode curl_easy_getinfo(CURL *c, CURLINFO info, ...)
{
	va_list list;
	void *out;

	va_start(list, info);
	out = va_arg(list, void *);
	va_end(list);
	need();
	return lib.easy_getinfo(c, info, out);
}

/* By its name in the object file: some versions of curl.h have its first parameter const. */
CURLUcode url_get(CURLU *u, CURLUPart what, char **out, unsigned flags) __asm__("curl_url_get");
CURLUcode url_get(CURLU *u, CURLUPart what, char **out, unsigned flags)
{
	need();
	return lib.url_get(u, what, out, flags);
}
