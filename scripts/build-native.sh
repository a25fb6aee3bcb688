#!/bin/sh
# Builds the C++ addon into build/heddle_native.node, or does nothing when its sources have not changed since.
# HEDDLE_SANITIZE=1 builds it with AddressSanitizer and UBSan into build-asan/ instead.
# node-gyp is the one npm brings along; it takes its settings (nodedir) from npm's configuration. The headers are those of
# the PATH's Node: Node-API keeps its ABI, so the addon loads in the pinned Node all the same.
set -eu
cd "$(dirname "$0")/.."

out=build
flags=
if [ -n "${HEDDLE_SANITIZE:-}" ]; then
  out=build/asan
  flags=-Dheddle_sanitize=1
fi

stamp=$({ echo "$out $flags"; cat native/binding.gyp native/src/*.h native/src/*.cc scripts/build-native.sh; c++ --version; uname -m; } | sha256sum | cut -d' ' -f1)
if [ -f "$out/heddle_native.node" ] && [ "$(cat "$out/native.stamp" 2>/dev/null)" = "$stamp" ]; then
  exit 0
fi

for tool in make c++ python3; do
  command -v "$tool" >/dev/null || {
    echo "build-native: $tool is missing (Debian: apt-get install build-essential python3)" >&2
    exit 1
  }
done
gyp=${npm_config_node_gyp:-$(npm config get node-gyp 2>/dev/null || true)}
if [ ! -f "$gyp" ]; then
  gyp=$(dirname "$(readlink -f "$(command -v npm)")")/../node_modules/node-gyp/bin/node-gyp.js
fi
[ -f "$gyp" ] || {
  echo "build-native: npm's node-gyp was not found; run this as an npm script" >&2
  exit 1
}
# Headers of the PATH's own Node where they are installed beside it (Debian's and NodeSource's packages), so that
# nothing is downloaded.
if [ -z "${npm_config_nodedir:-}" ]; then
  prefix=$(dirname "$(dirname "$(readlink -f "$(command -v node)")")")
  configured=$(npm config get nodedir 2>/dev/null || true)
  if [ -n "$configured" ] && [ "$configured" != undefined ]; then
    npm_config_nodedir=$configured
  elif [ -f "$prefix/include/node/node_api.h" ]; then
    npm_config_nodedir=$prefix
  fi
  [ -z "${npm_config_nodedir:-}" ] || export npm_config_nodedir
fi

mkdir -p "$out"
log=$out/native.log
# node-gyp always builds in build/ below its project; the project is a copy so that two variants never mix.
work=$out/native
rm -rf "$work"
mkdir -p "$work"
cp -R native/binding.gyp native/src "$work/"
if ! (cd "$work" && node "$gyp" rebuild --silent -- $flags) >"$log" 2>&1; then
  cat "$log" >&2
  exit 1
fi
# Moved into place at once: a process that has the old file open keeps it.
cp "$work/build/Release/heddle_native.node" "$out/heddle_native.node.new"
mv "$out/heddle_native.node.new" "$out/heddle_native.node"
echo "$stamp" >"$out/native.stamp"
