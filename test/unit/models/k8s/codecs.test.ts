import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import protobuf from "protobufjs";
import { describe, expect, it } from "vitest";
import { parseIp } from "../../../../src/base/ip/address.ts";
import { K8S_CODECS } from "../../../../src/models/k8s/codecs.ts";
import {
  K8S_KINDS,
  type K8sKind,
  k8sKey,
  k8sKindPrefix,
  type ObjectName,
  parseK8sKey,
} from "../../../../src/models/k8s/keys.ts";
import { encodeUnreadable } from "../../../../src/models/k8s/proto/value.ts";
import { ModelError } from "../../../../src/models/versioned-json.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const kinds = Object.keys(K8S_KINDS) as K8sKind[];

const cluster = { namespace: "" as const, uid: "u" };
const namespaced = { namespace: "x", uid: "u" };

/** One object of every kind, with every member. */
const FULL: { readonly [K in K8sKind]: ReturnType<(typeof K8S_CODECS)[K]["decode"]> } = {
  namespace: { ...cluster, name: "x", labels: { a: "b" }, annotations: { "heddle.dev/egress-ip": "192.0.2.9" } },
  node: {
    ...cluster,
    name: "n",
    labels: {},
    addresses: [parseIp("192.0.2.1")],
    podCIDRs: ["10.0.0.0/24"],
    leaving: true,
  },
  pod: {
    ...namespaced,
    name: "p",
    mirrorOf: "m",
    created: 1_700_000_000,
    labels: { app: "a" },
    node: "n",
    hostNetwork: false,
    phase: "Running",
    terminating: true,
    ips: [parseIp("10.0.0.1"), parseIp("fd00::1")],
    ports: [{ name: "http", protocol: "TCP", port: 80 }],
    annotations: { "heddle.dev/interfaces": "memif1/memif" },
  },
  networkpolicy: {
    ...namespaced,
    name: "p",
    podSelector: {
      matchLabels: { a: "b" },
      matchExpressions: [{ key: "k", operator: "In", values: ["v"], unknown: ["x"] }],
    },
    policyTypes: ["Ingress"],
    ingress: [
      {
        peers: [
          { podSelector: {}, namespaceSelector: {} },
          { ipBlock: { cidr: "x", except: ["y"] } },
          { unknown: ["z"] },
        ],
        ports: [
          { protocol: "TCP", port: "http" },
          { port: 99_999, endPort: -1 },
        ],
      },
      {},
    ],
    egress: [],
    unknown: ["future"],
  },
  clusternetworkpolicy: {
    ...cluster,
    name: "c",
    tier: "Admin",
    priority: 5000,
    subject: { namespaces: {} },
    ingress: [{ name: "r", action: "Maybe", peers: [{ pods: { namespaceSelector: {}, podSelector: {} } }] }],
    egress: [
      {
        action: "Deny",
        peers: [{ networks: ["10.0.0.0/8"] }],
        protocols: [{ tcp: { number: 80 } }, { udp: { range: { start: 1, end: 2 } } }, { destinationNamedPort: "dns" }],
      },
    ],
  },
  service: {
    ...namespaced,
    name: "s",
    type: "LoadBalancer",
    clusterIps: [parseIp("10.96.0.1")],
    externalIps: [],
    loadBalancerIps: [parseIp("198.51.100.1")],
    proxiedIps: [parseIp("198.51.100.2")],
    sourceRanges: ["203.0.113.0/24"],
    ports: [{ name: "http", protocol: "TCP", port: 80, nodePort: 30_080 }],
    internalTrafficPolicy: "Cluster",
    externalTrafficPolicy: "Local",
    healthCheckNodePort: 32_000,
    clientIpAffinity: 10_800,
    trafficDistribution: "PreferClose",
    publishNotReady: false,
    created: 1_700_000_000,
    proxyName: "other",
    annotations: { "heddle.dev/lb": "maglev" },
  },
  endpointslice: {
    ...namespaced,
    name: "s-1",
    service: "s",
    addressType: "IPv4",
    generation: 7,
    triggered: 1_700_000_000_123,
    ports: [
      { name: "http", protocol: "TCP", port: 8080 },
      { name: "", protocol: "UDP" },
    ],
    endpoints: [
      {
        addresses: [parseIp("10.0.0.1")],
        ready: true,
        serving: true,
        terminating: false,
        node: "n",
        zone: "z",
        forZones: ["z"],
        forNodes: ["n"],
      },
    ],
  },
  servicecidr: { ...cluster, name: "kubernetes", cidrs: ["10.96.0.0/12", "fd00:96::/112"] },
};

