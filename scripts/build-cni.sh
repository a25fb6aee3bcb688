#!/bin/sh
# Builds the CNI plugin, dist/bin/heddle: one static executable without dependencies. Does nothing when neither its
# sources nor its version, compiler or this script have changed. Needs g++ (Debian: g++) or what $CXX names.
set -eu
cd "$(dirname "$0")/.."

out=dist/bin/heddle
stamp=dist/.heddle.stamp
cxx=${CXX:-g++}
# The first "version" of package.json is the package's own.
version=$(sed -n 's/^ *"version": *"\([^"]*\)".*/\1/p' package.json | head -n 1)
want=$({
  cat cmd/cni-binary/*.cpp cmd/cni-binary/*.h scripts/build-cni.sh
  echo "$version"
  "$cxx" --version
} | sha256sum)

if [ -x "$out" ] && [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ]; then exit 0; fi

mkdir -p dist/bin
# Under a name of its own until it is whole: a runtime may execute the old one meanwhile, and two builds may meet.
new=$out.$$
trap 'rm -f "$new"' EXIT
"$cxx" -std=c++17 -O2 -static -s -fno-exceptions -fno-rtti -fno-asynchronous-unwind-tables -ffunction-sections -fdata-sections \
  -Wl,--gc-sections -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror "-DHEDDLE_VERSION=\"$version\"" \
  -o "$new" cmd/cni-binary/*.cpp
mv "$new" "$out"
echo "$want" >"$stamp"
