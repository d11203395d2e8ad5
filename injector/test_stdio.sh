#!/bin/bash
# Runs the program with standard descriptors that are closed or full.
#   test_stdio.sh PATH_TO_PODGRAFT
set -u
podgraft=$1
failed=0

expect() { # NAME WANTED GOT
    if [ "$2" = "$3" ]; then
        echo "ok: $1"
    else
        echo "FAILED: $1: '$3', not '$2'"
        failed=1
    fi
}

"$podgraft" ps -s http://127.0.0.1:1 nobody <&- 2>/dev/null
expect "stdin closed: the cluster's failure" 3 $?
"$podgraft" version >&- 2>/dev/null
expect "stdout closed: a local failure" 6 $?
"$podgraft" ps -s http://127.0.0.1:1 nobody 2>&-
expect "stderr closed: the cluster's failure" 3 $?
"$podgraft" version <&- >&- 2>&-
expect "all closed: a local failure" 6 $?
for what in version help "completion bash" "version -o json"; do
    # shellcheck disable=SC2086 # words of a command
    words=$("$podgraft" $what 2>&1 >/dev/full)
    expect "$what to a full disk: a local failure" 6 $?
    expect "$what to a full disk: in words" "podgraft: write the results: No space left on device" "${words%%$'\n'*}"
done
exit $failed