const stored = (kind: K8sKind, object: ObjectName): Uint8Array =>
  (K8S_CODECS[kind].encode as (o: ObjectName) => Uint8Array)(object);

describe("keys", () => {
  it.each(kinds)("of a %s are parsed as they are built", (kind) => {
    const at = { namespace: K8S_KINDS[kind].namespaced ? "ns" : "", name: "name.example-1" };
    expect(parseK8sKey(k8sKey(kind, at))).toEqual({ kind, ...at });
    expect(k8sKey(kind, at).startsWith(k8sKindPrefix(kind))).toBe(true);
  });

  it.each([
    "/heddle/k8s/pod/x",
    "/heddle/k8s/pod/x/y/z",
    "/heddle/k8s/pod/x/",
    "/heddle/k8s/node/x/y",
    "/heddle/k8s/toString/x",
    "/heddle/k8s/pod/../y",
    "/heddle/k8s/",
    "/heddle/nodes/ids/1",
  ])("that mean nothing are refused by name: %s", (key) => {
    expect(() => parseK8sKey(key)).toThrow(`${key}: unknown key`);
  });

  it.each<readonly [K8sKind, ObjectName]>([
    ["pod", { namespace: "", name: "p" }],
    ["pod", { namespace: "a/b", name: "p" }],
    ["node", { namespace: "x", name: "n" }],
    ["node", { namespace: "", name: "" }],
  ])("can't be built for a %s named %j", (kind, at) => {
    expect(() => k8sKey(kind, at)).toThrow(ModelError);
  });
});

/** As Heddle wrote it before there was heddle.proto. */
const json = (object: object, version = 1): Uint8Array => bytes(JSON.stringify({ v: version, ...object }));

/** An independent implementation, from heddle.proto itself. */
const proto = protobuf
  .parse(readFileSync(join(import.meta.dirname, "../../../../src/models/k8s/heddle.proto"), "utf8"))
  .root.lookupType("heddle.k8s.v1.Value");
const byLibrary = (value: object): Uint8Array => proto.encode(proto.fromObject({ version: 2, ...value })).finish();

describe.each(kinds)("a %s", (kind) => {
  const codec = K8S_CODECS[kind];
  const full = FULL[kind];
  const key = codec.key(full);
  const value = stored(kind, full);

  it("is read as it was written", () => {
    expect(codec.decode(key, value)).toEqual(full);
  });

  it("is what heddle.proto says", () => {
    const read = proto.toObject(proto.decode(value), { longs: Number, enums: String });
    expect(read).toMatchObject({ version: 2, [kind]: { name: full.name } });
    expect(byLibrary(read)).toEqual(value);
  });

  it("is read as earlier Heddles wrote it, as JSON", () => {
    expect(codec.decode(key, json(full))).toEqual(full);
  });

  it("has the same bytes in whatever order it was made", () => {
    expect(stored(kind, backwards(full) as ObjectName)).toEqual(value);
  });

  it("is refused under another key, damaged, or from a newer Heddle", () => {
    const other = codec.key({ ...full, name: "other" });
    expect(() => codec.decode(other, value)).toThrow(`${other}: the value is about ${kind}`);
    for (const damaged of [bytes(""), bytes("[]"), value.slice(0, -1), value.slice(0, 2)]) {
      expect(() => codec.decode(key, damaged)).toThrow(expect.objectContaining({ code: "BAD_VALUE", key }));
    }
    const newer = new Uint8Array(value);
    newer[1] = 3;
    for (const of of [newer, json(full, 2)]) {
      expect(() => codec.decode(key, of)).toThrow(expect.objectContaining({ code: "NEWER_VERSION", key }));
    }
  });

  it("is read, or refused by name, whatever bytes are damaged", () => {
    fc.assert(
      fc.property(fc.nat(value.length - 1), fc.nat(255), (at, byte) => {
        const damaged = new Uint8Array(value);
        damaged[at] = byte;
        try {
          codec.decode(key, damaged);
        } catch (e) {
          expect(e).toBeInstanceOf(ModelError);
          expect((e as Error).message.startsWith(`${key}: `)).toBe(true);
        }
      }),
      { numRuns: 300 },
    );
  });
});

