#!/usr/bin/env bash
# The commands of docs/rollback.md, as they stand there, and what main shows after
# each of its accidents.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
.ci/deps.sh quickstart
kafka_start
made=$dir/made
work=$dir/lake
connector=''
# A failed start takes its connector with it.
trap '[ -z "$connector" ] || kill "$connector" || true; end' EXIT

# Three checkpoints of 2,000 flights, the second one bad, all on main.
make_lake() {
	local from pid end=$((SECONDS + 120))
	tidemark run config/flights.properties --set "bootstrap.servers=$servers" \
		--set lake.url="$made" >"$dir/log" 2>&1 </dev/null 5>&- 6<&- &
	pid=$!
	connector=$pid
	for from in 0 2000 4000; do
		send "$([ $from = 2000 ] && echo bad || echo good)" $from $((from + 2000))
		until [ "$(tidemark --lake "$made" --json log main --first-parent 2>/dev/null |
			grep -c '"message":"publish ')" = $((from / 2000 + 1)) ]; do
			[ "$SECONDS" -lt "$end" ] || {
				cat "$dir/log"
				exit 1
			}
			sleep 0.1
		done
	done
	kill -TERM "$pid"
	wait "$pid"
	connector=''
}

# commands HEADING: the shell blocks below it
commands() {
	awk -v heading="## $1" '
		/^## / { inside = $0 == heading }
		/^```/ { block = inside && /^```sh/; next }
		block' docs/rollback.md
}

# accident HEADING: its commands, on a fresh copy of the lake
accident() {
	rm -rf "$work"
	cp -a "$made" "$work"
	commands "$1" >"$dir/commands"
	[ -s "$dir/commands" ] || return 1
	TIDEMARK_LAKE=$work bash -eu "$dir/commands" >"$dir/said" 2>&1 </dev/null || {
		cat "$dir/commands" "$dir/said"
		return 1
	}
}

# shows REF ROWS BAD
shows() {
	rm -rf "$dir/main"
	tidemark --lake "$work" export "$1:topics/flights" "$dir/main" >/dev/null
	find "$dir/main" -name '*.jsonl' -print0 | xargs -0 cat >"$dir/rows"
	[ "$(wc -l <"$dir/rows")" = "$2" ] && [ "$(grep -c '"distance":-' "$dir/rows" || true)" = "$3" ] || {
		echo "$1 has $(wc -l <"$dir/rows") rows; the commands said:"
		cat "$dir/said"
		return 1
	}
}

sound() { tidemark --lake "$work" fsck >"$dir/fsck" || {
	cat "$dir/fsck"
	return 1
}; }

# cannot_find OFFSET WHY: of partition 0
cannot_find() {
	! tidemark --lake "$work" find "flights:0:$1" >"$dir/found" 2>&1 && grep -q "$2" "$dir/found" || {
		cat "$dir/found"
		return 1
	}
}

bad_deploy() { # the second block takes out of sight, and shows again
	accident "The bad deploy" && shows main 2000 0 && sound &&
		grep -q 'replay flights:0 \[893,2675)' "$dir/said" && grep -q 'publishes stop' "$dir/said"
}
poisoned_topic() {
	accident "The poisoned topic" && shows main 2000 0 && sound &&
		grep -q 'skip-to.*TICKET-17' "$dir/said" && cannot_find 900 'TICKET-17 (skip-to)' &&
		grep -q '{\\"flights\\":{\\"0\\":1797,\\"1\\":2203}}' "$dir/said"
}
bad_hour() {
	accident "The bad hour" && shows main 4000 0 && shows ingest-flights 4000 0 && sound &&
		grep -q '2000 rows are recorded as lost' "$dir/said" && cannot_find 900 'dropped by hand (drop)'
}
wrong_rollback() { accident "The wrong rollback" && shows main 6000 "$bad_ones" && sound; }
changed_by_hand() {
	accident "Somebody changed main by hand" && shows main 6000 "$bad_ones" && sound &&
		grep -q 'changed by hand' "$dir/said"
}

make_lake
rm -rf "$work" && cp -a "$made" "$work"
tidemark --lake "$work" export main:topics/flights "$dir/all" >/dev/null
bad_ones=$(find "$dir/all" -name '*.jsonl' -print0 | xargs -0 cat | grep -c '"distance":-')
for name in bad_deploy poisoned_topic bad_hour wrong_rollback changed_by_hand; do
	if "$name"; then ok "$name"; else bad "$name"; fi
done
[ "$failures" = 0 ]
