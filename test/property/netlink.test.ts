import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TruncatedError } from "../../src/base/bytes/reader.ts";
import { Writer } from "../../src/base/bytes/writer.ts";
import { bytesToIp } from "../../src/base/ip/address.ts";
import { decodeFlow, encodeFlow, type Flow } from "../../src/dataplane/linux/conntrack/flow.ts";
import { type FlowTuple, IpProtocol } from "../../src/dataplane/linux/conntrack/tuple.ts";
import { type AddressMessage, decodeAddress, encodeAddress } from "../../src/dataplane/linux/netlink/address.ts";
import { decodeBatch, encodeBatch } from "../../src/dataplane/linux/netlink/exchange.ts";
import { decodeAck, decodeDone } from "../../src/dataplane/linux/netlink/ext-ack.ts";
import { decodeFilter, encodeFilter, type FilterMessage } from "../../src/dataplane/linux/netlink/filter.ts";
import { decodeLinkMessage, encodeLink, type LinkMessage } from "../../src/dataplane/linux/netlink/link.ts";
import { linkDelete } from "../../src/dataplane/linux/netlink/link-requests.ts";
import { decodeEvents } from "../../src/dataplane/linux/netlink/monitor.ts";
import { decodeNeighbour, encodeNeighbour, type Neighbour } from "../../src/dataplane/linux/netlink/neighbour.ts";
import { decodeMessages, encodeMessage, NetlinkFormatError } from "../../src/dataplane/linux/netlink/nlmsg.ts";
import { decodeNsid, encodeNsid } from "../../src/dataplane/linux/netlink/nsid.ts";
import { decodeQdisc, encodeQdisc, type QdiscMessage } from "../../src/dataplane/linux/netlink/qdisc.ts";
import { decodeRoute, encodeRoute, type RouteMessage } from "../../src/dataplane/linux/netlink/route.ts";
import { decodeRule, encodeRule, type RuleMessage } from "../../src/dataplane/linux/netlink/rule.ts";

const u8 = fc.integer({ min: 0, max: 0xff });
const u16 = fc.integer({ min: 0, max: 0xffff });
const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const i32 = fc.integer({ min: -0x8000_0000, max: 0x7fff_ffff });
/** Numbers for which 0 is the same as absence. */
const index = fc.integer({ min: 1, max: 0x7fff_ffff });
const some = (max: number) => fc.integer({ min: 1, max });
const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const ip4 = bytes(4).map((b): string => bytesToIp(b));
const ip6 = bytes(16).map((b): string => bytesToIp(b));
const ip = fc.oneof(ip4, ip6);
const mac = bytes(6).map((b) => Array.from(b, (x) => x.toString(16).padStart(2, "0")).join(":"));
const linkName = fc.stringMatching(/^[a-z][a-z0-9.-]{0,14}$/);
const text = fc.string({ maxLength: 40 }).filter((s) => !s.includes("\0") && s.isWellFormed());
const prefix = (address: fc.Arbitrary<string>, bits: number) =>
  fc.tuple(address, fc.integer({ min: 0, max: bits })).map(([a, n]) => `${a}/${n}`);

/** Each field there or not, never undefined: `exactOptionalPropertyTypes` in the large. */
function optional<T extends object>(fields: { [K in keyof T]: fc.Arbitrary<T[K]> }, required: (keyof T)[] = []) {
  return fc.record(fields, { requiredKeys: required }) as unknown as fc.Arbitrary<T>;
}

