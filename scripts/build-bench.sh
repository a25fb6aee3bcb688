#!/bin/sh
# Builds the benchmarks' programs, each as one static executable: dist/bin/hdbench, which executes plugins, and
# dist/bin/hdrequests, which asks services. Does nothing for one that is newer than its source.
set -eu
cd "$(dirname "$0")/.."
mkdir -p dist/bin
build() {
  if [ -x "$2" ] && [ "$2" -nt "$1" ]; then return; fi
  # Built aside and moved into place, so that two builds at once never show a half-written executable.
  tmp="$2.$$"
  trap 'rm -f "$tmp"' EXIT
  "${CXX:-g++}" -std=c++17 -O2 -Wall -Wextra -Werror -static -s -o "$tmp" "$1"
  mv "$tmp" "$2"
}
build bench/launcher.cc dist/bin/hdbench
build bench/requests.cc dist/bin/hdrequests
