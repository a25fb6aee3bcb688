#!/bin/sh
# Makes a fresh Debian 12 machine with Node and npm ready: Debian packages, npm packages, the native addon, the CNI
# executable and the bundles. Idempotent: what is there already is left alone. `setup.sh base` leaves out what only the
# tests and benchmarks need.
set -eu
cd "$(dirname "$0")/.."

base="g++ make python3 iproute2 ethtool nftables etcd-server procps util-linux"
extra="etcd-client iperf3 containerd runc containernetworking-plugins busybox-static iputils-ping tcpdump strace openssl conntrack iptables curl"

say() { printf 'setup: %s\n' "$*" >&2; }

packages="$base"
[ "${1:-all}" = base ] || packages="$base $extra"
missing=""
for package in $packages; do
  status=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
  [ "$status" = "install ok installed" ] || missing="$missing $package"
done
if [ -n "$missing" ]; then
  if [ "$(id -u)" != 0 ]; then
    say "these Debian packages are missing, and only root can install them:$missing"
    exit 2
  fi
  say "installing Debian packages:$missing"
  # A policy that forbids service starts: etcd and containerd are run by us, inside namespaces, not by the system.
  policy=/usr/sbin/policy-rc.d
  made_policy=
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    made_policy=1
  fi
  trap '[ -z "$made_policy" ] || rm -f "$policy"' EXIT
  log=$(mktemp)
  if ! { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing; } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    # One that can't be had must not stop the rest; what needs it says so by name.
    say "not all could be installed at once; trying one by one"
    for package in $missing; do
      DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$package" >"$log" 2>&1 || say "cannot install $package: $(tail -n 1 "$log")"
    done
  fi
  rm -f "$log"
fi

stamp=node_modules/.heddle-setup
wanted=$(cat package.json package-lock.json | sha256sum | cut -d ' ' -f 1)
if [ "$(cat "$stamp" 2>/dev/null || true)" != "$wanted" ]; then
  say "installing npm packages"
  npm ci --no-audit --no-fund --loglevel=error >&2
  printf '%s' "$wanted" >"$stamp"
fi

sh scripts/build-native.sh >&2
sh scripts/build-preload.sh >&2
sh scripts/build-cni.sh >&2
[ ! -f scripts/build-probe.sh ] || sh scripts/build-probe.sh >&2
node_modules/.bin/node scripts/build.ts >&2
