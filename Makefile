# Tidemark. One makefile; a newcomer's targets:
#
#   make                build/<mode>/tidemark          MODE=release|debug|asan|tsan
#   make quickstart     the whole story on real records, nothing else running
#   make test           unit, contract, crash, simulation and e2e tests
#   make test-servers   the same against Apache Kafka and a schema registry
#   make lint | bench | soak | docs | install | deps | clean
#
# Tests run in MODE=debug unless MODE is given: kill points are compiled in.

test-goals := test test-servers soak
MODE ?= $(if $(filter $(test-goals),$(MAKECMDGOALS)),debug,release)
PREFIX ?= /usr/local
CC ?= gcc
B := build/$(MODE)
CACHE := $(or $(TIDEMARK_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/tidemark)
VERSION := 0.1.0

# ---- flags ----

flags-release := -O3 -g -DNDEBUG -march=x86-64-v2
flags-debug := -O1 -g -DTIDEMARK_TEST_BUILD
flags-asan := $(flags-debug) -fsanitize=address,undefined -fno-omit-frame-pointer -fno-sanitize-recover=undefined
flags-tsan := $(flags-debug) -fsanitize=thread
ifneq ($(shell uname -m),x86_64)
flags-release := $(filter-out -march=%,$(flags-release))
endif
ifeq ($(flags-$(MODE)),)
$(error MODE=$(MODE) is not one of release, debug, asan, tsan)
endif

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	-Wvla -Wformat=2 -Wundef -Wwrite-strings $(if $(CI)$(WERROR),-Werror)
CPPFLAGS += -I. -I$(B)/gen -D_GNU_SOURCE -DTIDEMARK_VERSION='"$(VERSION)"' $(rdkafka-cflags) \
	-isystem $(duckdb-dir)/include -DTIDEMARK_DUCKDB='"$(duckdb-dir)/lib/libduckdb.so"'
CFLAGS += -std=gnu17 $(flags-$(MODE)) $(WARN) -fno-strict-aliasing -pthread
LDFLAGS += $(filter -fsanitize=%,$(flags-$(MODE))) -pthread
# core/embedded/rocksdb_crc32c.c
rocksdb-crc32c := _ZN7rocksdb6crc32c6ExtendEjPKcm
ifeq ($(shell uname -m),x86_64)
LDFLAGS += -Wl,-u,$(rocksdb-crc32c),--export-dynamic-symbol=$(rocksdb-crc32c)
endif

# A system librdkafka that is new enough, else the one that `make deps` built;
# with the thread sanitizer always that, built with it.
ifeq ($(filter tsan,$(MODE))$(shell pkg-config --atleast-version=2.12 rdkafka 2>/dev/null && echo yes),yes)
rdkafka-cflags := $(shell pkg-config --cflags rdkafka)
rdkafka-libs := $(shell pkg-config --libs rdkafka)
else
rdkafka-dir := $(CACHE)/librdkafka-2.15.1-$(if $(filter tsan,$(MODE)),tsan,pthread)
rdkafka-cflags := -isystem $(rdkafka-dir)/include
# What has no core/net/curl_calls.c in it needs libcurl itself.
rdkafka-libs := $(rdkafka-dir)/lib/librdkafka.a -lsasl2 -lssl -Wl,--push-state,--as-needed -lcurl -Wl,--pop-state
endif
# DuckDB is loaded when it is first needed (connector/columnar): its header alone
# is used here, and the place where `make deps` put the library.
duckdb-dir := $(CACHE)/duckdb-1.5.5
# So are these (core/base/library.h), by the names that the linker would have put down.
soname = $(shell objdump -p "$$($(CC) -print-file-name=lib$(1).so)" 2>/dev/null | sed -n 's/^ *SONAME *//p')
CPPFLAGS += -DTIDEMARK_ROCKSDB='"$(call soname,rocksdb)"' -DTIDEMARK_CURL='"$(call soname,curl)"' \
	-DTIDEMARK_MICROHTTPD='"$(call soname,microhttpd)"'
# It has no function that tells its version.
CPPFLAGS += -DTIDEMARK_SNAPPY='"$(lastword $(subst .so., ,$(realpath $(shell $(CC) -print-file-name=libsnappy.so))))"'
# The sanitizers bring an allocator of their own.
jemalloc := $(if $(filter release debug,$(MODE)),-ljemalloc)
# $(call archive,NAME[,LIBRARY]): where none is installed the library.
archive = $(if $(wildcard $(shell $(CC) -print-file-name=lib$(1).a)),-l:lib$(1).a,-l$(or $(2),$(1)))
LIBS := $(rdkafka-libs) -lavro -lsnappy -ldeflate -lzstd -lz -ljansson -lcrypto $(jemalloc) -lm -ldl -lrt

# `make V=1` shows the commands.
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-3s %s\n' $(1) $(2))

# ---- sources ----

sources := $(sort $(shell find core connector -name '*.c' 2>/dev/null))
main := connector/cli/main.c
sql-main := connector/columnar/sql_main.c
lib-objects := $(patsubst %.c,$(B)/%.o,$(filter-out $(main) $(sql-main),$(sources)))
# tests/<kind>/test_*.c is a program each; tests/lib/*.c is linked to all.
test-sources := $(sort $(wildcard tests/unit/test_*.c tests/contract/test_*.c tests/crash/test_*.c \
	tests/simulation/test_*.c tests/e2e/test_*.c))
test-programs := $(patsubst %.c,$(B)/%,$(test-sources))
test-lib-objects := $(patsubst %.c,$(B)/%.o,$(sort $(wildcard tests/lib/*.c)))
tool-programs := $(patsubst %.c,$(B)/%,$(sort $(wildcard tests/tools/*.c tests/bench/*.c tests/fuzz/*.c)))

.PHONY: all deps quickstart test test-servers lint bench soak docs install clean tools programs \
	objects print-flags
.DELETE_ON_ERROR:
.SECONDARY:

all: $(B)/tidemark $(B)/tidemark-sql

# `make deps` runs by itself where something is missing, and only then.
deps:
	@MODE=$(MODE) .ci/deps.sh build
$(B)/deps.stamp: .ci/deps.sh
	@MODE=$(MODE) .ci/deps.sh build
	@mkdir -p $(@D) && touch $@

$(B)/%.o: %.c | $(B)/deps.stamp
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$Q$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# It embeds them.
$(B)/connector/writer/builtin_schemas.o: schemas/tombstone.avsc schemas/deadletter.avsc \
	schemas/kafka.avsc

$(B)/libtidemark.a: $(lib-objects)
$(B)/libtests.a: $(test-lib-objects)
%.a:
	$(call say,AR,$@)
	@rm -f $@
	$Q$(AR) qcs $@ $^

# Small libraries become a part of the programs, for a quick start: each that is mapped is
# relocated, and searched for the symbols of every library that is loaded later.
archives := snappy deflate zstd z jansson stdc++
$(B)/tidemark: LIBS := $(rdkafka-libs) -lavro $(foreach l,$(archives),$(call archive,$l)) -lcrypto \
	$(if $(jemalloc),$(call archive,jemalloc_pic,jemalloc)) -lm -ldl -lrt
$(B)/tidemark: $(B)/$(main:.c=.o) $(B)/libtidemark.a | $(B)/tidemark-sql
	$(call say,LD,$@)
	$Q$(CC) $(LDFLAGS) -static-libgcc -o $@ $^ $(LIBS)

# The process of a query, whose start is a part of each answer, and who looks for DuckDB's
# 40,000 symbols: with nothing but the C library, and its allocator.
$(B)/tidemark-sql: LDFLAGS := $(filter-out %$(rocksdb-crc32c),$(LDFLAGS))
$(B)/tidemark-sql: LIBS := $(foreach l,$(archives) crypto,$(call archive,$l)) -ldl
$(B)/tidemark-sql: $(B)/$(sql-main:.c=.o) $(B)/libtidemark.a
	$(call say,LD,$@)
	$Q$(CC) $(LDFLAGS) -static-libgcc -Wl,--as-needed -o $@ $^ $(LIBS)

$(B)/tests/%: $(B)/tests/%.o $(B)/libtests.a $(B)/libtidemark.a
	$(call say,LD,$@)
	$Q$(CC) $(LDFLAGS) -o $@ $^ -lcmocka $(LIBS)

# The bare consumer of the benchmarks is linked as anybody would link it.
$(B)/tests/bench/bare: LIBS := $(filter-out -ljemalloc,$(LIBS))

# These take the place of the C library's functions that change files.
$(B)/tests/crash/test_power_loss $(B)/tests/crash/test_export_loss: $(B)/tests/crash/disk_recorder.o

# What the store is measured beside.
$(B)/tests/bench/bench_tree $(B)/tests/bench/bench_depth $(B)/tests/bench/bench_objects: LIBS += -lsqlite3

tools: $(B)/tidemark $(B)/tidemark-sql $(tool-programs)
programs: tools $(test-programs)

# What .ci/lint asks for: everything compiled, nothing linked; the flags. Tests
# need kill points, which a release has not.
objects: $(lib-objects) $(B)/$(main:.c=.o) $(B)/$(sql-main:.c=.o) $(test-lib-objects) \
	$(addsuffix .o,$(if $(filter-out release,$(MODE)),$(test-programs)) $(tool-programs))
print-flags:
	@echo $(CPPFLAGS) $(CFLAGS)

# ---- goals ----

test: programs
	@.ci/run-tests $(B)

test-servers: programs
	@.ci/deps.sh servers
	@tests/servers/run $(B)

lint:
	@.ci/deps.sh build lint
	@.ci/lint

docs: $(B)/tidemark
	@.ci/configuration-page $(B) >$(B)/configuration.md
	@mv $(B)/configuration.md docs/configuration.md

bench:
	@.ci/deps.sh build servers
	@$(MAKE) --no-print-directory MODE=release tools
	@tests/bench/run build/release

soak: programs
	@.ci/deps.sh servers
	@tests/soak $(B)

quickstart: $(B)/tidemark $(B)/tests/tools/quickstart
	@.ci/deps.sh quickstart
	@tests/tools/quickstart.sh $(B)

install: all
	install -D -m 0755 $(B)/tidemark $(DESTDIR)$(PREFIX)/bin/tidemark
	install -D -m 0755 $(B)/tidemark-sql $(DESTDIR)$(PREFIX)/lib/tidemark/tidemark-sql
	install -D -m 0644 $(duckdb-dir)/lib/libduckdb.so $(DESTDIR)$(PREFIX)/lib/tidemark/libduckdb.so
	install -d $(DESTDIR)$(PREFIX)/share/tidemark
	cp -r schemas config $(DESTDIR)$(PREFIX)/share/tidemark/

clean:
	rm -rf build

-include $(shell find $(B) -name '*.d' 2>/dev/null)
