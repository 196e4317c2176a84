# Bad input gets one clear line and its exit code; commands reach a running
# connector from another shell.
# shellcheck shell=bash source=tests/servers/lib.sh
. "$(dirname "$0")/lib.sh"

no_topic() {
	config absent no-such-topic
	expect 5 until_latest absent
	says absent.log no-such-topic
}

# Given up within 60 s.
no_broker() {
	local started
	config nobroker x "bootstrap.servers=127.0.0.1:$(free_port)"
	started=$SECONDS
	expect 6 until_latest nobroker
	says nobroker.log bootstrap.servers
	[ $((SECONDS - started)) -le 60 ] || die "it took $((SECONDS - started)) s"
	note "given up after $((SECONDS - started)) s"
}

no_registry() {
	local started
	topic noreg 1
	avro_config noreg noreg "value.converter.schema.registry.url=http://127.0.0.1:$(free_port)"
	started=$SECONDS
	expect 6 until_latest noreg
	says noreg.log value.converter.schema.registry.url
	[ $((SECONDS - started)) -le 60 ] || die "it took $((SECONDS - started)) s"
	note "given up after $((SECONDS - started)) s"
}

runs_already() {
	topic twice 1
	config twice twice
	start twice
	expect 1 "$TM" run twice.properties
	says err.txt "$PID"
	finish
}

overlapping_roots() {
	topic roots 1
	produce roots 1 --records 10
	config one roots
	until_latest one
	config two roots
	expect 2 until_latest two
	says two.log one
	# and a renamed branch that would read everything twice
	lake publish one
	expect 2 until_latest one --set lake.branch=other
	says one.log 'twice'
}

refused_properties() {
	config bad roots isolation.level=read_uncommitted
	expect 2 "$TM" run bad.properties
	config bad roots consumer.override.isolation.level=read_uncommitted
	expect 2 "$TM" run bad.properties
	says err.txt isolation.level
	config bad roots checkpoint.intervall.ms=5
	expect 2 "$TM" run bad.properties
	says err.txt checkpoint.interval.ms
	[ ! -e lake ] || die "a lake was made"
}

paused_at() { [ "$(lake --json status talk | jq -r .state)" = "$1" ]; }

from_another_shell() {
	local at commit
	topic talk 2
	config talk talk checkpoint.interval.ms=600000
	produce talk 2 --records 500
	start talk
	wait_until 20 pending 500 || die "does not read"
	same "$(committed talk)" 0
	commit=$(lake --json checkpoint talk | jq -r .commit)
	same "$(head_of ingest-talk)" "$commit"
	same "$(committed talk)" 500
	lake pause talk
	wait_until 10 paused_at PAUSED
	produce talk 2 --records 100 --seed 2
	# a whole look of the session at what is paused, and nothing was read
	lake checkpoint talk
	same "$(committed talk)" 500
	lake resume talk
	wait_until 10 paused_at RUNNING
	wait_until 20 pending 100 || die "does not go on"
	lake checkpoint talk
	same "$(committed talk)" 600
	lake --json find talk:0:0 >found
	same "$(jq -r .row found)" 0
	lake cat "ingest-talk:$(jq -r .path found)" | head -n 1 | jq -e '.partition == 0'
	same "$(jq -r .published found)" null
	lake publish talk
	lake --json find talk:0:0 >found
	same "$(jq -r .published found)" "$(head_of main)"
	expect 5 lake find talk:0:999999
	# the same answers without an owner
	at=$(lake --json find talk:1:3)
	finish
	same "$(lake --json find talk:1:3)" "$at"
	lake pause talk
	same "$(lake --json status talk | jq -r .state)" PAUSED
	lake resume talk
	oracle talk main talk.acks
	expect 5 lake checkpoint talk
}
pending() { [ "$(lake status talk | sed -n 's/.*not yet committed: \([0-9]*\) records/\1/p')" = "$1" ]; }

gate_while_running() {
	topic gated 1
	config gated gated publish.checkpoints=1 gates=look gates.look.type=command \
		"gates.look.command=$TM --lake \$TIDEMARK_LAKE ls \$TIDEMARK_REF -r | grep -q topics/ && [ -e $PWD/open ] || { echo not yet; exit 1; }"
	produce gated 1 --records 50
	expect 3 until_latest gated
	lake --json status gated | jq -r .hold >hold
	says hold 'gate look: not yet'
	touch open
	start gated
	produce gated 1 --records 50 --seed 2
	wait_until 20 oracle gated main gated.acks || die "not published"
	finish
}

t 'a topic that is not there: 5' no_topic
t 'connector already running: 1, its pid' runs_already
t 'overlapping roots, a renamed branch: 2' overlapping_roots
t 'properties that the promise forbids, and mistyped: 2' refused_properties
t 'checkpoint, pause, resume, status, find from another shell' from_another_shell
t 'a gate reads the merged result while the connector runs' gate_while_running
t 'a broker that cannot be reached: 6 within 60 s' no_broker
t 'a registry that cannot be reached: 6 within 60 s' no_registry