const vxlan = optional({
  id: u32,
  local: ip,
  group: ip,
  link: u32,
  port: u16,
  portRange: fc.record({ low: u16, high: u16 }),
  ttl: u8,
  tos: u8,
  learning: fc.boolean(),
  proxy: fc.boolean(),
  ageing: u32,
  limit: u32,
  udpCsum: fc.boolean(),
  udpZeroCsum6Tx: fc.boolean(),
  udpZeroCsum6Rx: fc.boolean(),
  collectMetadata: fc.boolean(),
  df: u8,
});
const bridge = optional({
  forwardDelay: u32,
  helloTime: u32,
  maxAge: u32,
  ageingTime: u32,
  stp: fc.boolean(),
  priority: u16,
  vlanFiltering: fc.boolean(),
  groupFwdMask: u16,
  mcastSnooping: fc.boolean(),
});
const tun = optional({
  owner: u32,
  group: u32,
  mode: fc.constantFrom("tun" as const, "tap" as const),
  packetInfo: fc.boolean(),
  vnetHeader: fc.boolean(),
  persist: fc.boolean(),
  multiQueue: fc.boolean(),
});
const linkFields = {
  family: some(0xff),
  type: some(0xffff),
  index,
  flags: some(0xffff_ffff),
  change: some(0xffff_ffff),
  name: linkName,
  address: mac,
  broadcast: mac,
  mtu: u32,
  txQueueLen: u32,
  operState: u8,
  master: u32,
  link: u32,
  linkNetnsId: i32,
  group: u32,
  alias: text,
  promiscuity: u32,
  carrier: fc.boolean(),
  txQueues: u32,
  rxQueues: u32,
  gsoMaxSize: u32,
  gsoMaxSegs: u32,
  groMaxSize: u32,
  altNames: fc.array(text, { minLength: 1, maxLength: 3 }),
  addrGenMode: fc.constantFrom(0 as const, 1 as const, 2 as const, 3 as const),
  netnsFd: u32,
  netnsPid: u32,
  targetNetnsId: i32,
  newIndex: i32,
};
const info = (peer: fc.Arbitrary<LinkMessage>) =>
  fc.oneof(
    optional<{ kind: "veth"; peer?: LinkMessage }>({ kind: fc.constant("veth"), peer }, ["kind"]),
    optional({ kind: fc.constant("vxlan" as const), vxlan }, ["kind"]),
    optional({ kind: fc.constant("bridge" as const), bridge }, ["kind"]),
    optional({ kind: fc.constant("tun" as const), tun }, ["kind"]),
    fc.record({ kind: fc.constantFrom("dummy" as const, "ifb" as const) }),
    fc.record({ kind: fc.constant("other" as const), name: fc.constantFrom("macvlan", "wireguard", "vlan") }),
  );
const end = optional(linkFields) as fc.Arbitrary<LinkMessage>;
const link = optional({ ...linkFields, info: info(end) }) as fc.Arbitrary<LinkMessage>;

const address: fc.Arbitrary<AddressMessage> = fc
  .constantFrom(4, 6)
  .chain((family) => {
    const host = family === 4 ? ip4 : ip6;
    return optional<AddressMessage>(
      {
        index: u32,
        address: prefix(host, family === 4 ? 32 : 128),
        peer: host,
        broadcast: ip4,
        scope: some(0xff),
        flags: some(0xffff_ffff),
        label: linkName,
        metric: u32,
        proto: u8,
        lifetime: fc.record({ preferred: u32, valid: u32 }),
      },
      ["index", "address"],
    );
  })
  // A peer that is the address itself is no peer.
  .filter((a) => a.peer === undefined || !a.address.startsWith(`${a.peer}/`));

const nexthop = optional({ oif: index, gateway: ip, weight: fc.integer({ min: 1, max: 256 }), flags: some(0xff) }, [
  "weight",
]);
const metrics = optional({
  mtu: u32,
  lock: u32,
  window: u32,
  advmss: u32,
  hopLimit: u32,
  initCwnd: u32,
  initRwnd: u32,
});
const route: fc.Arbitrary<RouteMessage> = fc.constantFrom(4, 6).chain((family) => {
  const net = prefix(family === 4 ? ip4 : ip6, family === 4 ? 32 : 128)
    // Without a single bit that counts there is no address in the message.
    .map((p) => (p.endsWith("/0") ? (family === 4 ? "0.0.0.0/0" : "::/0") : p));
  return optional<RouteMessage>(
    {
      dst: net,
      src: net.filter((p) => !p.endsWith("/0")),
      tos: some(0xff),
      table: u32,
      protocol: u8,
      scope: u8,
      type: u8,
      flags: some(0xffff_ffff),
      oif: u32,
      gateway: ip,
      prefSrc: ip,
      priority: u32,
      metrics,
      nexthops: fc.array(nexthop, { maxLength: 4 }),
      pref: u8,
      nexthopId: u32,
    },
    ["dst", "table", "protocol", "scope", "type"],
  );
});

