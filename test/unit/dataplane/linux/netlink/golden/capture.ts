// Captures what ip, bridge, tc and conntrack send, and what the kernel answers, with strace inside a fresh network namespace:
//   node test/unit/dataplane/linux/netlink/golden/capture.ts [PREFIX]
// (as root; needs iproute2, conntrack and strace; with PREFIX only the cases whose names begin so)
// Each case becomes one .txt file with the command, the versions, and the messages as hex.
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

// [file, type of the message that matters (RTM_*), command]. They run one after the other in one namespace, in which
// lo is 1, hd1 2, hd0 3, hdbr 4, hdifb 5, hdvx4 6, hdvx6 7, hdtap 8. Without a file a command is only carried out: tun and
// tap devices are made by ioctl.
const CASES: readonly (readonly [string, number, string])[] = [
  [
    "link-add-veth",
    16,
    "ip link add hd0 mtu 1400 address 02:00:00:00:00:01 type veth peer name hd1 address 02:00:00:00:00:02",
  ],
  ["link-add-bridge", 16, "ip link add hdbr type bridge forward_delay 0 mcast_snooping 0"],
  ["link-add-ifb", 16, "ip link add hdifb type ifb"],
  ["link-add-vxlan4", 16, "ip link add hdvx4 type vxlan id 10 local 192.0.2.1 dstport 4789 ttl 64 nolearning"],
  [
    "link-add-vxlan6",
    16,
    "ip link add hdvx6 type vxlan id 11 local 2001:db8::1 dstport 4789 udp6zerocsumrx nolearning",
  ],
  ["link-add-dummy", 16, "ip link add hddummy type dummy"],
  ["", 0, "ip tuntap add hdtap mode tap multi_queue user 1000"],
  ["link-refused-mtu", 16, "ip link add hdbad mtu 20 type vxlan id 12 dstport 4789"],
  ["link-set-up", 16, "ip link set hd0 up"],
  ["link-set-master", 16, "ip link set hd1 master hdbr"],
  ["link-set-addrgenmode", 16, "ip link set hd0 addrgenmode none"],
  ["link-set-group", 16, "ip link set hdifb group 77"],
  ["link-show-vxlan", 18, "ip -d link show hdvx4"],
  ["link-show-veth", 18, "ip -d link show hd0"],
  ["link-show-bridge", 18, "ip -d link show hdbr"],
  ["link-show-tun", 18, "ip -d link show hdtap"],
  ["address-add4", 20, "ip addr add 10.1.0.1/24 broadcast 10.1.0.255 dev hd0"],
  ["address-add6", 20, "ip addr add fd00::1/64 dev hd0 nodad"],
  ["address-add6-noprefixroute", 20, "ip addr add fd01::1/64 dev hd0 nodad noprefixroute"],
  ["address-show", 22, "ip addr show dev hd0"],
  ["route-add4", 24, "ip route add 10.2.0.0/16 via 10.1.0.2 dev hd0 proto 201"],
  ["route-add-table", 24, "ip route add 10.3.0.0/16 dev hd0 src 10.1.0.1 table 1000 metric 50 mtu 1300"],
  [
    "route-add-multipath",
    24,
    "ip route add 10.4.0.0/16 nexthop via 10.1.0.3 dev hd0 weight 1 nexthop via 10.1.0.4 dev hd0 weight 3",
  ],
  ["route-add-onlink", 24, "ip route add default via 169.254.1.1 dev hd0 onlink"],
  ["route-add6", 24, "ip route add fd02::/48 via fd00::2 dev hd0 metric 10"],
  ["route-add-via6", 24, "ip route add 10.5.0.0/16 via inet6 fe80::1 dev hd0"],
  ["route-add-blackhole", 24, "ip route add blackhole 10.6.0.0/16"],
  ["route-replace", 24, "ip route replace 10.2.0.0/16 via 10.1.0.9 dev hd0 proto 201"],
  ["route-show", 26, "ip -4 route show table all"],
  ["route-show6", 26, "ip -6 route show table all"],
  ["route-delete", 25, "ip route del 10.2.0.0/16 via 10.1.0.9 dev hd0"],
  ["neighbour-replace", 28, "ip neigh replace 10.1.0.2 lladdr 02:00:00:00:00:99 nud permanent dev hd0"],
  ["neighbour-proxy", 28, "ip neigh add proxy 10.1.0.77 dev hd0"],
  ["neighbour-show", 30, "ip neigh show dev hd0"],
  ["neighbour-delete", 29, "ip neigh del 10.1.0.2 dev hd0"],
  ["fdb-append", 28, "bridge fdb append 02:00:00:00:00:aa dev hdvx4 dst 192.0.2.9 self permanent"],
  ["fdb-replace6", 28, "bridge fdb replace 02:00:00:00:00:ab dev hdvx6 dst 2001:db8::9 self permanent"],
  ["fdb-show", 30, "bridge fdb show dev hdvx4"],
  ["rule-add4", 32, "ip rule add from 10.1.0.0/16 fwmark 0x10/0xff table 100 priority 1000"],
  ["rule-add6", 32, "ip -6 rule add to fd00::/16 iif hd0 table 1000 priority 1001"],
  ["rule-show", 34, "ip rule show"],
  ["nsid-set", 88, "ip netns set NETNS 7"],
  ["nsid-show", 90, "ip netns list-id"],
  ["qdisc-tbf", 36, "tc qdisc add dev hd0 root handle 1: tbf rate 10mbit burst 32kb latency 25ms"],
  ["qdisc-ingress", 36, "tc qdisc add dev hd0 ingress"],
  [
    "filter-redirect",
    44,
    "tc filter add dev hd0 parent ffff: protocol all prio 1 u32 match u32 0 0 action mirred egress redirect dev hdifb",
  ],
  ["qdisc-show", 38, "tc qdisc show dev hd0"],
  ["filter-show", 46, "tc filter show dev hd0 parent ffff:"],
  ["link-delete-group", 17, "ip link del group 77"],
  [
    "flow-add-udp",
    0x100,
    "conntrack -I -p udp -s 192.0.2.9 -d 192.0.2.1 --sport 5353 --dport 8000 -r 10.1.0.2 -q 192.0.2.9 --reply-port-src 7000 --reply-port-dst 5353 -t 600 -u SEEN_REPLY -m 0x10",
  ],
  ["flow-add-udp6", 0x100, "conntrack -I -p udp -s 2001:db8::9 -d 2001:db8::1 --sport 5353 --dport 8000 -t 600"],
  [
    "flow-add-tcp",
    0x100,
    "conntrack -I -p tcp -s 192.0.2.9 -d 192.0.2.1 --sport 4000 --dport 80 -t 600 --state ESTABLISHED -u ASSURED -w 7",
  ],
  [
    "flow-add-icmp",
    0x100,
    "conntrack -I -p icmp -s 192.0.2.9 -d 192.0.2.1 --icmp-type 8 --icmp-code 0 --icmp-id 77 -t 600",
  ],
  [
    "flow-add-icmp6",
    0x100,
    "conntrack -I -p icmpv6 -s 2001:db8::9 -d 2001:db8::1 --icmpv6-type 128 --icmpv6-code 0 --icmpv6-id 78 -t 600",
  ],
  [
    "flow-add-sctp",
    0x100,
    "conntrack -I -p sctp -s 192.0.2.9 -d 192.0.2.1 --sport 38412 --dport 38412 --state ESTABLISHED --orig-vtag 1 --reply-vtag 2 -t 600",
  ],
  ["flow-show", 0x101, "conntrack -L"],
  ["flow-show4", 0x101, "conntrack -L -f ipv4"],
  ["flow-delete", 0x102, "conntrack -D -p tcp -s 192.0.2.9 -d 192.0.2.1 --sport 4000 --dport 80 -w 7"],
  ["flow-delete6", 0x102, "conntrack -D -p udp --orig-port-dst 8000 -f ipv6"],
];

