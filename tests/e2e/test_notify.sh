#!/usr/bin/env bash
# publish.notify: who is told of what, by a running connector and by commands; what
# fails holds nothing up; what a crash left untold is told by the next start.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
.ci/deps.sh quickstart
kafka_start
export TIDEMARK_LAKE=$dir/lake
receiver='' connector=''
end_all() {
	local one
	for one in $receiver $connector; do kill "$one" || true; done
	end
}
trap end_all EXIT

python3 tests/e2e/receiver.py "$dir" hush 5>&- 6<&- &
receiver=$!
until [ -e "$dir/port" ]; do
	kill -0 "$receiver"
	sleep 0.05
done
touch "$dir/events" "$dir/ran"
grep -v '^publish\|^bootstrap\|^lake.url' config/flights.properties >"$dir/flights.properties"
cat >>"$dir/flights.properties" <<END
bootstrap.servers=$servers
lake.url=$TIDEMARK_LAKE
publish.notify=hook,script
publish.notify.hook.type=webhook
publish.notify.hook.url=http://127.0.0.1:$(cat "$dir/port")/moved
publish.notify.hook.secret=hush
publish.notify.hook.retries=1
publish.notify.script.type=command
publish.notify.script.command=tidemark --lake "\$TIDEMARK_LAKE" show "\$TIDEMARK_REF" >$dir/shown && \\
	echo "\$TIDEMARK_EVENT \$TIDEMARK_CONNECTOR \$TIDEMARK_TARGET \$TIDEMARK_REF" >>$dir/ran
END
file=$dir/flights.properties

