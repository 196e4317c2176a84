#!/usr/bin/env bash
# A secret in any property that may hold one is in no output, no log, no state
# and no commit: every byte that a run leaves is searched for it.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
.ci/deps.sh quickstart
kafka_start
send good 0 500
canary=cAnArY7531
export TIDEMARK_LAKE=$dir/lake

{
	cat config/flights.properties
	cat <<PROPERTIES
lake.url=$dir/lake
checkpoint.records=100
value.converter.schema.registry.url=http://user:${canary}1@127.0.0.1:1
value.converter.basic.auth.user.info=user:${canary}2
sasl.username=user
sasl.password=${canary}3
ssl.key.password=${canary}4
ssl.keystore.password=${canary}5
consumer.override.sasl.password=${canary}6
producer.override.sasl.password=${canary}7
consumer.override.sasl.oauthbearer.client.secret=${canary}8
key.converter.basic.auth.user.info=user:${canary}9
PROPERTIES
} | grep -v '^lake.url=./\|^checkpoint.records=2000' >"$dir/flights.properties"

tell() {
	echo "--- $1"
	tidemark "$@" 5>&- 6<&- 2>&1 || true
}
{
	tell run "$dir/flights.properties" --until-latest --set "bootstrap.servers=$servers"
	send good 500 900
	tell --json run "$dir/flights.properties" --until-latest --set "bootstrap.servers=$servers"
	# errors, too
	tell run "$dir/flights.properties" --set "bootstrap.servers=$servers" --set "consumer.override.sasl.pasword=${canary}"
	tell run "$dir/flights.properties" --set "sasl.pasword=${canary}"
	tell run "$dir/flights.properties" --set "value.converter.basic.auth.user.inf=${canary}"
	tell run "$dir/flights.properties" --set "value.converter.basic.auth.user.info=${canary}" --set value.converter=avro --set format=avro --set value.converter.basic.auth.credentials.source=USER_INFO
	timeout 3 "$TIDEMARK_BUILD/tidemark" run "$dir/flights.properties" --set value.converter=avro --set format=avro --set name=other --set path.prefix=other 2>&1 5>&- 6<&- || true
	tell status flights
	for command in "status flights" "log main" "log ingest-flights" "log tidemark-state" "show main" "branch"; do
		# shellcheck disable=SC2086 # words
		tell --json $command
	done
	tidemark ls -r tidemark-state | while read -r _ path; do tell cat "tidemark-state:$path"; done
	tell show tidemark-state
} >"$dir/said"

wanted=$(tidemark --json log ingest-flights | grep -c '"tidemark.records"' || true)
if [ "$wanted" -ge 2 ]; then ok 'it ran'; else cat "$dir/said"; bad 'it ran'; fi
if grep -n "$canary" "$dir/said"; then bad 'said'; else ok 'nothing said'; fi
# RocksDB's tables are compressed: exported, and as they are
tidemark export tidemark-state "$dir/state" >/dev/null
if grep -rl "$canary" "$dir/lake" "$dir/state"; then bad 'left'; else ok 'nothing left'; fi
# the search itself finds what is there
if grep -q '"publish.checkpoints":"1"' -r "$dir/state"; then ok 'the state is there'; else bad 'the state is there'; fi
[ "$failures" -eq 0 ]
