#include "tests/lib/orders.h"

#include <stdio.h>
#include <string.h>

const char order_schema[] =
	"{\"type\":\"record\",\"name\":\"Order\",\"namespace\":\"shop\",\"fields\":["
	"{\"name\":\"order_id\",\"type\":\"long\"},"
	"{\"name\":\"customer\",\"type\":\"string\"},"
	"{\"name\":\"created\",\"type\":{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}},"
	"{\"name\":\"status\",\"type\":{\"type\":\"enum\",\"name\":\"Status\",\"symbols\":"
	"[\"NEW\",\"PAID\",\"SENT\",\"DONE\"]}},"
	"{\"name\":\"total\",\"type\":\"double\"},"
	"{\"name\":\"currency\",\"type\":\"string\"},"
	"{\"name\":\"express\",\"type\":\"boolean\"},"
	"{\"name\":\"discount\",\"type\":[\"null\",\"double\"]},"
	"{\"name\":\"coupon\",\"type\":[\"null\",\"string\"]},"
	"{\"name\":\"country\",\"type\":\"string\"},"
	"{\"name\":\"items\",\"type\":{\"type\":\"array\",\"items\":{\"type\":\"record\","
	"\"name\":\"Item\",\"fields\":[{\"name\":\"sku\",\"type\":\"string\"},"
	"{\"name\":\"name\",\"type\":\"string\"},{\"name\":\"quantity\",\"type\":\"int\"},"
	"{\"name\":\"price\",\"type\":\"double\"}]}}},"
	"{\"name\":\"attributes\",\"type\":[\"null\",{\"type\":\"map\",\"values\":\"string\"}]},"
	"{\"name\":\"version\",\"type\":\"int\"}]}";

static void add_long(struct buf *b, int64_t v)
{
	buf_add_varint(b, ((uint64_t)v << 1) ^ (uint64_t)(v >> 63));
}

static void add_text(struct buf *b, const char *s)
{
	add_long(b, (int64_t)strlen(s));
	buf_adds(b, s);
}

static void add_double(struct buf *b, double d)
{
	buf_add(b, &d, sizeof(d));
}

static const char *const words[] = {"Widget",  "Flange",   "Bracket", "Sprocket",
				    "Grommet", "Coupling", "Bearing", "Gasket"};
static const char *const colours[] = {"red", "green", "blue", "anthracite", "ivory"};

static void add_item(struct rng *r, struct buf *b, bool large)
{
	char sku[32], name[96];

	snprintf(sku, sizeof(sku), "SKU-%06llu", (unsigned long long)rng_below(r, 1000000));
	snprintf(name, sizeof(name), "%s %s%s %llu", colours[rng_below(r, 5)],
		 words[rng_below(r, 8)], large ? " with mounting kit and screws, size" : "",
		 (unsigned long long)rng_below(r, 100));
	add_text(b, sku);
	add_text(b, name);
	add_long(b, (int64_t)rng_below(r, 9) + 1);
	add_double(b, (double)rng_below(r, 100000) / 100);
}

void order_add(struct rng *r, struct buf *b, int64_t id, bool large)
{
	char text[64];
	uint64_t items = large ? 11 : 1 + (rng_below(r, 4) == 0);

	add_long(b, 1000000 + id);
	snprintf(text, sizeof(text), "customer-%05llu@shop.example",
		 (unsigned long long)rng_below(r, 50000));
	add_text(b, text);
	add_long(b, 1763715000000 + id * 37);
	add_long(b, (int64_t)rng_below(r, 4));
	add_double(b, (double)rng_below(r, 1000000) / 100);
	add_text(b, rng_below(r, 4) ? "EUR" : "USD");
	buf_addc(b, (char)rng_below(r, 2));
	add_long(b, 0);
	if (rng_below(r, 4)) {
		add_long(b, 0);
	} else {
		add_long(b, 1);
		add_text(b, "SPRING25");
	}
	add_text(b, rng_below(r, 2) ? "DE" : "FR");
	add_long(b, (int64_t)items);
	while (items--)
		add_item(r, b, large);
	add_long(b, 0);
	add_long(b, 1);
	add_long(b, large ? 4 : 1);
	for (int i = 0; i < (large ? 4 : 1); i++) {
		snprintf(text, sizeof(text), "%s-%d", i % 2 ? "channel" : "campaign", i);
		add_text(b, text);
		snprintf(text, sizeof(text), "%s %llu", words[rng_below(r, 8)],
			 (unsigned long long)rng_below(r, 1000));
		add_text(b, text);
	}
	add_long(b, 0);
	add_long(b, 3);
}