const neighbour: fc.Arbitrary<Neighbour> = optional<Neighbour>(
  {
    family: u8,
    index: i32,
    state: u16,
    flags: u8,
    type: some(0xff),
    dst: ip,
    address: mac,
    vlan: u16,
    port: u16,
    vni: u32,
    via: u32,
    master: u32,
    protocol: u8,
    nexthopId: u32,
    extFlags: u32,
  },
  ["family", "index", "state", "flags"],
);

const rule: fc.Arbitrary<RuleMessage> = fc.constantFrom(2 as const, 10 as const).chain((family) => {
  const net = prefix(family === 2 ? ip4 : ip6, family === 2 ? 32 : 128);
  const range = fc.record({ start: u16, end: u16 });
  const suppressed = fc.integer({ min: 0, max: 0xffff_fffe });
  return optional<RuleMessage>(
    {
      family: fc.constant(family),
      priority: u32,
      src: net,
      dst: net,
      tos: some(0xff),
      iif: linkName,
      oif: linkName,
      fwmark: u32,
      fwmask: u32,
      table: some(0xffff_ffff),
      action: u8,
      flags: some(0xffff_ffff),
      goto: u32,
      protocol: u8,
      ipProto: u8,
      sourcePorts: range,
      destinationPorts: range,
      uids: fc.record({ start: u32, end: u32 }),
      suppressPrefixLength: suppressed,
      suppressGroup: suppressed,
    },
    ["family", "action"],
  );
});

const tbf = fc.record({ rate: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), burst: u32, limit: u32 });
const qdisc: fc.Arbitrary<QdiscMessage> = optional<QdiscMessage>(
  {
    index: i32,
    handle: some(0xffff_ffff),
    parent: u32,
    info: fc.oneof(
      optional({ kind: fc.constant("tbf" as const), tbf }, ["kind"]),
      fc.record({ kind: fc.constantFrom("ingress" as const, "clsact" as const) }),
      fc.record({ kind: fc.constant("other" as const), name: fc.constantFrom("htb", "fq_codel") }),
    ),
  },
  ["index", "parent"],
);
const filter: fc.Arbitrary<FilterMessage> = optional<FilterMessage>(
  {
    index: i32,
    parent: u32,
    handle: some(0xffff_ffff),
    priority: u16,
    protocol: u16,
    kind: fc.constant("u32"),
    redirectTo: u32,
  },
  ["index", "parent", "priority", "protocol", "kind"],
);
const nsid = optional({ nsid: i32, fd: u32, pid: u32, targetNsid: i32, currentNsid: i32 });

const flow: fc.Arbitrary<Flow> = fc.constantFrom(ip4, ip6).chain((host) => {
  const icmp = fc.record({ type: u8, code: u8, id: u16 });
  const ends = { source: host, destination: host, zone: u16 };
  const tuple = fc.oneof(
    optional<FlowTuple>(
      { ...ends, protocol: fc.constantFrom(6, 17, 132, 255), sourcePort: u16, destinationPort: u16 },
      ["protocol"],
    ),
    optional<FlowTuple>({ ...ends, protocol: fc.constantFrom(IpProtocol.ICMP, IpProtocol.ICMPV6), icmp }, ["protocol"]),
    optional<FlowTuple>(ends),
  );
  return optional<Flow>({ original: tuple, reply: tuple, status: u32, mark: u32, id: u32, zone: u16, timeout: u32 }, [
    "original",
  ]);
});

interface Codec<T> {
  readonly name: string;
  readonly values: fc.Arbitrary<T>;
  readonly encode: (value: T) => Uint8Array;
  readonly decode: (body: Uint8Array) => unknown;
}

