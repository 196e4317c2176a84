# Values and their schemas: dead letters, unknown ids, a registry that is away.
# shellcheck shell=bash source=tests/servers/lib.sh
. "$(dirname "$0")/lib.sh"

poison_stops() {
	topic poison 1
	config poison poison
	produce poison 1 --records 200 --poison 3 --seed 2
	local offset
	offset=$(awk '$1 == "P" { print $5; exit }' poison.acks)
	expect 1 until_latest poison
	says poison.log "poison:0:$offset cannot be converted"
	oracle poison ingest-poison poison.acks --partial
	same "$(committed poison)" "$offset" 'what is before the bad record is committed'
}

dead_letters() {
	topic dead 3
	topic dead-copies 1
	avro_config dead dead errors.tolerance=all publish.checkpoints=1 \
		errors.deadletterqueue.topic.name=dead-copies errors.deadletterqueue.topic.replication.factor=1 \
		errors.deadletterqueue.context.headers.enable=true
	produce dead 3 --records 3000 --poison 4 --format avro --registry "$REGISTRY" --transactions 100
	until_latest dead
	oracle dead ingest-dead dead.acks
	oracle dead main dead.acks
	topic_tool dump dead-copies 0 >copies
	same "$(wc -l <copies)" "$(grep -c '^P' dead.acks)" copies
	grep '^P' dead.acks | head -n 5 | while read -r _ name _ partition offset sequence _; do
		grep -q "^[0-9]* $sequence .*__connect.errors.topic=$name .*__connect.errors.partition=$partition .*__connect.errors.offset=$offset" copies ||
			die "no copy of $name:$partition:$offset"
	done
}

unknown_schema() {
	topic unknown 1
	avro_config unknown unknown
	produce unknown 1 --records 100 --format avro --registry "$REGISTRY"
	produce unknown 1 --records 10 --format avro --schema-id 99999
	expect 5 until_latest unknown
	says unknown.log 99999
	oracle unknown ingest-unknown unknown.acks --partial
	until_latest unknown --set on.unknown.schema=deadletter --set errors.tolerance=all
	oracle unknown ingest-unknown unknown.acks >counts
	says counts 'deadletters=10 '
}

# The registry is away in the middle, as seen through a forwarder that is killed
# (it keeps its schemas in memory): what needs it waits.
registry_away() {
	local port=${REGISTRY#*127.0.0.1:} front
	port=${port%%/*}
	front=$(free_port)
	topic away 2
	avro_config away away "value.converter.schema.registry.url=${REGISTRY/:$port/:$front}"
	produce away 2 --records 500 --format avro --registry "$REGISTRY"
	spawn forward.log python3 "$here/forward.py" "$front" "$port"
	local forwarder=$SPAWNED
	wait_until 10 port_open "$front"
	start away
	wait_committed away 500
	kill -KILL "$forwarder"
	wait "$forwarder" 2>/dev/null || true
	# known schemas go on; one that is not known yet waits
	produce away 2 --records 500 --format avro --registry "$REGISTRY" --seed 3
	wait_committed away 1000
	produce away 2 --records 500 --format avro --registry "$REGISTRY" --schema-version 2 --seed 2
	wait_until 20 stalled || die "does not say that it waits"
	spawn forward.log python3 "$here/forward.py" "$front" "$port"
	wait_committed away 1500 40
	finish
	oracle away ingest-away away.acks
}
stalled() { [ "$(lake status away | grep -c 'waiting for the schema registry')" = 1 ]; }

# The examples in config/ that need a registry, or several topics; the others run
# in tests/e2e/test_configs.sh.
example() {
	local name=$1
	shift
	until_latest "$name" --set "bootstrap.servers=$KAFKA" --set "lake.url=$PWD/lake" "$@"
}
examples() {
	cp "$here"/../../config/{orders-avro,events-json}.properties .
	topic orders 2
	topic orders-dead-letters 1
	produce orders 2 --records 500 --poison 2 --format avro --registry "$REGISTRY"
	example orders-avro --set "value.converter.schema.registry.url=$REGISTRY"
	oracle orders main orders.acks
	topic_tool dump orders-dead-letters 0 >copies
	same "$(wc -l <copies)" "$(grep -c '^P' orders.acks)" copies
	topic events-a 2
	topic events-b 1
	produce events-a 2 --records 400
	produce events-b 1 --records 300 --seed 2
	rm -r lake
	example events-json
	oracle events main events-a.acks events-b.acks
	lake ls -r main >files
	says files topics/events-b/partition=0/
	grep -q 'events-a.*\.jsonl\.zst$' files
}

t 'a poison record stops the task and is named' poison_stops
t 'dead letters in the lake, copies in the topic' dead_letters
t 'a schema id that the registry does not know' unknown_schema
t 'the registry goes away and comes back' registry_away
t 'the example configurations' examples
