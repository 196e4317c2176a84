#!/usr/bin/env bash
# Installs what the build and the tests need, once. Says what it installs and
# does nothing for what is there already.
#
# usage: .ci/deps.sh [build|lint|servers|quickstart]...      (default: build)
#
# From Debian: packages by name. From elsewhere: one archive each, pinned by
# version and SHA-256, unpacked or built into the cache folder
# ($TIDEMARK_CACHE, else ~/.cache/tidemark), which clones share.
set -euo pipefail

cache=${TIDEMARK_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tidemark}

RDKAFKA_VERSION=2.15.1
RDKAFKA_NPM=@confluentinc/kafka-javascript@1.10.1
RDKAFKA_SHA256=ada7d703bb1d3237e2292bfabf438d663b6160c9f1ac2a2406b5dc4257c81b66
VEGA_NPM=vega-datasets@3.2.1
VEGA_SHA256=6f72fda460a9863fae5fcb32f85bcd49e1761fdea6dc6cf9f4962472881cc5a3
APICURIO=io.apicurio:apicurio-registry-app:2.6.13.Final:tar.gz:all
APICURIO_SHA256=3cda1b34aa020fb4ac4dd6a66018d757e81e437f97e20a1f92d366b70091c6ba
KAFKA_VERSION=4.1.1
DUCKDB_VERSION=1.5.5
DUCKDB_SHA256_x86_64=86d2bda909785550e8a14a57a8a4584827aff0e268d8f1a58c3fd48559f7020e
DUCKDB_SHA256_aarch64=3b85f3ea438f7dc3691d7b5e6e4222ffe9127fd17885f96ca72e0c99925c348e
DUCKDB_SDIST_SHA256=72f33ee57ca7595b23957671a2cc7f7fe2be0ecc2d68f63abedcfcaa3a5c1238

build_packages=(gcc g++ make pkg-config npm zlib1g-dev libssl-dev libsasl2-dev
	libzstd-dev libcurl4-openssl-dev librocksdb-dev libavro-dev libjansson-dev
	libmicrohttpd-dev libcmocka-dev libsnappy-dev libdeflate-dev
	libjemalloc-dev libsqlite3-dev tzdata git python3
	ca-certificates)
lint_packages=(clang clang-format clang-tidy shellcheck)
server_packages=(openjdk-17-jre-headless maven python3 python3-venv curl jq)

say() { printf 'deps: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# Is the command or Debian package $1 there?
have_package() {
	case $1 in
	gcc | g++ | make | git | npm | maven | python3 | clang | shellcheck | curl | jq)
		command -v "${1/maven/mvn}" >/dev/null && return 0 ;;
	clang-format | clang-tidy) command -v "$1" >/dev/null && return 0 ;;
	openjdk-17-jre-headless)
		java -version 2>&1 | grep -q 'version "\(1[7-9]\|[2-9][0-9]\)' && return 0 ;;
	python3-venv) python3 -c 'import venv, ensurepip' 2>/dev/null && return 0 ;;
	esac
	dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null | grep -qx installed
}

