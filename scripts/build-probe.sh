#!/bin/sh
# Builds dist/bin/hdprobe, the lab's prober, as one static executable. Does nothing when it is newer than its source.
set -eu
cd "$(dirname "$0")/.."
src=src/lab/probe/probe.cc
out=dist/bin/hdprobe
newest=$(ls -t src/lab/probe/*.cc src/lab/probe/*.h | head -n 1)
if [ -x "$out" ] && [ "$out" -nt "$newest" ]; then exit 0; fi
mkdir -p dist/bin
# Built aside and moved into place, so that two builds at once never show a half-written executable.
tmp="$out.$$"
trap 'rm -f "$tmp"' EXIT
"${CXX:-g++}" -std=c++17 -O2 -Wall -Wextra -Werror -static -s -o "$tmp" "$src"
mv "$tmp" "$out"
