#include "connector/schema/value.h"

#include <inttypes.h>
#include <math.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"

#define SHOWN_BYTES 60

const char *value_kind_name(enum value_kind kind)
{
	static const char *const names[] = {
		[VALUE_ABSENT] = "absent",     [VALUE_NULL] = "null",
		[VALUE_BOOLEAN] = "a boolean", [VALUE_LONG] = "a number",
		[VALUE_FLOAT] = "a number",    [VALUE_DOUBLE] = "a number",
		[VALUE_TEXT] = "text",         [VALUE_BYTES] = "bytes",
		[VALUE_NUMBER] = "a number",   [VALUE_OTHER] = "a record, array or map",
	};

	return names[kind];
}

/* ---- numbers ---- */

static bool is_decimal(const struct value *v)
{
	return v->kind == VALUE_BYTES && v->type && v->type->logical == LOGICAL_DECIMAL;
}

/* Two's complement, big-endian, divided by 10^scale. */
static long double decimal_of(const struct value *v)
{
	const unsigned char *p = (const unsigned char *)v->data;
	long double n = v->len && p[0] & 0x80 ? -1 : 0;

	for (size_t i = 0; i < v->len; i++)
		n = n * 256 + p[i];
	return n / powl(10, v->type->scale);
}

/* Text that may lack a NUL behind it; "" where it is longer than any number. */
static void copy_number(const struct value *v, char out[512])
{
	size_t n = v->len < 511 ? v->len : 0;

	if (n)
		memcpy(out, v->data, n);
	out[n] = '\0';
}

bool bound_parse(const char *text, struct bound *out)
{
	struct bound b = {.set = true};
	int64_t ms;
	char *end;

	b.exact = strtold(text, &end);
	if (end != text && !*end && isfinite((double)b.exact)) {
		b.as_double = strtod(text, NULL);
		b.as_float = strtof(text, NULL);
		*out = b;
		return true;
	}
	if (!time_parse(text, &ms))
		return false;
	b.is_time = true;
	b.us = ms * 1000;
	*out = b;
	return true;
}

#define ORDER(a, b) (((a) > (b)) - ((a) < (b)))

static bool compare_number(const struct value *v, const struct bound *b, int *out)
{
	char text[512];

	switch (v->kind) {
	case VALUE_LONG:
		*out = ORDER((long double)v->number, b->exact);
		return true;
	case VALUE_FLOAT:
		*out = ORDER((float)v->real, b->as_float);
		return !isnan(v->real);
	case VALUE_DOUBLE:
		*out = ORDER(v->real, b->as_double);
		return !isnan(v->real);
	case VALUE_NUMBER:
		copy_number(v, text);
		*out = ORDER(strtold(text, NULL), b->exact);
		return *text != '\0';
	case VALUE_BYTES:
		if (!is_decimal(v))
			return false;
		*out = ORDER(decimal_of(v), b->exact);
		return true;
	default:
		return false;
	}
}

bool value_compare(const struct value *v, const struct bound *b, int *out)
{
	int64_t us;

	if (!b->is_time)
		return compare_number(v, b, out);
	if (!value_time(v, &us))
		return false;
	*out = ORDER(us, b->us);
	return true;
}

/* ---- times ---- */

static bool scaled(int64_t n, int64_t factor, int64_t *out)
{
	return !__builtin_mul_overflow(n, factor, out);
}

static bool logical_time(const struct value *v, int64_t *us)
{
	switch (v->type ? v->type->logical : LOGICAL_NONE) {
	case LOGICAL_DATE:
		return scaled(v->number, 86400LL * 1000000, us);
	case LOGICAL_TIMESTAMP_MICROS:
	case LOGICAL_LOCAL_TIMESTAMP_MICROS:
		*us = v->number;
		return true;
	case LOGICAL_TIMESTAMP_NANOS:
	case LOGICAL_LOCAL_TIMESTAMP_NANOS:
		*us = v->number / 1000;
		return true;
	default:
		return scaled(v->number, 1000, us);
	}
}