debian() {
	local missing=() p
	for p in "$@"; do have_package "$p" || missing+=("$p"); done
	[ ${#missing[@]} -eq 0 ] && return 0
	[ "$(id -u)" = 0 ] || die "missing: ${missing[*]}; run as root, or install them: apt-get install ${missing[*]}"
	say "installing from Debian: ${missing[*]}"
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# npm_archive NAME@VERSION SHA256 FILE: fetches the package's archive to FILE.
npm_archive() {
	[ -f "$3" ] && return 0
	local tmp
	tmp=$(mktemp -d)
	say "fetching $1 (npm)"
	(cd "$tmp" && npm pack --silent "$1" >/dev/null)
	echo "$2  $(ls "$tmp"/*.tgz)" | sha256sum --check --quiet - || die "$1: digest differs from the pinned $2"
	mv "$tmp"/*.tgz "$3"
	rmdir "$tmp"
}

# A system librdkafka that is new enough is taken; else 2.15 is built, static.
# With pthreads: the thread sanitizer does not know the threads of C11. For
# MODE=tsan it is built with that sanitizer too, which else takes each record that
# one of its threads hands to ours for a race: its atomics are not seen.
rdkafka() {
	local out=$cache/librdkafka-$RDKAFKA_VERSION-pthread tmp flags=()
	if [ "${MODE-}" = tsan ]; then
		out=$cache/librdkafka-$RDKAFKA_VERSION-tsan
		flags=(--CFLAGS="-g -O1 -fsanitize=thread" --LDFLAGS="-fsanitize=thread")
	elif pkg-config --atleast-version=2.12 rdkafka 2>/dev/null; then
		return 0
	fi
	[ -f "$out/lib/librdkafka.a" ] && return 0
	npm_archive "$RDKAFKA_NPM" "$RDKAFKA_SHA256" "$cache/kafka-javascript.tgz"
	say "building librdkafka $RDKAFKA_VERSION (about a minute) into $out"
	tmp=$(mktemp -d)
	tar -xzf "$cache/kafka-javascript.tgz" -C "$tmp" package/deps/librdkafka
	(cd "$tmp/package/deps/librdkafka" &&
		./configure --prefix="$out.new" --enable-static --disable-syslog --disable-lz4-ext --disable-c11threads "${flags[@]}" &&
		make -j"$(nproc)" libs && make -C src install) >"$tmp/log" 2>&1 ||
		die "librdkafka does not build: $(tail -n 5 "$tmp/log")"
	rm -f "$out.new"/lib/*.so*
	mv "$out.new" "$out"
	rm -rf "$tmp"
}

# pypi_sdist NAME VERSION SHA256 FILE: fetches the source archive to FILE. (pip would
# run its build, to ask for what it depends on.)
pypi_sdist() {
	[ -f "$4" ] && return 0
	say "fetching $1 $2 (PyPI, sources)"
	python3 - "${PIP_INDEX_URL:-https://pypi.org/simple}" "$1" "$2" "$4.new" <<-'END' || die "$1 $2 cannot be fetched from PyPI"
		import html, re, sys, urllib.parse, urllib.request
		index, name, version, out = sys.argv[1:]
		page_url = f"{index.rstrip('/')}/{name}/"
		page = urllib.request.urlopen(page_url, timeout=60).read().decode()
		wanted = re.escape(f"{name}-{version}.tar.gz")
		link = html.unescape(re.search(rf'href="([^"]*/{wanted}[^"]*)"', page)[1])
		urllib.request.urlretrieve(urllib.parse.urljoin(page_url, link), out)
	END
	echo "$3  $4.new" | sha256sum --check --quiet - || die "$1 $2: digest differs from the pinned $3"
	mv "$4.new" "$4"
}

# The library for this processor, and its header.
duckdb() {
	local out=$cache/duckdb-$DUCKDB_VERSION cpu digest
	[ -f "$out/lib/libduckdb.so" ] && return 0
	case $(uname -m) in
	x86_64) cpu=x64 digest=$DUCKDB_SHA256_x86_64 ;;
	aarch64) cpu=arm64 digest=$DUCKDB_SHA256_aarch64 ;;
	*) die "there is no libduckdb $DUCKDB_VERSION for $(uname -m)" ;;
	esac
	npm_archive "@duckdb/node-bindings-linux-$cpu@$DUCKDB_VERSION-r.5" "$digest" "$cache/duckdb-$cpu.tgz"
	pypi_sdist duckdb "$DUCKDB_VERSION" "$DUCKDB_SDIST_SHA256" "$cache/duckdb-sdist.tar.gz"
	rm -rf "$out" "$out.new"
	mkdir -p "$out.new/lib" "$out.new/include"
	tar -xzf "$cache/duckdb-$cpu.tgz" -C "$out.new/lib" --strip-components=1 package/libduckdb.so package/LICENSE
	tar -xzf "$cache/duckdb-sdist.tar.gz" -C "$out.new/include" --strip-components=5 \
		"duckdb-$DUCKDB_VERSION/external/duckdb/src/include/duckdb.h"
	rm "$cache/duckdb-sdist.tar.gz" "$cache/duckdb-$cpu.tgz"
	mv "$out.new" "$out"
}

quickstart() {
	local out=$cache/vega-datasets-3.2.1
	[ -f "$out/flights-3m.parquet" ] && return 0
	npm_archive "$VEGA_NPM" "$VEGA_SHA256" "$cache/vega-datasets.tgz"
	mkdir -p "$out"
	tar -xzf "$cache/vega-datasets.tgz" -C "$out" --strip-components=2 package/data/flights-20k.json \
		package/data/birdstrikes.csv package/data/flights-3m.parquet
}

mvn_quiet() { mvn -q -B "$@" >"$cache/mvn.log" 2>&1 || die "maven: $(tail -n 3 "$cache/mvn.log")"; }

kafka() {
	local out=$cache/kafka-$KAFKA_VERSION tmp
	[ -d "$out" ] && return 0
	say "fetching Apache Kafka $KAFKA_VERSION (Maven)"
	tmp=$(mktemp -d)
	cp "$(dirname "$0")/kafka-pom.xml" "$tmp/pom.xml"
	mvn_quiet -f "$tmp/pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$out.new"
	(cd "$out.new" && sha256sum --check --quiet) <"$(dirname "$0")/kafka-jars.sha256" ||
		die "Kafka's archives differ from the pinned digests"
	mv "$out.new" "$out"
	rm -rf "$tmp"
}

registry() {
	local out=$cache/apicurio-2.6.13 tmp
	[ -d "$out" ] && return 0
	say "fetching Apicurio Registry 2.6.13 (Maven)"
	tmp=$(mktemp -d)
	mvn_quiet dependency:copy -Dartifact="$APICURIO" -DoutputDirectory="$tmp"
	echo "$APICURIO_SHA256  $(ls "$tmp"/*.tar.gz)" | sha256sum --check --quiet - || die "Apicurio: digest differs"
	mkdir -p "$out.new"
	tar -xzf "$tmp"/*.tar.gz -C "$out.new"
	mv "$out.new" "$out"
	rm -rf "$tmp"
}

# fastavro and pyarrow read the files back as a stranger would.
python() {
	local out=$cache/python-2
	[ -x "$out/bin/python" ] && return 0
	say "installing fastavro 1.12.1, cramjam 2.11.0, zstandard 0.25.0 and pyarrow 26.0.1 (PyPI)"
	python3 -m venv "$out.new"
	"$out.new/bin/pip" -q install --require-hashes -r "$(dirname "$0")/python-requirements.txt" >&2
	mv "$out.new" "$out"
}

mkdir -p "$cache"
for what in "${@:-build}"; do
	case $what in
	build) debian "${build_packages[@]}"; rdkafka; duckdb ;;
	lint) debian "${lint_packages[@]}" ;;
	quickstart) quickstart ;;
	servers) debian "${server_packages[@]}"; kafka; registry; python; quickstart ;;
	*) die "unknown: $what" ;;
	esac
done
