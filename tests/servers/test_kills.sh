# A connector that is killed, frozen, or shares its group: nothing is lost and
# nothing is there twice.
# shellcheck shell=bash source=tests/servers/lib.sh
. "$(dirname "$0")/lib.sh"

KILLS=${KILLS:-15}

moved() { [ "$(lake --json branch 2>/dev/null | jq -r 'select(.name == "ingest-k").commit')" != "$1" ]; }

# SIGKILL at random moments under load, transactions aborted among the input.
kills() {
	local i before started took worst=0
	topic kills 4
	produce kills 4 --records 1 >/dev/null
	spawn produce.log "$TOOLS/oracle_produce" --bootstrap "$KAFKA" --topic kills --partitions 4 \
		--log "$PWD/kills.acks" --rate 4000 --seconds 3600 --transactions 200 --seed "${SEED:-$RANDOM}" --poison 1
	local producer=$SPAWNED
	config k kills checkpoint.interval.ms=100 publish.checkpoints=3 errors.tolerance=all
	start k
	for ((i = 0; i < KILLS; i++)); do
		sleep "0.$((RANDOM % 9 + 1))"
		kill -KILL "$PID"
		wait "$PID" 2>/dev/null || true
		before=$(head_of ingest-k)
		started=$(now_ms)
		start k
		wait_until 20 moved "$before" || die "no checkpoint after kill $i"
		took=$(($(now_ms) - started))
		[ "$took" -le "$worst" ] || worst=$took
	done
	kill -TERM "$producer"
	wait "$producer"
	finish
	until_latest k
	oracle k ingest-k kills.acks
	lake publish k >/dev/null || true
	oracle k main kills.acks
	note "$KILLS kills, restart to checkpoint at most $worst ms"
	[ "$worst" -lt "${RECOVERY_MS:-2000}" ] || die "recovery took $worst ms"
}

# SIGSTOP past the session time-out while another member takes the partitions
# and gives them back; it even leaves nonsense as group offsets.
zombie() {
	local p
	topic zombie 3
	spawn produce.log "$TOOLS/oracle_produce" --bootstrap "$KAFKA" --topic zombie --partitions 3 \
		--log "$PWD/zombie.acks" --rate 2000 --seconds 600
	local producer=$SPAWNED
	config z zombie checkpoint.interval.ms=200 consumer.override.session.timeout.ms=6000
	start z
	wait_committed z 500
	kill -STOP "$PID"
	"$TOOLS/group_member" "$KAFKA" connect-z zombie cooperative-sticky 500 40000 3 >member.out
	says member.out 'has 3'
	for p in 0 1 2; do wait_until 15 topic_tool group connect-z zombie $p 1; done
	kill -CONT "$PID"
	kill -TERM "$producer"
	wait "$producer"
	wait_committed z "$(ends zombie 3)" 40
	finish
	oracle z ingest-z zombie.acks
}

# Another member joins and leaves five times under load.
storm() {
	local strategy=$1 i name=s-$1
	topic "$name" 4
	spawn produce.log "$TOOLS/oracle_produce" --bootstrap "$KAFKA" --topic "$name" --partitions 4 \
		--log "$PWD/$name.acks" --rate 3000 --seconds 600
	local producer=$SPAWNED
	config "$name" "$name" checkpoint.interval.ms=100 \
		"consumer.override.partition.assignment.strategy=$strategy" \
		consumer.override.heartbeat.interval.ms=300
	start "$name"
	wait_committed "$name" 500
	for i in 1 2 3 4 5; do
		"$TOOLS/group_member" "$KAFKA" "connect-$name" "$name" "$strategy" 500 30000 1 >>member.out
	done
	kill -TERM "$producer"
	wait "$producer"
	wait_committed "$name" "$(ends "$name" 4)" 40
	finish
	oracle "$name" "ingest-$name" "$name.acks"
}

# What stands in the group is a copy for monitors: the lake wins, whatever it says.
group_offsets() {
	topic lead 1
	produce lead 1 --records 500
	config lead lead consumer.override.session.timeout.ms=6000
	until_latest lead
	same "$(topic_tool group connect-lead lead 0)" 500 "as the copy in the group"
	wait_until 15 topic_tool group connect-lead lead 0 900
	produce lead 1 --records 500
	until_latest lead
	wait_until 15 topic_tool group connect-lead lead 0 3
	produce lead 1 --records 500
	until_latest lead
	oracle lead ingest-lead lead.acks
}

terminates() {
	local i
	topic term 2
	spawn produce.log "$TOOLS/oracle_produce" --bootstrap "$KAFKA" --topic term --partitions 2 \
		--log "$PWD/term.acks" --rate 5000 --seconds 600
	local producer=$SPAWNED
	config term term
	for i in 1 2 3 4 5; do
		start term
		sleep "0.$((RANDOM % 8 + 1))"
		finish
	done
	kill -TERM "$producer"
	wait "$producer"
	until_latest term
	oracle term ingest-term term.acks
}

t "$KILLS kills at random moments, aborted transactions" kills
t 'a zombie: frozen past its session, others had its partitions' zombie
t 'cooperative rebalances under load' storm cooperative-sticky
t 'eager rebalances under load' storm range
t 'group offsets ahead and behind: the lake wins' group_offsets
t 'SIGTERM at random moments' terminates
