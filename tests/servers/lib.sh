# Sourced by tests/servers/test_*.sh. tests/servers/run has set:
#   B         the build folder        W          a folder for this file's tests
#   KAFKA     host:port               REGISTRY   url
#
# A file calls `t NAME FUNCTION` for each of its tests; each runs in a subshell
# with a folder of its own, ends at its first failing command, and prints a
# line. What runs in the background there must be started by `spawn`.
# shellcheck shell=bash

set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
given=("$KAFKA" "$REGISTRY") # sourcing empties them
# shellcheck source=tests/servers/servers.sh
. "$here/servers.sh"
KAFKA=${given[0]} REGISTRY=${given[1]}
B=$(cd "$B" && pwd)
TM=$B/tidemark
TOOLS=$B/tests/tools

now_ms() { date +%s%3N; }

die() {
	echo "FAILED: $*" >&2
	exit 1
}

# The test itself, in a process group of its own, so that nothing outlives it.
run_test() {
	set -eE
	trap 'echo "line $LINENO: $BASH_COMMAND" >&2' ERR
	cd "$D"
	"$@"
}

end_group() {
	kill -CONT -- "-$1" 2>/dev/null
	kill -KILL -- "-$1" 2>/dev/null
}

# t NAME FUNCTION [ARGUMENT...]
t() {
	local name=$1 start end rc pid watch
	shift
	# shellcheck disable=SC2053
	if [ -n "${ONLY:-}" ] && [[ $name != $ONLY ]]; then return; fi
	D=$W/${name//[^a-z0-9]/-}
	mkdir -p "$D"
	start=$(now_ms)
	set -m
	(run_test "$@") >"$D/out" 2>&1 </dev/null &
	pid=$!
	(trap '' TERM; sleep "${TEST_TIMEOUT:-90}" && echo "no end after ${TEST_TIMEOUT:-90} s" >>"$D/out" && end_group "$pid") >/dev/null 2>&1 &
	watch=$!
	disown "$watch"
	set +m
	trap 'end_group "$pid"; end_group "$watch"; exit 130' TERM INT
	wait "$pid" 2>/dev/null
	rc=$?
	end_group "$pid"
	end_group "$watch"
	wait 2>/dev/null
	end=$(now_ms)
	report | tee -a "$W.lines"
}

# Of the test that t has run.
report() {
	if [ "$rc" = 0 ]; then
		printf 'ok    %-58s %5d.%d s' "$name" $(((end - start) / 1000)) $(((end - start) / 100 % 10))
		grep -h '^note: ' "$D/out" | sed 's/^note:/ /' | tr -d '\n'
		echo
		[ -n "${KEEP:-}" ] || rm -rf "$D"
	else
		printf 'FAIL  %s (%s)\n' "$name" "$D"
		tail -n 25 "$D/out" | sed 's/^/      /'
		for log in "$D"/*.log; do
			[ -f "$log" ] || continue
			echo "      --- $(basename "$log")"
			tail -n 8 "$log" | sed 's/^/      /'
		done
	fi
}

# Printed on the test's line.
note() { echo "note: $*"; }

# spawn LOG COMMAND...: in the background, ended with the test; sets SPAWNED.
spawn() {
	local log=$1
	shift
	"$@" >>"$log" 2>&1 &
	SPAWNED=$!
}

# expect CODE COMMAND...: its exit code; errors are left in err.txt, output in
# out.txt.
expect() {
	local want=$1 got=0
	shift
	"$@" >out.txt 2>err.txt || got=$?
	[ "$got" = "$want" ] || {
		cat out.txt err.txt >&2
		die "exit $got, wanted $want: $*"
	}
}

# says FILE TEXT: the file holds the text.
says() {
	grep -qF -- "$2" "$1" || {
		cat "$1" >&2
		die "$1 does not say: $2"
	}
}

same() { [ "$1" = "$2" ] || die "'$1' is not '$2' ${3:-}"; }

topic_tool() { "$TOOLS/kafka_topic" "$KAFKA" "$@"; }

# topic NAME PARTITIONS [KEY=VALUE...]
topic() { topic_tool create "$@"; }

# produce TOPIC PARTITIONS [OPTION...]: logs to $TOPIC.acks
produce() {
	local name=$1 partitions=$2
	shift 2
	"$TOOLS/oracle_produce" --bootstrap "$KAFKA" --topic "$name" --partitions "$partitions" \
		--log "$name.acks" "$@"
}

# config NAME TOPICS [KEY=VALUE...]: writes NAME.properties; JSON to JSON lines
# unless said otherwise.
config() {
	local name=$1 topics=$2
	shift 2
	{
		echo "name=$name"
		echo "topics=$topics"
		echo "bootstrap.servers=$KAFKA"
		echo "lake.url=$PWD/lake"
		echo "checkpoint.interval.ms=300"
		echo "value.converter=json"
		echo "format=json"
		printf '%s\n' "$@"
	} | awk -F= '{ last[$1] = $0; if (!($1 in seen)) order[++n] = $1; seen[$1] = 1 }
		END { for (i = 1; i <= n; i++) print last[order[i]] }' >"$name.properties"
}

avro_config() {
	local name=$1 topics=$2
	shift 2
	config "$name" "$topics" format=avro value.converter=avro \
		"value.converter.schema.registry.url=$REGISTRY" "$@"
}

# start NAME [OPTION...]: runs the connector until it owns the lake; its pid in
# PID. (A command that comes first would own the lake for its own short life.)
start() {
	local name=$1 lines
	shift
	lines=$(grep -c ' running ' "$name.log" 2>/dev/null || true)
	spawn "$name.log" "$TM" run "$name.properties" "$@"
	PID=$SPAWNED
	wait_until 30 runs_again "$name" "${lines:-0}" || die "$name does not start"
}
runs_again() { [ "$(grep -c ' running ' "$1.log")" -gt "$2" ] || ! kill -0 "$PID"; }

# finish [PID]: SIGTERM; it must end with 0.
finish() {
	local pid=${1:-$PID} rc=0
	kill -TERM "$pid"
	wait "$pid" || rc=$?
	same "$rc" 0 "as exit code after SIGTERM"
}

until_latest() { "$TM" run "$1.properties" --until-latest "${@:2}" >>"$1.log" 2>&1; }

# oracle NAME REF LOG... [--OPTION...]
oracle() {
	local name=$1 ref=$2 args=() a
	shift 2
	for a in "$@"; do
		case $a in
		--*) args+=("$a") ;;
		*) args+=(--log "$a") ;;
		esac
	done
	"$TOOLS/oracle_check" --lake "$PWD/lake" --connector "$name" --ref "$ref" "${args[@]}"
}

lake() { "$TM" --lake "$PWD/lake" "$@"; }

head_of() { lake --json branch | jq -r --arg b "$1" 'select(.name == $b).commit'; }

# committed NAME: the sum of its head's offsets.
committed() {
	lake --json status "$1" | jq '[.offsets[][]] | add'
}

# wait_committed NAME OFFSETS [SECONDS]: until the sum is so great.
reached() { [ "$(committed "$1")" -ge "$2" ]; }
wait_committed() { wait_until "${3:-30}" reached "$1" "$2" || die "$1 did not reach $2 in ${3:-30} s: $(committed "$1")"; }

# ends TOPIC PARTITIONS: the sum of the log ends.
ends() {
	local sum=0 p high
	for ((p = 0; p < $2; p++)); do
		read -r _ high < <(topic_tool bounds "$1" "$p")
		sum=$((sum + high))
	done
	echo $sum
}

# checkpoints NAME: its checkpoints' ids, newest first.
checkpoints() {
	lake --json log "ingest-$1" --first-parent | jq -r 'select(.metadata["tidemark.batch"]).id'
}

# files REF [PREFIX]: path and checksum of each data file and dead letter.
files() {
	lake --json ls "$1" -r | jq -r 'select(.path | startswith("_tidemark") | not) | .path + " " + .checksum'
}
