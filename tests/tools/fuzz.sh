#!/usr/bin/env bash
# Runs every fuzz target for FUZZTIME (default 30s) each, one after the other, and ends with a failure when one found
# something. What was found is then a file under testdata/fuzz: commit it with the fix, and it is a test for ever.
set -u
cd "$(dirname "$0")/../.."
failed=0
while IFS=: read -r file target; do
	echo "== $(dirname "$file") $target"
	(cd "$(dirname "$file")" && go test -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-30s}" .) || failed=1
done < <(grep -rhoHE '^func Fuzz[A-Za-z0-9_]+' --include='*_test.go' . | sed 's/func //' | sort)
exit $failed
