# shellcheck shell=bash disable=SC2034 # variables for who sources it
# Sourced by the e2e scripts: a folder of one's own, the program, counts in the
# form of cmocka's, and the quickstart's Kafka.
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
: "${TIDEMARK_BUILD:?is the build folder}"
export PATH=$TIDEMARK_BUILD:$PATH
cd "$top"
dir=$(mktemp -d)
kafka='' servers=''
end() {
	if [ -n "$kafka" ]; then
		kill "$kafka" 2>/dev/null || true
		wait "$kafka" || true
	fi
	rm -rf "$dir"
}
trap end EXIT
failures=0

ok() { printf '[       OK ] %s\n' "$1"; }
bad() {
	printf '[  FAILED  ] %s\n' "$1"
	failures=$((failures + 1))
}

# kafka_start: the mock cluster with the topic flights; sets servers.
kafka_start() {
	mkfifo "$dir/in" "$dir/out"
	"$TIDEMARK_BUILD/tests/tools/quickstart" \
		"${TIDEMARK_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tidemark}/vega-datasets-3.2.1/flights-20k.json" \
		<"$dir/in" >"$dir/out" &
	kafka=$!
	exec 5>"$dir/in" 6<"$dir/out"
	read -r _ servers <&6
}
# send good|bad|again FROM TO
send() {
	echo "$*" >&5
	read -r _ <&6
}
