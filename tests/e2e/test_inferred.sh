#!/usr/bin/env bash
# JSON without a schema to Parquet files whose columns are made from their records, sorted
# as well: SQL sees one table whatever the files' types, gates read the fields, find
# names the row, a rollback and a replay make the same files, and SIGKILL in the middle
# leaves nothing half-written.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
.ci/deps.sh quickstart
kafka_start
name=flights
TIDEMARK_LAKE=$dir/lake
export TIDEMARK_LAKE
options=(config/flights.properties --set "bootstrap.servers=$servers" --set lake.url="$TIDEMARK_LAKE"
	--set format=parquet --set parquet.json.infer=true --set record.metadata=true
	--set "parquet.sort.columns=origin,delay" --set "parquet.row.group.bytes=64 KiB" --set checkpoint.records=1000000
	--set "gates=whole,far" --set gates.whole.type=offsets
	--set gates.far.type=range --set gates.far.field=distance --set gates.far.min=0
	--set consumer.override.session.timeout.ms=2000 --set consumer.override.heartbeat.interval.ms=500)

# run CODE [ARGUMENT]...
run() {
	local code=$1 got=0
	shift
	tidemark run "${options[@]}" --until-latest "$@" >"$dir/log" 2>&1 </dev/null 5>&- 6<&- || got=$?
	[ "$got" = "$code" ] || {
		echo "exit code $got, not $code"
		return 1
	}
}
files() { tidemark --json ls -r "$1" | grep -v '"path":"_tidemark/'; }
head_of() { tidemark --json log "ingest-$name" -n 1 | sed 's/.*"id":"\([0-9a-f]*\)".*/\1/'; }
# said REF WANTED QUERY
said() {
	tidemark sql --at "$1" "$3" >"$dir/said" 2>>"$dir/log" && [ "$(tail -n +2 "$dir/said")" = "$2" ] || {
		cat "$dir/said"
		return 1
	}
}

has_columns() {
	send good 0 12000
	run 0 || return
	[ "$(files main | wc -l)" -gt 4 ] || return
	said main "12000,12000,BIGINT,VARCHAR,BIGINT" "SELECT count(*), count(DISTINCT (_kafka.partition, _kafka.offset)),
		any_value(typeof(delay)), any_value(typeof(origin)), any_value(typeof(_kafka.offset)) FROM flights"
}
is_sorted() {
	local path
	for path in $(files main | sed 's/.*"path":"\([^"]*\)".*/\1/'); do
		tidemark sql "SELECT origin, delay, _kafka.offset FROM \"main:$path\"" | tail -n +2 >"$dir/rows" || return
		LC_ALL=C sort -t, -k1,1 -k2,2n -k3,3n "$dir/rows" | cmp - "$dir/rows" || return
	done
}
finds() {
	local p offset path row
	for p in 0 1; do
		for offset in 0 7 900 2500; do
			tidemark --json find "flights:$p:$offset" >"$dir/found" || return
			path=$(sed 's/.*"path":"\([^"]*\)".*/\1/' "$dir/found")
			row=$(sed 's/.*"row":\([0-9]*\).*/\1/' "$dir/found")
			[ "$(tidemark sql "SELECT _kafka.partition || ' ' || _kafka.offset FROM \"main:$path\" LIMIT 1 OFFSET $row" |
				tail -n +2)" = "$p $offset" ] || return
		done
	done
}
replays() {
	local kept
	kept=$(head_of)
	files main >"$dir/kept"
	send good 12000 14000
	run 0 || return
	files main >"$dir/all"
	tidemark rollback "$name" --to "$kept" --yes >"$dir/log" 2>&1 || return
	files main | cmp - "$dir/kept" || return
	run 0 && files main | diff - "$dir/all"
}
# A broken version of the producer: delays are text, distances negative. The gate on a
# field holds them; the files before and after are one table, and nothing is a dead letter.
disagrees() {
	send bad 14000 16000
	run 3 || return
	grep -q 'distance' "$dir/log" || return
	said main "14000,BIGINT" "SELECT count(*), any_value(typeof(delay)) FROM flights" || return
	said "ingest-$name" "16000,true,0" "SELECT count(*), bool_and(typeof(delay) IN ('VARCHAR', 'JSON')),
		count(*) FILTER (delay IS NULL) FROM flights" || return
	! files "ingest-$name" | grep -q _deadletters
}
is_whole() { tidemark fsck >"$dir/log" 2>&1; }
drops() {
	tidemark drop "$name" "$(head_of)..$(head_of)" --yes >"$dir/log" 2>&1 && is_whole &&
		tidemark publish "$name" >"$dir/log" 2>&1 && files main | cmp - "$dir/all"
}
# SIGKILL while files are held, settled and sorted, again and again.
is_killed() {
	local i pid
	TIDEMARK_LAKE=$dir/killed
	options+=(--set lake.url="$TIDEMARK_LAKE" --set gates.far.min=-1000000 --set checkpoint.records=700)
	for i in 1 2 3 4 5 6 7 8; do
		tidemark run "${options[@]}" --set checkpoint.interval.ms=20 >"$dir/log" 2>&1 </dev/null 5>&- 6<&- &
		pid=$!
		sleep "$((2 + i % 3)).$((i * 37 % 100))"
		kill -KILL "$pid"
		wait "$pid" 2>/dev/null || true
	done
	run 0 || return
	[ "$(find "$dir/killed/tmp" -type f | wc -l)" = 0 ] && is_whole &&
		said "ingest-$name" "16000,16000" "SELECT count(*), count(DISTINCT (_kafka.partition, _kafka.offset)) FROM flights"
}

for t in has_columns is_sorted finds replays disagrees is_whole drops is_killed; do
	if "$t"; then ok "$t"; else cat "$dir/log"; bad "$t"; fi
done
[ "$failures" -eq 0 ]
