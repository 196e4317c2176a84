#!/usr/bin/env bash
# The quickstart tells the truth: its counts, the skip and the replay, nothing
# left running, and a second run starts anew.
set -euo pipefail
top=$(cd "$(dirname "$0")/../.." && pwd)
: "${TIDEMARK_BUILD:?is the build folder}"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
"$top/.ci/deps.sh" quickstart

wanted='main: 10000 flights, 0 of them bad
main: 14000 flights, 1833 of them bad
main: 10000 flights, 0 of them bad
main: 12167 flights, 0 of them bad
main: 20000 flights, 0 of them bad'

for run in first second; do
	"$top/tests/tools/quickstart.sh" "$TIDEMARK_BUILD" "$dir" >"$dir/out" 2>&1 || {
		cat "$dir/out"
		exit 1
	}
	if ! diff <(echo "$wanted") <(grep '^main: ' "$dir/out"); then
		cat "$dir/out"
		echo "the counts of the $run run differ"
		exit 1
	fi
	grep -q 'skip flights:0 \[4436,6269)' "$dir/out"
	grep -Eq '^  bad-deploy +14000 +1833 +-' "$dir/out"
	grep -Eq '^  main +20000 +0 +[1-9]' "$dir/out"
	grep -q 'replay flights:1 \[5564,7731)' "$dir/out"
done

# The lake is left, whole, without an owner, and its log names the offsets.
export TIDEMARK_LAKE=$dir/quickstart-lake
"$TIDEMARK_BUILD/tidemark" log main >"$dir/log"
grep -q 'flights/0 \[0,' "$dir/log"
"$TIDEMARK_BUILD/tidemark" --json status flights | grep -q '"state":"STOPPED"'
if grep -qi 'error' "$dir/quickstart-lake.log"; then
	cat "$dir/quickstart-lake.log"
	exit 1
fi