const here = dirname(fileURLToPath(import.meta.url));
const version = (command: string): string => {
  const text = execFileSync(command.startsWith("conntrack") ? "conntrack" : "ip", ["-V"], { encoding: "utf8" });
  return text.match(/iproute2-[\w.]+|conntrack v[\w.]+/)?.[0] ?? "unknown";
};
const kernel = execFileSync("uname", ["-sr"], { encoding: "utf8" }).trim();

/** Buffers that strace dumped (`-e write=all -e read=all`), each with the call it belongs to. */
function buffers(trace: string): { call: string; bytes: Buffer }[] {
  const found: { call: string; bytes: Buffer }[] = [];
  let call = "";
  for (const line of trace.split("\n")) {
    const dump = / \| ([0-9a-f]+) {2}((?:[0-9a-f]{2} {1,2})+)/.exec(line);
    if (dump === null) {
      if (!line.includes("bytes in buffer")) call = /(\w+)\(/.exec(line)?.[1] ?? call;
      continue;
    }
    const bytes = Buffer.from((dump[2] ?? "").replaceAll(" ", ""), "hex");
    const last = found.at(-1);
    if (Number.parseInt(dump[1] ?? "", 16) === 0 || last === undefined) found.push({ call, bytes });
    else last.bytes = Buffer.concat([last.bytes, bytes]);
  }
  return found;
}

const netns = `hdg${process.pid}`;
const scratch = mkdtempSync(join(tmpdir(), "hd-golden-"));
execFileSync("ip", ["netns", "add", netns]);
try {
  for (const [name, type, command] of CASES) {
    if (name === "") {
      execFileSync("ip", ["netns", "exec", netns, ...command.split(" ")]);
      continue;
    }
    if (!name.startsWith(process.argv[2] ?? "")) continue;
    const trace = join(scratch, name);
    const strace = ["-f", "-e", "trace=sendmsg,sendto,recvmsg", "-e", "write=all", "-e", "read=all", "-o", trace];
    const words = command.replace("NETNS", netns).split(" ");
    const run = spawnSync("ip", ["netns", "exec", netns, "strace", ...strace, ...words]);
    const all = buffers(readFileSync(trace, "utf8"));
    // What is shown is asked first, names of other links afterwards; ids of namespaces are asked after those of each that has
    // a name. What is changed is looked up and probed before.
    const wanted = (b: { call: string; bytes: Buffer }) =>
      b.call.startsWith("send") && b.bytes.readUInt16LE(4) === type;
    const first = name.includes("-show") && name !== "nsid-show";
    const at = first ? all.findIndex(wanted) : all.findLastIndex(wanted);
    if (at < 0) throw new Error(`${command}: no message of type ${type}`);
    const sent = all[at]?.bytes ?? Buffer.alloc(0);
    // Each datagram is peeked at first, to learn its length: that shows it without its bytes, or twice.
    const received = new Set<string>();
    for (const b of all.slice(at + 1)) {
      if (!b.call.startsWith("recv")) break;
      if (b.bytes.length >= 16) received.add(b.bytes.toString("hex"));
    }
    const lines = [
      `# command: ${command}   (exit ${run.status})`,
      `# strace -f -e trace=sendmsg,sendto,recvmsg -e write=all -e read=all; ${version(command)}, ${kernel}`,
      `sent ${sent.toString("hex")}`,
      ...[...received].map((hex) => `received ${hex}`),
    ];
    const folder = name.startsWith("flow-") ? "../../conntrack/golden" : ".";
    writeFileSync(join(here, folder, `${name}.txt`), `${lines.join("\n")}\n`);
  }
} finally {
  execFileSync("ip", ["netns", "del", netns]);
  rmSync(scratch, { recursive: true });
}
