#!/usr/bin/env bash
# `tidemark sql`: forms and exit codes; and that nothing stays, in a lake of its own
# or through a socket, when the query or the command is stopped, crashes or is killed.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
export TIDEMARK_LAKE=$dir/lake TMPDIR=$dir/tmp
mkdir "$TMPDIR" "$dir/data"
endless='SELECT count(*) FROM range(1000000) a, range(1000000) b, flights WHERE (a.range * b.range) % 7 = 3'

printf '{"id":1,"from":"ATL"}\n{"id":2,"from":"BOS"}\n' >"$dir/data/flights+0+0000000000.jsonl"
tidemark init >"$dir/said"
tidemark branch dev >"$dir/said"
tidemark import "$dir/data" dev:topics/flights/partition=0 >"$dir/said" 2>&1
tidemark merge dev main >"$dir/said"

expect() { # expect CODE TEXT ARGUMENT...: of tidemark sql; the text is all that it prints
	local code=$1 text=$2 got=0
	shift 2
	tidemark sql "$@" >"$dir/said" 2>"$dir/errors" </dev/null || got=$?
	[ "$got" = "$code" ] && [ "$(cat "$dir/said")" = "$text" ] || {
		cat "$dir/said" "$dir/errors"
		echo "tidemark sql $*: exit code $got, not $code, or not: $text"
		return 1
	}
}
says() { grep -q -- "$1" "$dir/errors" || {
	cat "$dir/errors"
	echo "does not say: $1"
	return 1
}; }
# Nothing of a query, nor a process of one, is there.
nothing_left() {
	local end=$((SECONDS + 20))
	until [ -z "$(ls -A "$TMPDIR")" ] && ! grep -lzx tidemark-sql /proc/[0-9]*/cmdline 2>/dev/null | xargs -r -n1 dirname |
		xargs -r -I{} grep -lz "^TIDEMARK_TEST=$dir" {}/environ 2>/dev/null | grep -q .; do
		[ "$SECONDS" -lt "$end" ] || {
			ls -la "$TMPDIR"
			return 1
		}
		sleep 0.05
	done
}
# begin: an endless query in the background; sets command and child.
begin() {
	local end=$((SECONDS + 20))
	tidemark sql "$endless" >"$dir/said" 2>"$dir/errors" </dev/null &
	command=$!
	until child=$(ps -o pid= --ppid "$command" | tr -d ' ') && [ -n "$child" ] && [ -n "$(ls "$TMPDIR"/*/ 2>/dev/null)" ] &&
		[ "$(ps -o nlwp= "$child" | tr -d ' ')" -gt 2 ] && [ "$(ps -o cputimes= "$child" | tr -d ' ')" -gt 0 ]; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.05
	done
}
ended() { # ended CODE
	local got=0
	wait "$command" || got=$?
	[ "$got" = "$1" ] || {
		cat "$dir/errors"
		echo "exit code $got, not $1"
		return 1
	}
}

forms() {
	expect 0 $'id,from\n1,ATL\n2,BOS' 'FROM flights ORDER BY id' &&
		expect 0 $'id  from\n--  ----\n 1  ATL\n(1 row)' --format table 'FROM flights LIMIT 1' &&
		expect 0 '{"id":1,"from":"ATL"}' --json 'FROM flights LIMIT 1' &&
		expect 0 '{"n":2}' --format jsonl 'SELECT count(*) AS n FROM "dev:flights"' &&
		expect 0 $'n\n0' --at main 'SELECT count(*) AS n FROM flights WHERE id > 2' &&
		expect 0 '' --format parquet --output "$dir/out.parquet" 'FROM flights' && [ "$(head -c 4 "$dir/out.parquet")" = PAR1 ] &&
		expect 0 '' -o "$dir/out.csv" 'FROM flights LIMIT 0' && [ "$(cat "$dir/out.csv")" = id,from ] &&
		echo 'SELECT 7 AS x' | tidemark sql - | grep -q 7
}
errors() {
	expect 5 '' 'FROM fligths' && says "did you mean 'flights'" && expect 5 '' --at nowhere 'FROM flights' &&
		expect 2 '' 'DROP TABLE flights' && says 'only one SELECT' && expect 2 '' 'SELECT nope FROM flights' && says nope &&
		expect 2 '' --format xml 'SELECT 1' && says 'table, csv, jsonl or parquet' && expect 2 '' --memory 1 'SELECT 1' &&
		expect 2 '' --timeout never 'SELECT 1' && expect 2 '' --format parquet 'SELECT 1' && says --output &&
		expect 1 '' --timeout 300ms "$endless" && says 'time limit' && expect 1 '' -o "$dir/none" --timeout 300ms "$endless" &&
		[ ! -e "$dir/none" ] && ! ls "$dir"/none* 2>/dev/null && expect 2 ''
}
interrupted() { begin && kill -INT "$command" && ended 1 && says 'was stopped' && nothing_left; }
crashed() { begin && kill -SEGV "$child" && ended 1 && says 'signal 11' && nothing_left; }
killed() { begin && kill -KILL "$command" && ended 137 && nothing_left; }
reader_goes() { tidemark sql 'FROM range(100000000)' 2>"$dir/errors" | head -n 2 >"$dir/said" || true; nothing_left; }
in_no_process_of_ours() { ! "$TIDEMARK_BUILD/tidemark-sql" 2>"$dir/errors" </dev/null; }
# What a worker asks that runs since before an upgrade.
of_another_version() {
	python3 - "$TIDEMARK_BUILD/tidemark-sql" <<-'EOF'
		import fcntl, json, os, socket, struct, subprocess, sys
		ours, its = (socket.socket(fileno=fcntl.fcntl(s, fcntl.F_DUPFD, 10)) for s in socket.socketpair())
		os.dup2(os.open(os.devnull, os.O_WRONLY), 4)
		os.dup2(its.fileno(), 3)
		request = json.dumps({"version": "0.0.0", "query": "SELECT 1", "memory": 1 << 28}).encode()
		ours.sendall(struct.pack(">I", len(request)) + request)
		ours.shutdown(socket.SHUT_WR)
		subprocess.run([sys.argv[1]], pass_fds=(3, 4))
		os._exit("was asked by version 0.0.0" not in str(ours.recv(4096)))
	EOF
}

# a crash is to be one under the address sanitizer too
export TIDEMARK_TEST=$dir ASAN_OPTIONS=${ASAN_OPTIONS-}:handle_segv=0
run_all() {
	for name in forms errors interrupted crashed killed reader_goes in_no_process_of_ours of_another_version; do
		if "$name"; then ok "$name$1"; else bad "$name$1"; fi
	done
}
run_all ''
# The same through the socket of another process.
mkfifo "$dir/ready" "$dir/stop"
exec 7<>"$dir/stop"
"$TIDEMARK_BUILD/tests/tools/lake_owner" "$TIDEMARK_LAKE" 8 9 8>"$dir/ready" 9<"$dir/stop" 7>&- &
owner=$!
head -c 1 "$dir/ready" >"$dir/said"
run_all ' (socket)'
exec 7>&-
wait "$owner"
[ "$failures" = 0 ]
