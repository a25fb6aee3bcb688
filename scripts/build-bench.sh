#!/bin/sh
# Builds dist/bin/hdbench, the benchmarks' launcher, as one static executable. Does nothing when it is newer than its
# source.
set -eu
cd "$(dirname "$0")/.."
src=bench/launcher.cc
out=dist/bin/hdbench
if [ -x "$out" ] && [ "$out" -nt "$src" ]; then exit 0; fi
mkdir -p dist/bin
# Built aside and moved into place, so that two builds at once never show a half-written executable.
tmp="$out.$$"
trap 'rm -f "$tmp"' EXIT
"${CXX:-g++}" -std=c++17 -O2 -Wall -Wextra -Werror -static -s -o "$tmp" "$src"
mv "$tmp" "$out"
