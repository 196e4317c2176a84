#!/usr/bin/env bash
# The example configurations: each is accepted; those that read flights are run.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
.ci/deps.sh quickstart
kafka_start
send good 0 2000

# run CONFIG CODE [ARGUMENT]...: to the end, in a lake of its own.
run() {
	local config=$1 code=$2 got=0
	shift 2
	TIDEMARK_LAKE=$dir/$(basename "$config" .properties)
	export TIDEMARK_LAKE
	tidemark run "$config" --until-latest --set "bootstrap.servers=$servers" \
		--set lake.url="$TIDEMARK_LAKE" "$@" >"$dir/log" 2>&1 </dev/null 5>&- 6<&- || got=$?
	[ "$got" = "$code" ] || {
		cat "$dir/log"
		echo "$config: exit code $got, not $code"
		return 1
	}
}
# rows FILTER: of all files on main
rows() {
	rm -rf "$dir/main"
	tidemark export main:"$1" "$dir/main" >/dev/null
	find "$dir/main" -name "$2" -print0 | sort -z | xargs -0 cat | wc -l
}

# the folder that follows the target, beside what export writes
exported() {
	run config/flights.properties 0 --set publish.export="$dir/plain" || return
	rm -rf "$dir/main"
	tidemark export main "$dir/main" >/dev/null && diff -r "$dir/main" "$dir/plain/current"
}
accepted() {
	local got=0
	tidemark --lake "$dir/none" status "$1" >"$dir/log" 2>&1 || got=$?
	[ "$got" != 2 ] && [ "$got" != 0 ] && [ ! -e "$dir/none" ]
}
json() { run config/flights.properties 0 && [ "$(rows topics/flights '*.jsonl')" = 2000 ]; }
avro() {
	run config/flights-avro.properties 0 &&
		[ "$(tidemark --json log ingest-flights-avro | grep -o '"tidemark.records":"2000"' | wc -l)" -ge 1 ] &&
		tidemark ls -r main | grep -q 'avro/flights/partition=1/.*\.avro'
}
parquet() {
	run config/flights-parquet.properties 0 &&
		[ "$(tidemark --json log ingest-flights-parquet | grep -o '"tidemark.records":"2000"' | wc -l)" -ge 1 ] &&
		tidemark ls -r main | grep -q 'parquet/flights/partition=1/.*\.parquet'
}
folders() {
	run config/flights-by-origin.properties 0 && [ "$(rows by-origin/flights '*.jsonl')" = 2000 ] || return 1
	tidemark ls -r main | grep -q 'by-origin/flights/origin=SFO/flights+' &&
		! find "$dir/main" -path '*origin=SFO*' -name '*.jsonl' -exec cat {} + |
		grep -qv '"origin":"SFO".*"_kafka":{"topic":"flights","partition":'
}
hours() {
	run config/flights-hourly.properties 0 &&
		tidemark ls -r main | grep -q 'hourly/flights/date=20..-..-../hour=../flights+.*\.parquet'
}
raw() {
	run config/raw-bytes.properties 0 &&
		tidemark --json log ingest-raw | grep -q '"team":"platform"' &&
		tidemark ls -r main | grep -q 'raw/flights/partition=0/'
}
gated() {
	run config/flights-gated.properties 0 && [ "$(rows gated/flights '*.jsonl')" = 2000 ] || return 1
	send bad 2000 4000
	run config/flights-gated.properties 3 && [ "$(rows gated/flights '*.jsonl')" = 2000 ] || return 1
	tidemark status flights-gated | grep -q 'holds a negative distance'
}
checked() { run config/flights-checked.properties 0 && [ "$(rows checked/flights '*.jsonl')" = 2000 ]; }
checked_in_python() { # after the bad flights of `gated`
	run config/flights-checked.properties 3 && [ "$(rows checked/flights '*.jsonl')" = 2000 ] &&
		tidemark status flights-checked | grep -q "gate expectations: 'delay is a number' fails for"
}
deadletters() { # the bad flights of the run before do not fit the schema
	run config/flights-avro.properties 0 && tidemark ls -r main:_deadletters/ | grep -q flights || return 1
	tidemark sql 'SELECT connector_name, topic, stage, count(*) = (SELECT sum(deadletters) FROM lake$checkpoints)
		FROM lake$deadletters GROUP BY ALL' >"$dir/log" 2>&1
	[ "$(tail -n +2 "$dir/log")" = flights-avro,flights,VALUE_CONVERTER,true ]
}

for config in config/*.properties; do
	if accepted "$config"; then ok "accepted $config"; else cat "$dir/log"; bad "accepted $config"; fi
done
for t in json exported avro parquet folders hours raw checked gated checked_in_python deadletters; do
	if "$t"; then ok "$t"; else cat "$dir/log"; bad "$t"; fi
done
[ "$failures" -eq 0 ]
