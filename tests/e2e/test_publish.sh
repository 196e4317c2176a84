#!/usr/bin/env bash
# A gate holds: the longest prefix that passes is published, status and log say
# what each gate said and what to do, and a forced publish says why.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
.ci/deps.sh quickstart
kafka_start
export TIDEMARK_LAKE=$dir/lake
connector=''
trap '[ -z "$connector" ] || kill "$connector" || true; end' EXIT

grep -v '^publish\|^bootstrap\|^lake.url' config/flights.properties >"$dir/flights.properties"
cat >>"$dir/flights.properties" <<END
bootstrap.servers=$servers
lake.url=$TIDEMARK_LAKE
publish.on.hold=prefix
gates=far,many,routes
gates.far.type=range
gates.far.field=distance
gates.far.min=0
gates.many.type=row_count
gates.many.min=1
gates.routes.type=sql
gates.routes.query=SELECT origin, destination FROM added WHERE origin = destination OR (SELECT count(*) FROM merged) < 2000
END
sed -i '/^publish.checkpoints/d' "$dir/flights.properties"

# Three checkpoints of 2,000 flights, the second one bad; nothing is published.
make_lake() {
	local from end=$((SECONDS + 120))
	tidemark run "$dir/flights.properties" >"$dir/log" 2>&1 </dev/null 5>&- 6<&- &
	connector=$!
	for from in 0 2000 4000; do
		send "$([ $from = 2000 ] && echo bad || echo good)" $from $((from + 2000))
		until [ "$(tidemark --json log ingest-flights 2>/dev/null | wc -l)" = $((from / 2000 + 3)) ]; do
			kill -0 "$connector" && [ "$SECONDS" -lt "$end" ] || {
				cat "$dir/log"
				exit 1
			}
			sleep 0.1
		done
	done
	kill -TERM "$connector"
	wait "$connector"
	connector=''
}

expect() { # expect CODE COMMAND...: its output is $dir/said
	local code=$1 got=0
	shift
	tidemark "$@" >"$dir/said" 2>&1 </dev/null || got=$?
	[ "$got" = "$code" ] || {
		cat "$dir/said"
		echo "tidemark $*: exit code $got, not $code"
		return 1
	}
}
says() { grep -q -- "$1" "$dir/said" || {
	cat "$dir/said"
	echo "does not say: $1"
	return 1
}; }

a_dry_run_moves_nothing() {
	expect 3 publish flights --dry-run && says 'would be published' && expect 0 ls main && [ ! -s "$dir/said" ]
}
a_prefix_is_published() {
	expect 3 publish flights && says 'gate far' && says 'the first bad checkpoint is' && says 'is published' &&
		expect 0 find flights:0:0 && says 'main' &&
		expect 0 ls -r main:topics/flights && [ "$(wc -l <"$dir/said")" = 2 ]
}
status_says_what_to_do() {
	expect 0 status flights && says 'gate far refused' && says 'gate many passed' && says 'tidemark drop flights' &&
		expect 0 log main -n 1 && says 'gates far passed many passed routes passed'
}
force_is_recorded() {
	expect 2 publish flights --force && says '--reason' &&
		expect 0 publish flights --force --reason 'TICKET-17' &&
		expect 0 log main -n 1 && says 'forced TICKET-17' && says 'far refused' &&
		expect 0 ls -r main:topics/flights && [ "$(wc -l <"$dir/said")" = 6 ] &&
		expect 0 status flights && ! grep -q held "$dir/said"
}

history_as_tables() {
	expect 0 sql --at ingest-flights 'SELECT count(*), sum(records), count(DISTINCT connector) FROM lake$checkpoints' && says '^4,6000,1$' &&
		expect 0 sql --at ingest-flights 'SELECT min(from_offset), count(DISTINCT topic), sum(to_offset - from_offset) FROM lake$offsets' &&
		says '^0,1,6000$' &&
		expect 0 sql 'SELECT count(*), count(forced), count(DISTINCT checkpoint) FROM lake$publishes WHERE gates IS NOT NULL' &&
		says '^2,1,2$' &&
		expect 0 sql 'SELECT sum(records), sum(records) = (SELECT count(*) FROM flights) FROM lake$files' && says '^6000,true$'
}

make_lake
for name in a_dry_run_moves_nothing a_prefix_is_published status_says_what_to_do force_is_recorded history_as_tables; do
	if "$name"; then ok "$name"; else bad "$name"; fi
done
expect 0 fsck
[ "$failures" = 0 ]
