# shellcheck shell=bash disable=SC2034 # variables for who sources it
# Sourced by bash: starts and stops the real servers, on loopback, each with
# ports and a folder of its own. `.ci/deps.sh servers` has fetched them.
#
#   free_port                      prints a port that is free now
#   kafka_start DIR [HEAP]         sets KAFKA (host:port), KAFKA_PID
#   kafka_restart DIR              after kafka_kill, on the same folder and port
#   kafka_kill [SIGNAL]            ends it (TERM)
#   registry_start DIR [PORT]      sets REGISTRY (url), REGISTRY_PID
#   servers_stop                   ends all that were started; call it by trap

servers_cache=${TIDEMARK_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tidemark}
KAFKA='' KAFKA_PID='' REGISTRY='' REGISTRY_PID=''

free_port() {
	python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# wait_until SECONDS COMMAND...: tries until it succeeds.
wait_until() {
	local end=$((SECONDS + $1))
	shift
	until "$@" 2>/dev/null; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.05
	done
}

port_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

kafka_properties() {
	cat <<PROPERTIES
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:$2,CONTROLLER://127.0.0.1:$3
advertised.listeners=PLAINTEXT://127.0.0.1:$2
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers=127.0.0.1:$3
log.dirs=$1/data
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=4
group.initial.rebalance.delay.ms=0
log.retention.hours=-1
log.retention.check.interval.ms=1000
log.cleaner.dedupe.buffer.size=4194304
log.cleaner.backoff.ms=500
PROPERTIES
}

kafka_run() {
	local dir=$1 jit=(-XX:TieredStopAtLevel=1)
	[ "${2:-256m}" = 256m ] || jit=(-Xms"$2")
	java -Xmx"${2:-256m}" -XX:+UseSerialGC "${jit[@]}" -cp "$servers_cache/kafka-4.1.1/*" \
		kafka.Kafka "$dir/server.properties" >>"$dir/log" 2>&1 &
	KAFKA_PID=$!
	KAFKA=127.0.0.1:$(cat "$dir/port")
	wait_until 40 port_open "$(cat "$dir/port")" || { tail -n 20 "$dir/log" >&2; return 1; }
}

kafka_start() {
	local dir=$1 port controller
	port=$(free_port)
	controller=$(free_port)
	mkdir -p "$dir"
	echo "$port" >"$dir/port"
	kafka_properties "$dir" "$port" "$controller" >"$dir/server.properties"
	java -cp "$servers_cache/kafka-4.1.1/*" kafka.tools.StorageTool format --standalone \
		-t MkU3OEVBNTcwNTJENDM2Qg -c "$dir/server.properties" >"$dir/log" 2>&1 ||
		{ tail -n 20 "$dir/log" >&2; return 1; }
	kafka_run "$dir" "${2:-256m}"
}

kafka_restart() { kafka_run "$1" "${2:-256m}"; }

kafka_kill() {
	kill "-${1:-TERM}" "$KAFKA_PID" && wait "$KAFKA_PID" 2>/dev/null
	KAFKA_PID=''
}

registry_start() {
	local port=${2:-$(free_port)}
	mkdir -p "$1"
	(cd "$servers_cache/apicurio-2.6.13" && exec java -Xmx256m -Dquarkus.http.host=127.0.0.1 \
		-Dquarkus.http.port="$port" -jar apicurio-registry-app-2.6.13.Final-runner.jar) \
		>"$1/log" 2>&1 &
	REGISTRY_PID=$!
	REGISTRY=http://127.0.0.1:$port/apis/ccompat/v7
	wait_until 60 curl -sf "http://127.0.0.1:$port/health/ready" >/dev/null ||
		{ tail -n 20 "$1/log" >&2; return 1; }
}

servers_stop() {
	local pid
	for pid in $KAFKA_PID $REGISTRY_PID; do
		# what ends by a signal is no failure of who sources this with set -e
		if kill "$pid" 2>/dev/null; then wait "$pid" 2>/dev/null || true; fi
	done
	KAFKA_PID='' REGISTRY_PID=''
}
