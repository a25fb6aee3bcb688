#!/bin/sh
# Sets the machine up, then runs a script of ours on the pinned Node: run.sh [base|all] FILE ARGS…
set -eu
cd "$(dirname "$0")/.."
level=$1
shift
sh scripts/setup.sh "$level"
exec node_modules/.bin/node "$@"
