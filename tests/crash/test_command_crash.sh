#!/usr/bin/env bash
# drop, a publish of a prefix, and publish --accept-target, killed at each kill point that
# they pass: each has happened as a whole or not at all, `log` says which, and once more
# it comes to the same.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/../e2e/lib.sh"
.ci/deps.sh quickstart
kafka_start
made=$dir/made work=$dir/lake
connector=''
trap '[ -z "$connector" ] || kill "$connector" || true; end' EXIT

grep -v '^publish\|^bootstrap\|^lake.url' config/flights.properties >"$dir/flights.properties"
cat >>"$dir/flights.properties" <<END
bootstrap.servers=$servers
publish.on.hold=prefix
gates=far
gates.far.type=range
gates.far.field=distance
gates.far.min=0
END

# Three checkpoints of 2,000 flights, the third one bad; nothing is published.
make_lake() {
	local from end=$((SECONDS + 120))
	tidemark run "$dir/flights.properties" --set lake.url="$made" >"$dir/log" 2>&1 </dev/null 5>&- 6<&- &
	connector=$!
	for from in 0 2000 4000; do
		send "$([ $from = 4000 ] && echo bad || echo good)" $from $((from + 2000))
		until [ "$(tidemark --lake "$made" --json log ingest-flights 2>/dev/null | wc -l)" = $((from / 2000 + 3)) ]; do
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

t() { tidemark --lake "$work" "$@" </dev/null 5>&- 6<&-; }
fresh() { rm -rf "$work" && cp -a "$made" "$work"; }
# What the branches show: ingest's files, main's, and the newest message of each.
shown() {
	for branch in ingest-flights main; do
		t ls -r "$branch:topics/" 2>/dev/null || true
		t log "$branch" -n 1 --json | sed 's/.*"message":"\([a-z]*\).*/\1/'
	done
}

# sweep NAME CODE COMMAND...: the lake that it starts from is $made.
sweep() {
	local name=$1 code=$2 point passes nth before after got kills=0
	shift 2
	fresh
	before=$(shown)
	rm -f "$dir/trace"
	got=0
	TIDEMARK_KILL_TRACE=$dir/trace t "$@" >"$dir/said" 2>&1 || got=$?
	after=$(shown)
	[ "$got" = "$code" ] && [ "$before" != "$after" ] || {
		cat "$dir/said"
		echo "$name: exit code $got"
		return 1
	}
	while read -r passes point; do
		for nth in 1 $([ "$passes" -gt 1 ] && echo "$passes"); do
			fresh
			got=0
			(TIDEMARK_KILL_AT=$point:$nth t "$@") >"$dir/said" 2>&1 || got=$?
			[ "$got" = 137 ] && t fsck >"$dir/said" || {
				cat "$dir/said"
				echo "$name killed at $point:$nth: exit code $got"
				return 1
			}
			now=$(shown)
			[ "$now" = "$before" ] || [ "$now" = "$after" ] || [ "$now" = "${between-}" ] || {
				echo "$name killed at $point:$nth: in part"
				echo "$now"
				return 1
			}
			t "$@" >"$dir/said" 2>&1 || true
			[ "$(shown)" = "$after" ] && t fsck >"$dir/fsck" || {
				cat "$dir/said"
				echo "$name killed at $point:$nth, and once more: something else"
				return 1
			}
			kills=$((kills + 1))
		done
	done < <(sort "$dir/trace" | uniq -c)
	echo "$name: $kills kills"
	[ "$kills" -ge 4 ]
}

id_of() { t --json log "$1" -n 1 | sed 's/.*"id":"\([0-9a-f]*\)".*/\1/'; }

a_drop() {
	fresh
	local middle
	middle=$(id_of ingest-flights~1)
	sweep drop 0 drop flights "$middle..$middle" --yes && grep -q 'cut.before_commit' "$dir/trace"
}
a_prefix() { sweep prefix 3 publish flights && grep -q 'publish.before_move' "$dir/trace"; }
an_accepted_change() {
	# what is shown is changed by hand; the cut that follows it is a state of its own
	t publish flights >/dev/null 2>&1 || true
	t revert main main >/dev/null
	rm -rf "$made" && cp -a "$work" "$made"
	t publish flights --accept-target --dry-run >/dev/null
	TIDEMARK_KILL_AT=cut.after_commit:1 t publish flights --accept-target >/dev/null 2>&1 || true
	local between
	between=$(shown)
	sweep accept 3 publish flights --accept-target
}

make_lake
for name in a_drop a_prefix an_accepted_change; do
	if "$name"; then ok "$name"; else bad "$name"; fi
done
[ "$failures" = 0 ]