bool value_time(const struct value *v, int64_t *us_out)
{
	char text[512];
	int64_t ms;
	char *end;
	double real;

	switch (v->kind) {
	case VALUE_LONG:
		return logical_time(v, us_out);
	case VALUE_TEXT:
		copy_number(v, text);
		return time_parse(text, &ms) && scaled(ms, 1000, us_out);
	case VALUE_NUMBER:
		copy_number(v, text);
		real = strtod(text, &end);
		if (!*text || fabs(real) > 9e15)
			return false;
		*us_out = (int64_t)(real * 1000);
		return true;
	default:
		return false;
	}
}

/* ---- equality ---- */

static void digest_real(double real, struct buf *out)
{
	if (real == floor(real) && fabs(real) < 9007199254740992.0) {
		buf_addf(out, "n%" PRId64, (int64_t)real);
		return;
	}
	buf_addc(out, 'd');
	buf_add(out, &real, sizeof(real));
}

static void digest_number(const struct value *v, struct buf *out)
{
	char text[512], *end;
	long long n;

	copy_number(v, text);
	n = strtoll(text, &end, 10);
	if (*text && !*end && n > INT64_MIN && n < INT64_MAX)
		buf_addf(out, "n%lld", n);
	else if (*text && strpbrk(text, ".eE"))
		digest_real(strtod(text, NULL), out);
	else
		buf_add(out, v->data, v->len);
}

/* Fetched once: to look it up for each value takes longer than to hash it. */
static EVP_MD *sha256;

static void fetch_sha256(void)
{
	sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	if (!sha256)
		abort();
}

/* Short ones are themselves, with their length behind. */
static void digest(const struct buf *text, unsigned char out[16])
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	unsigned char hash[EVP_MAX_MD_SIZE];

	if (text->len < 16) {
		memset(out, 0, 16);
		memcpy(out, buf_str(text), text->len);
		out[15] = (unsigned char)text->len;
		return;
	}
	pthread_once(&once, fetch_sha256);
	if (!EVP_Digest(text->data, text->len, hash, NULL, sha256, NULL))
		abort();
	memcpy(out, hash, 15);
	out[15] = 16;
}

void value_digest(const struct value *v, struct buf *scratch, unsigned char out[16])
{
	buf_clear(scratch);
	switch (v->kind) {
	case VALUE_LONG:
		buf_addf(scratch, "n%" PRId64, v->number);
		break;
	case VALUE_FLOAT:
	case VALUE_DOUBLE:
		digest_real(v->real, scratch);
		break;
	case VALUE_NUMBER:
		digest_number(v, scratch);
		break;
	default:
		buf_addc(scratch, (char)('A' + v->kind));
		if (v->kind == VALUE_BOOLEAN)
			buf_addc(scratch, (char)('0' + v->number));
		buf_add(scratch, v->data, v->len);
	}
	digest(scratch, out);
}

/* ---- for people ---- */

void value_show(const struct value *v, struct buf *out)
{
	size_t n = v->len < SHOWN_BYTES ? v->len : SHOWN_BYTES;

	while (n && n < v->len && ((unsigned char)v->data[n] & 0xc0) == 0x80)
		n--;
	switch (v->kind) {
	case VALUE_BOOLEAN:
		buf_adds(out, v->number ? "true" : "false");
		return;
	case VALUE_LONG:
		buf_addf(out, "%" PRId64, v->number);
		return;
	case VALUE_FLOAT:
	case VALUE_DOUBLE:
		buf_addf(out, "%.*g", v->kind == VALUE_FLOAT ? 9 : 17, v->real);
		return;
	case VALUE_TEXT:
		buf_addf(out, "'%.*s%s'", (int)n, v->data, n < v->len ? "..." : "");
		return;
	case VALUE_NUMBER:
		buf_add(out, v->data, n);
		return;
	case VALUE_BYTES:
		if (is_decimal(v)) {
			buf_addf(out, "%.*Lf", v->type->scale, decimal_of(v));
			return;
		}
		buf_adds(out, "bytes ");
		buf_add_hex(out, v->data, n < 16 ? n : 16);
		return;
	default:
		buf_adds(out, value_kind_name(v->kind));
	}
}