const codec = <T>(c: Codec<T>): Codec<unknown> => c as unknown as Codec<unknown>;
const CODECS = [
  codec({ name: "link", values: link, encode: encodeLink, decode: decodeLinkMessage }),
  codec({ name: "address", values: address, encode: encodeAddress, decode: decodeAddress }),
  codec({ name: "route", values: route, encode: encodeRoute, decode: decodeRoute }),
  codec({ name: "neighbour", values: neighbour, encode: encodeNeighbour, decode: decodeNeighbour }),
  codec({ name: "rule", values: rule, encode: encodeRule, decode: decodeRule }),
  codec({ name: "qdisc", values: qdisc, encode: encodeQdisc, decode: decodeQdisc }),
  codec({ name: "filter", values: filter, encode: encodeFilter, decode: decodeFilter }),
  codec({ name: "flow", values: flow, encode: encodeFlow, decode: decodeFlow }),
  codec({ name: "namespace id", values: nsid, encode: encodeNsid, decode: decodeNsid }),
];

/** Decodes; anything but a result or a typed error fails the property. */
function decodesOrRefuses(decode: () => unknown): void {
  try {
    decode();
  } catch (e) {
    if (!(e instanceof TruncatedError || e instanceof NetlinkFormatError)) throw e;
  }
}

describe("netlink codecs", () => {
  it.each(CODECS)("decode what they encoded: $name", ({ values, encode, decode }) => {
    fc.assert(
      fc.property(values, (value) => {
        expect(decode(encode(value))).toEqual(value);
      }),
      { numRuns: 300 },
    );
  });

  it.each(CODECS)("take or refuse any bytes with a typed error: $name", ({ decode }) => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (b) => decodesOrRefuses(() => decode(b))),
      { numRuns: 1000 },
    );
  });

  it.each(CODECS)("take or refuse messages that are cut off or altered: $name", ({ values, encode, decode }) => {
    fc.assert(
      fc.property(values, fc.array(fc.tuple(fc.nat(), u8), { maxLength: 4 }), fc.nat(), (value, changes, cut) => {
        const b = Uint8Array.from(encode(value));
        for (const [at, to] of changes) if (b.length > 0) b[at % b.length] = to;
        decodesOrRefuses(() => decode(b));
        decodesOrRefuses(() => decode(b.subarray(0, cut % (b.length + 1))));
      }),
      { numRuns: 500 },
    );
  });
});

describe("netlink framing", () => {
  const message = fc.record({ type: u16, flags: u16, seq: u32, body: fc.uint8Array({ maxLength: 60 }) });

  it("decodes any sequence of messages that it encoded", () => {
    fc.assert(
      fc.property(fc.array(message), (messages) => {
        const w = new Writer();
        for (const m of messages) encodeMessage(w, m);
        const decoded = decodeMessages(w.finish());
        expect(decoded.map(({ portId, body, ...m }) => ({ ...m, body: [...body], portId }))).toEqual(
          messages.map((m) => ({ ...m, body: [...m.body], portId: 0 })),
        );
      }),
    );
  });

  it("takes or refuses any bytes with a typed error", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), u16, (b, flags) => {
        decodesOrRefuses(() => decodeMessages(b));
        decodesOrRefuses(() => decodeAck({ flags, body: b }));
        decodesOrRefuses(() => decodeDone({ flags, body: b }));
      }),
      { numRuns: 1000 },
    );
  });

  it("gives every request of a batch an outcome, whatever comes back", () => {
    const requests = [linkDelete({ index: 1 }), linkDelete({ index: 2 })];
    const sent = encodeBatch(requests, 1);
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(sent.length - 1), u8), { maxLength: 30 }), (changes) => {
        const b = Uint8Array.from(sent);
        for (const [at, to] of changes) b[at] = to;
        expect(decodeBatch(requests, 1, b)).toHaveLength(2);
      }),
      { numRuns: 1000 },
    );
  });

  it("never throws on what a monitor receives", () => {
    fc.assert(
      fc.property(fc.array(message, { maxLength: 5 }), fc.uint8Array({ maxLength: 40 }), (messages, rest) => {
        const w = new Writer();
        for (const m of messages) encodeMessage(w, { ...m, type: 16 + (m.type % 24) });
        w.bytes(rest);
        decodeEvents(w.finish());
      }),
      { numRuns: 500 },
    );
  });
});
