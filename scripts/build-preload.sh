#!/bin/sh
# Builds build/heddle_vpp_epoll.so, which the agent has its VPP load. Does nothing when it is newer than its source.
set -eu
cd "$(dirname "$0")/.."
src=native/vpp/epoll-batch.cc
out=build/heddle_vpp_epoll.so
if [ -f "$out" ] && [ "$out" -nt "$src" ]; then exit 0; fi
mkdir -p build
# Built aside and moved into place, so that two builds at once never show a half-written library.
tmp="$out.$$"
trap 'rm -f "$tmp"' EXIT
"${CXX:-g++}" -std=c++17 -O2 -Wall -Wextra -Werror -shared -fPIC -s -o "$tmp" "$src"
mv "$tmp" "$out"
