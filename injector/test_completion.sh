#!/bin/bash
# Completes lines with the scripts that the program prints, in the shells themselves.
#   test_completion.sh PATH_TO_PODGRAFT
set -u
PATH=$(dirname "$1"):$PATH
failed=0

expect() { # SHELL LINE WANTED GOT
    if [ "$3" = "$4" ]; then
        echo "ok: $1: $2"
    else
        echo "FAILED: $1: '$2' gave '$4', not '$3'"
        failed=1
    fi
}

# What bash makes of a line with the cursor at its end.
in_bash() {
    # shellcheck disable=SC2016 # for the inner shell
    bash --norc -c 'source <(podgraft completion bash); COMP_LINE=$1; COMP_POINT=${#1}; _podgraft; echo "${COMPREPLY[*]}"' bash "$1"
}

# What zsh would offer: its own completion needs a terminal, so the two calls that show are ours.
in_zsh() {
    # shellcheck disable=SC2016
    zsh -f -c 'compdef() { :; }; _describe() { echo "${(@)described%%:*}"; }; _files() { echo files; }
        source <(podgraft completion zsh); words=("${(@s: :)1}"); CURRENT=$#words; _podgraft' zsh "$1"
}

in_fish() {
    # shellcheck disable=SC2016
    fish --no-config -c 'podgraft completion fish | source; complete -C $argv[1]' "$1" | cut -f1 | sort | paste -sd' '
}

expect bash "podgraft ver" "version" "$(in_bash "podgraft ver")"
expect bash "podgraft version --outp" "--output" "$(in_bash "podgraft version --outp")"
expect bash "podgraft version --output=j" "json" "$(in_bash "podgraft version --output=j")"
expect bash "podgraft -o " "text json" "$(in_bash "podgraft -o ")"
expect bash "podgraft completion " "bash zsh fish" "$(in_bash "podgraft completion ")"
if command -v zsh >/dev/null; then
    expect zsh "podgraft ver" "version" "$(in_zsh "podgraft ver")"
    expect zsh "podgraft -o " "text json" "$(in_zsh "podgraft -o ")"
    expect zsh "podgraft --client-key " "files" "$(in_zsh "podgraft --client-key ")"
fi
if command -v fish >/dev/null; then
    expect fish "podgraft ver" "version" "$(in_fish "podgraft ver")"
    expect fish "podgraft version --outp" "--output" "$(in_fish "podgraft version --outp")"
    expect fish "podgraft -o " "json text" "$(in_fish "podgraft -o ")"
fi
exit $failed
