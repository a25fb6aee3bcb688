#!/bin/sh
# Builds what the agent has its VPP load, build/heddle_vpp_epoll.so, and the keeper of VPP's packet sockets,
# build/heddle-vpp-sockets. Does nothing for one that is newer than its sources.
set -eu
cd "$(dirname "$0")/.."
mkdir -p build
tmp=
trap 'rm -f "$tmp"' EXIT

# is_new OUT SOURCE...
is_new() {
  out=$1
  shift
  [ -f "$out" ] && [ "$out" -nt "$(ls -t "$@" scripts/build-preload.sh | head -n 1)" ]
}

# compile OUT FLAG...: built aside and moved into place, so that two builds at once never show one that is half-written.
compile() {
  out=$1
  shift
  tmp="$out.$$"
  "${CXX:-g++}" -std=c++17 -O2 -Wall -Wextra -Werror -pthread -s -o "$tmp" "$@"
  mv "$tmp" "$out"
}

is_new build/heddle_vpp_epoll.so native/vpp/*.cc native/vpp/*.h ||
  compile build/heddle_vpp_epoll.so -fno-exceptions -fno-rtti -nodefaultlibs -fvisibility=hidden \
    -Wl,--exclude-libs,ALL -shared -fPIC native/vpp/*.cc -lc

# It needs nothing of the machine but its C library.
is_new build/heddle-vpp-sockets native/vpp/keeper/*.cc native/vpp/keeper/*.h native/vpp/protocol.h ||
  compile build/heddle-vpp-sockets -static-libstdc++ -static-libgcc native/vpp/keeper/*.cc
