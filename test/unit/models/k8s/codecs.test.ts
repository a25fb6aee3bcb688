import * as fc from "fast-check";
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
import { ModelError } from "../../../../src/models/versioned-json.ts";
import { clusterNetworkPolicy, networkPolicy } from "../../../support/policy-oracle/random-policies.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (value: Uint8Array): string => new TextDecoder().decode(value);
const kinds = Object.keys(K8S_KINDS) as K8sKind[];

const cluster = { namespace: "" as const, uid: "u" };
const namespaced = { namespace: "x", uid: "u" };

/** One object of every kind, with every member. */
const FULL: { readonly [K in K8sKind]: ReturnType<(typeof K8S_CODECS)[K]["decode"]> } = {
  namespace: { ...cluster, name: "x", labels: { a: "b" } },
  node: { ...cluster, name: "n", labels: {}, addresses: [parseIp("192.0.2.1")], podCIDRs: ["10.0.0.0/24"] },
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
    sourceRanges: ["203.0.113.0/24"],
    ports: [{ name: "http", protocol: "TCP", port: 80, nodePort: 30_080 }],
    internalTrafficPolicy: "Cluster",
    externalTrafficPolicy: "Local",
    healthCheckNodePort: 32_000,
    clientIpAffinity: 10_800,
    trafficDistribution: "PreferClose",
    publishNotReady: false,
  },
  endpointslice: {
    ...namespaced,
    name: "s-1",
    service: "s",
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

describe.each(kinds)("a %s", (kind) => {
  const codec = K8S_CODECS[kind];
  const full = FULL[kind];

  it("is read as it was written", () => {
    expect(codec.decode(codec.key(full), stored(kind, full))).toEqual(full);
  });

  it("has the same bytes in whatever order it was made", () => {
    const reversed = Object.fromEntries(Object.entries(full).toReversed()) as unknown as ObjectName;
    expect(text(stored(kind, reversed))).toBe(text(stored(kind, full)));
  });

  it("is refused under another key, damaged, incomplete, or from a newer Heddle", () => {
    const key = codec.key(full);
    const value = text(stored(kind, full));
    const other = codec.key({ ...full, name: "other" });
    expect(() => codec.decode(other, bytes(value))).toThrow(`${other}: the value is about ${kind}`);
    for (const damaged of ["", value.slice(0, -1), "[]", '{"v":1}']) {
      expect(() => codec.decode(key, bytes(damaged))).toThrow(expect.objectContaining({ code: "BAD_VALUE", key }));
    }
    expect(() => codec.decode(key, bytes(value.replace('"v":1', '"v":2')))).toThrow(
      expect.objectContaining({ code: "NEWER_VERSION" }),
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

  it("name the members that a newer Heddle has added, wherever they are", () => {
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

  it("are read as they were written, whatever is in them", () => {
    const plain = (o: unknown): unknown => JSON.parse(JSON.stringify(o));
    fc.assert(
      fc.property(networkPolicy("x", "p"), clusterNetworkPolicy("c"), (np, cnp) => {
        const [a, b] = [K8S_CODECS.networkpolicy, K8S_CODECS.clusternetworkpolicy];
        expect(a.decode(a.key(np), a.encode(np))).toEqual(plain(np));
        expect(b.decode(b.key(cnp), b.encode(cnp))).toEqual(plain(cnp));
      }),
      { numRuns: 100 },
    );
  });
});
