#!/bin/sh
# A gate: refuses a publish that brings a flight with a negative distance. It is
# given TIDEMARK_LAKE, TIDEMARK_REF (the merged result, which no branch shows
# yet) and TIDEMARK_CHANGES, a file of what would change on the target.
set -eu
while read -r change path; do
	[ "$change" = added ] || continue
	case $path in
	*.jsonl)
		if tidemark cat "$TIDEMARK_REF:$path" | grep -q '"distance":-'; then
			echo "$path holds a negative distance"
			exit 1
		fi
		;;
	esac
done <"$TIDEMARK_CHANGES"