expect() { # expect CODE COMMAND...: its output is $dir/said
	local code=$1 got=0
	shift
	tidemark "$@" >"$dir/said" 2>&1 </dev/null 5>&- 6<&- || got=$?
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
# told N: both were told of N moves, all of them signed, the last of main's head
told() {
	local head
	head=$(tidemark --json log main -n 1 | sed 's/.*"id":"\([0-9a-f]*\)".*/\1/')
	[ "$(grep -c '^signed post-merge hook ' "$dir/events")" = "$1" ] && [ "$(wc -l <"$dir/events")" = "$1" ] &&
		[ "$(grep -c " flights main " "$dir/ran")" = "$1" ] &&
		tail -n 1 "$dir/events" | grep -q "$head" && tail -n 1 "$dir/ran" | grep -q "$head" &&
		grep -q "$head" "$dir/shown" || {
		echo "wanted $1, the last of $head:"
		cat "$dir/events" "$dir/ran"
		return 1
	}
}
# Moves of the target for which Kafka is not asked.
back() { expect 0 rollback "$file" --to ingest-flights~1 --target-only --yes; }

# until_told HOW: both have heard of such a move.
until_told() {
	local end=$((SECONDS + 30))
	until grep -q " $1 " "$dir/events" && grep -q "^$1 " "$dir/ran"; do
		kill -0 "$connector" && [ "$SECONDS" -lt "$end" ] || {
			cat "$dir/log"
			return 1
		}
		sleep 0.05
	done
}

a_connector_tells() {
	send good 0 4000
	tidemark run "$file" --set publish.checkpoints=1 >"$dir/log" 2>&1 </dev/null 5>&- 6<&- &
	connector=$!
	# also of what a command moves, which knows no secret
	until_told publish && expect 0 rollback flights --to ingest-flights~1 --target-only --yes && until_told rollback || return
	kill -TERM "$connector"
	wait "$connector" || return
	connector=''
	told "$(wc -l <"$dir/events")" && [ "$(grep -c ' rollback ' "$dir/events")" = 1 ]
}
commands_tell() {
	rm "$dir/events" "$dir/ran"
	back && told 1 && grep -q ' rollback ' "$dir/events" && grep -q '^rollback ' "$dir/ran" &&
		expect 0 publish "$file" && told 2 && expect 0 publish "$file" && says 'newest' && told 2 &&
		expect 0 publish "$file" --dry-run && told 2 &&
		expect 0 rollback "$file" --to ingest-flights~1 --yes && told 3 &&
		expect 0 rollback "$file" --undo --yes && told 4
}
what_fails_holds_nothing() {
	local before
	before=$(tidemark --json status flights | sed 's/.*"script":{"sequence":[0-9]*,"told":\([0-9]*\).*/\1/')
	echo 500 >"$dir/code"
	expect 0 rollback "$file" --to ingest-flights~1 --target-only --yes && says 'it answered 500' &&
		[ "$(wc -l <"$dir/events")" = 6 ] && expect 0 status flights &&
		says "notifier hook was told of $before moves, failed 1 times" && says 'it answered 500' &&
		says "notifier script was told of $((before + 1)) moves" || return
	rm "$dir/code"
	# what failed is not told again; the next one is
	expect 0 publish "$file" && [ "$(wc -l <"$dir/events")" = 7 ] &&
		[ "$(wc -l <"$dir/ran")" = 6 ] && expect 0 status flights &&
		says "hook was told of $((before + 1)) moves, failed 1 times\$"
}
a_crash_is_made_good() {
	rm "$dir/events" "$dir/ran"
	# killed before anybody was told: the next command tells of both
	TIDEMARK_KILL_AT=rollback.moved:1 expect 137 rollback "$file" --to ingest-flights~1 --target-only --yes &&
		[ ! -e "$dir/events" ] && expect 0 publish "$file" && told 2 || return
	# after one was told, before that is recorded: twice is possible, never is not
	back && told 3 && TIDEMARK_KILL_AT=notify.told:1 expect 137 publish "$file" &&
		[ "$(wc -l <"$dir/events")" = 4 ] && [ "$(wc -l <"$dir/ran")" = 3 ]
}
without_the_secret() {
	# the lake keeps no secret: the command alone is told
	expect 0 rollback flights --to ingest-flights~1 --target-only --yes && says 'left to the connector' &&
		[ "$(wc -l <"$dir/events")" = 4 ] && [ "$(wc -l <"$dir/ran")" = 5 ]
}
the_next_start_tells_the_rest() {
	cp "$file" "$dir/gated.properties"
	cat >>"$dir/gated.properties" <<-END
		gates=ask
		gates.ask.type=webhook
		gates.ask.url=http://127.0.0.1:$(cat "$dir/port")/may
		gates.ask.secret=hush
	END
	expect 0 run "$dir/gated.properties" --until-latest &&
		[ "$(wc -l <"$dir/events")" = 6 ] && [ "$(sort -u "$dir/events" | wc -l)" = 5 ] &&
		[ "$(wc -l <"$dir/ran")" = 5 ] && [ "$(sort -u "$dir/ran" | wc -l)" = 5 ]
}
no_gate_is_asked_unsigned() {
	expect 2 publish flights && says 'gates.ask.secret' && says 'name the configuration file' &&
		[ "$(wc -l <"$dir/events")" = 6 ] && expect 0 publish "$dir/gated.properties" &&
		grep -q '^signed pre-merge ask ' "$dir/events" && ! grep -q 'unsigned\|forged' "$dir/events"
}
bad_configuration() {
	expect 2 run "$file" --set publish.notify=hook && says 'publish.notify does not name this notifier' &&
		expect 2 run "$file" --set publish.notify.hook.command=true && says 'remove it' &&
		expect 2 run "$file" --set publish.notify.hook.url=ftp://x && says 'http://HOST' &&
		expect 2 run "$file" --set publish.notify.script.timeout=1 && says 'publish.notify.script.timeout.ms'
}

for name in a_connector_tells commands_tell what_fails_holds_nothing a_crash_is_made_good without_the_secret \
	the_next_start_tells_the_rest no_gate_is_asked_unsigned bad_configuration; do
	if "$name"; then ok "$name"; else bad "$name"; fi
done
[ "$failures" = 0 ]