/** The same, with the members in another order at every depth. */
function backwards(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(backwards);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .toReversed()
      .map(([name, v]) => [name, backwards(v)]),
  );
}

describe("values", () => {
  const { key, encode, decode } = K8S_CODECS.pod;
  const at = key(FULL.pod);
  const pod = (more: object) => byLibrary({ pod: { ...FULL.pod, created: 0, phase: "Running", ...more } });

  it.each([
    ["another kind", stored("service", FULL.service), "the value is a service"],
    ["no kind that is known", Uint8Array.of(8, 2, 0x62, 0), "of a kind that this Heddle doesn't know"],
    ["an old version", Uint8Array.of(8, 1), "the value's version is 1, not 2"],
    ["no version", Uint8Array.of(0x12, 0), "neither heddle.k8s.v1.Value nor JSON"],
    ["an enum's value of a later Heddle", pod({ phase: 9 }), "pod: phase: value 9, which this Heddle doesn't know"],
    ["an enum's value that is lacking", Uint8Array.of(8, 2, 0x12, 0), "phase: Invalid option"],
    ["an address that is none", pod({ ips: ["10.0.0.300"] }), 'ips.0: "10.0.0.300" is not an IP address'],
    ["a number for a text", Uint8Array.of(8, 2, 0x12, 2, 0x08, 1), "pod: namespace: wire type 0"],
    ["text that is none", Uint8Array.of(8, 2, 0x12, 3, 0x0a, 1, 0xff), "pod: namespace: no UTF-8"],
    ["a length beyond the value", Uint8Array.of(8, 2, 0x12, 9), "pod: 9 bytes are said to follow, there are 0"],
    ["what could not be kept", encodeUnreadable("2 MB"), "the object couldn't be kept: 2 MB"],
    ["JSON that breaks off", bytes('{"v":1'), "the value is not JSON"],
    ["JSON without what a pod has", bytes('{"v":1}'), "phase: Invalid option"],
  ])("that can't be used say key and reason: %s", (_, value, reason) => {
    expect(() => decode(at, value)).toThrow(`${at}: `);
    expect(() => decode(at, value)).toThrow(reason);
  });

  it("may have fields that a later Heddle has added", () => {
    const later = protobuf.Writer.create();
    later.uint32(8).uint32(2).uint32(0x12).fork();
    later.uint32(0x0a).string("x").uint32(0x12).string("p").uint32(0x48).int32(2);
    later
      .uint32((200 << 3) | 2)
      .string("?")
      .uint32((201 << 3) | 0)
      .int32(-1)
      .uint32((202 << 3) | 1)
      .double(1);
    later
      .ldelim()
      .uint32((300 << 3) | 5)
      .fixed32(1);
    expect(decode(at, later.finish())).toMatchObject({ namespace: "x", name: "p", phase: "Running" });
  });

  it("have text as Protobuf has it: half a surrogate pair is replaced", () => {
    expect(decode(at, encode({ ...FULL.pod, labels: { a: "x\ud800" } })).labels).toEqual({ a: "x\ufffd" });
  });

  it("can't have numbers beyond their field", () => {
    const service = { ...FULL.service, clientIpAffinity: 1e99 };
    expect(() => K8S_CODECS.service.encode(service)).toThrow(
      "/heddle/k8s/service/x/s: clientIpAffinity: 1e+99 can't be kept",
    );
  });
});

