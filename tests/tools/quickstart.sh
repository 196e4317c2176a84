#!/usr/bin/env bash
# The whole story on real records, with nothing else running: flights go through
# a Kafka made for the purpose to main; bad ones follow, and are undone.
#
# usage: quickstart.sh BUILD_DIR [FOLDER]     the lake is FOLDER/quickstart-lake (.)
set -euo pipefail

top=$(cd "$(dirname "$0")/../.." && pwd)
build=$(cd "${1:?usage: quickstart.sh BUILD_DIR [FOLDER]}" && pwd)
cd "${2:-.}"
lake=quickstart-lake
config=$top/config/flights.properties
data=${TIDEMARK_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tidemark}/vega-datasets-3.2.1/flights-20k.json
log=$lake.log
work=$(mktemp -d)
connector='' kafka=''
export TIDEMARK_LAKE=$lake

cleanup() {
	local pid
	for pid in $connector $kafka; do
		kill "$pid" 2>/dev/null || true
		wait "$pid" || true
	done
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

step() { printf '\n== %s\n' "$*"; }
fail() {
	echo "quickstart: $*" >&2
	tail -n 5 "$log" >&2
	exit 1
}
# Shows a command, and runs it.
run() {
	printf '$ tidemark %s\n' "$*"
	"$build/tidemark" "$@" | sed 's/^/  /'
}

# send good|bad|again FROM TO: sets $next, where each partition ends then.
send() {
	echo "$*" >&5
	read -r next <&6 || fail "the Kafka of the quickstart has ended"
}

# Waits until main shows all that was sent.
wait_shown() {
	local end=$((SECONDS + 60)) status head
	while :; do
		status=$("$build/tidemark" --json status flights 2>/dev/null || true)
		head=${status#*\"head\":\"}
		if [[ $status == *"\"offsets\":$next,"* && $status == *"\"published\":\"${head%%\"*}\""* ]]; then
			return
		fi
		if [ "${1-}" = commit ]; then "$build/tidemark" checkpoint flights >/dev/null || true; fi
		kill -0 "$connector" 2>/dev/null || fail "the connector has stopped"
		[ "$SECONDS" -lt "$end" ] || fail "main does not show $next: $status"
		sleep 0.2
	done
}

# The next offset of partition 0 in {"flights":{"0":N,...}}.
partition0() {
	local rest=${1#*\"0\":}
	echo "${rest%%,*}"
}

# What a reader of main finds.
count() {
	rm -rf "$work/main"
	"$build/tidemark" export main:topics/flights "$work/main" >/dev/null
	cat "$work"/main/*/*.jsonl >"$work/rows"
	printf 'main: %d flights, %d of them bad\n' \
		"$(wc -l <"$work/rows")" "$(grep -c '"distance":-' "$work/rows" || true)"
}

rm -rf "$lake" "$log"
step "A Kafka for the occasion, 20,000 real flights, and a connector (its log: $log)"
mkfifo "$work/in" "$work/out"
"$build/tests/tools/quickstart" "$data" <"$work/in" >"$work/out" &
kafka=$!
exec 5>"$work/in" 6<"$work/out"
read -r _ servers <&6 || fail "the Kafka of the quickstart does not start"
"$build/tidemark" run "$config" --set "bootstrap.servers=$servers" 5>&- 6<&- 2>"$log" >&2 &
connector=$!
echo "\$ tidemark run config/flights.properties --set bootstrap.servers=$servers"

step "10,000 flights: a checkpoint every 2,000, and each is shown on main"
for from in 0 2000 4000 6000 8000; do
	send good $from $((from + 2000))
	wait_shown
done
run log ingest-flights -n 3
count
good=$next

step "A new version of one producer: delays become text, distances negative"
for from in 10000 12000; do
	send bad $from $((from + 2000))
	wait_shown
done
count
grep -m 1 '"distance":-' "$work/rows" | sed 's/^/  /'
bad=$(partition0 "$good") # where the bad ones begin
run find "flights:0:$bad"

run tag bad-deploy main

step "One command puts main and the consumer back to before it, and skips what is bad"
run rollback flights --to "flights:0:$bad" --skip-to "flights:0:$(partition0 "$next")" --yes
count

step "Partition 1 had good records behind that: the connector reads them once more"
wait_shown commit
count

step "The producer is mended, sends its flights again, and goes on"
send again 10000 14000
wait_shown commit
for from in 14000 16000 18000; do
	send good $from $((from + 2000))
	wait_shown
done
count

step "A question of both: main as it was then, and as it is"
run sql --format table "SELECT 'bad-deploy' AS state, count(*) AS flights,
      count(*) FILTER (distance < 0) AS bad, min(distance) AS least FROM \"bad-deploy:flights\"
    UNION ALL SELECT 'main', count(*), count(*) FILTER (distance < 0), min(distance)
      FROM \"main:flights\" ORDER BY state"

kill "$connector"
wait "$connector" || fail "the connector ended with $?"
connector=''
cat <<NEXT

The lake is in $lake, and its history in it. To look around:
  export TIDEMARK_LAKE=$PWD/$lake PATH="\$PATH:$build"
  tidemark log main            tidemark status
  tidemark ls -r main          tidemark diff main~2 main
  tidemark find flights:0:$bad   tidemark reflog main
  tidemark sql 'SELECT origin, count(*) FROM flights GROUP BY ALL ORDER BY 2 DESC LIMIT 5'
The same from your own Kafka (config/flights.properties says what to change):
  tidemark run config/flights.properties --set bootstrap.servers=HOST:9092 --set topics=TOPIC \\
           --set lake.url=./lake
NEXT
