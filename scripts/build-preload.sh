#!/bin/sh
# Builds build/heddle_vpp_epoll.so, which the agent has its VPP load. Does nothing when it is newer than its sources.
set -eu
cd "$(dirname "$0")/.."
out=build/heddle_vpp_epoll.so
newest=$(ls -t native/vpp/*.cc native/vpp/*.h scripts/build-preload.sh | head -n 1)
if [ -f "$out" ] && [ "$out" -nt "$newest" ]; then exit 0; fi
mkdir -p build
# Built aside and moved into place, so that two builds at once never show a half-written library.
tmp="$out.$$"
trap 'rm -f "$tmp"' EXIT
"${CXX:-g++}" -std=c++17 -O2 -Wall -Wextra -Werror -fno-exceptions -fno-rtti -nodefaultlibs \
  -fvisibility=hidden \
  -Wl,--exclude-libs,ALL -shared -fPIC -pthread -s -o "$tmp" native/vpp/*.cc -lc
mv "$tmp" "$out"