describe("policies", () => {
  it("keep absent and empty lists apart", () => {
    const { key, encode, decode } = K8S_CODECS.networkpolicy;
    for (const more of [{}, { ingress: [] }, { ingress: [{}] }, { ingress: [{ peers: [] }], policyTypes: [] }]) {
      const policy = { ...namespaced, name: "p", podSelector: {}, ...more };
      expect(decode(key(policy), encode(policy))).toEqual(policy);
    }
  });

  it("keep numbers as they were written, whatever they are", () => {
    const { key, encode, decode } = K8S_CODECS.networkpolicy;
    for (const port of [0, -1, 80.5, 2 ** 53, 1e99]) {
      const policy = { ...namespaced, name: "p", podSelector: {}, ingress: [{ ports: [{ port, endPort: port }] }] };
      expect(decode(key(policy), encode(policy))).toEqual(policy);
    }
  });

  it("name the fields that a newer Heddle has added, wherever they are", () => {
    const { key, encode, decode } = K8S_CODECS.clusternetworkpolicy;
    const policy = {
      ...cluster,
      name: "p",
      tier: "Admin",
      priority: 1,
      subject: { namespaces: { unknown: ["listed"] } },
      ingress: [{ action: "Deny", peers: [{}], protocols: [{ tcp: { range: { start: 1, end: 2 } } }] }],
    };
    const added = Buffer.of((14 << 3) | 0, 1);
    const read = decode(key(policy), withAdded(encode(policy), added));
    const field = ["field 14"];
    expect(read).toEqual({
      ...policy,
      subject: { namespaces: { unknown: ["field 14", "listed"] }, unknown: field },
      ingress: [
        {
          action: "Deny",
          peers: [{ unknown: field }],
          protocols: [
            { tcp: { range: { start: 1, end: 2 }, unknown: ["field 14", "range.field 14"] }, unknown: field },
          ],
          unknown: ["field 14", "protocols.field 14"],
        },
      ],
      unknown: ["field 14", "ingress.field 14"],
    });
  });

  it("name the members that a newer Heddle has added to JSON, wherever they are", () => {
    const { key, decode } = K8S_CODECS.networkpolicy;
    const value = {
      v: 1,
      ...namespaced,
      name: "p",
      podSelector: { matchFields: 1 },
      ingress: [{ sources: 1, peers: [{ fqdn: "x" }], ports: [{ icmp: 8 }] }],
      schedule: "nightly",
    };
    const read = decode(key(value), bytes(JSON.stringify(value)));
    expect([read.unknown, read.podSelector.unknown, read.ingress]).toEqual([
      ["schedule"],
      ["matchFields"],
      [{ unknown: ["sources"], peers: [{ unknown: ["fqdn"] }], ports: [{ unknown: ["icmp"] }] }],
    ]);
  });
});

/** The same value with more bytes at the end of every message of it, as heddle.proto tells them from texts. */
function withAdded(value: Uint8Array, added: Uint8Array): Uint8Array {
  const extend = (message: Uint8Array, type: protobuf.Type): Uint8Array => {
    const reader = protobuf.Reader.create(message);
    const parts: Uint8Array[] = [];
    while (reader.pos < reader.len) {
      const from = reader.pos;
      const tag = reader.uint32();
      const field = type.fieldsById[tag >>> 3]?.resolve();
      if (field?.resolvedType instanceof protobuf.Type) {
        const below = extend(reader.bytes(), field.resolvedType);
        parts.push(protobuf.Writer.create().uint32(tag).bytes(below).finish());
      } else {
        reader.skipType(tag & 7);
        parts.push(message.subarray(from, reader.pos));
      }
    }
    return Buffer.concat(type === proto ? parts : [...parts, added]);
  };
  return extend(value, proto);
}
