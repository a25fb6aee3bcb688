#!/bin/sh
# Runs the tests of the C++ addon with AddressSanitizer and UndefinedBehaviorSanitizer. As root; arguments go to vitest.
set -eu
cd "$(dirname "$0")/.."
HEDDLE_SANITIZE=1 scripts/build-native.sh
# Node.js itself is not built with the sanitizers, so their runtime has to be there first, and leaks can't be told.
LD_PRELOAD="$(c++ -print-file-name=libasan.so) $(c++ -print-file-name=libubsan.so)"
export LD_PRELOAD
export ASAN_OPTIONS=detect_leaks=0:abort_on_error=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
export HEDDLE_NATIVE="$PWD/build/asan/heddle_native.node"
exec node_modules/.bin/node node_modules/vitest/vitest.mjs run --project integration test/integration/netns/netlink "$@"
