import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import protobuf from "protobufjs";
import { describe, expect, it } from "vitest";
import { type IpAddress, parseIp } from "../../src/base/ip/address.ts";
import type { K8sCodec } from "../../src/models/k8s/codec.ts";
import { decodeK8s, K8S_CODECS } from "../../src/models/k8s/codecs.ts";
import {
  ADDRESS_TYPES,
  type Endpoint,
  type EndpointPort,
  type EndpointSlice,
} from "../../src/models/k8s/endpoint-slice.ts";
import { K8S_KINDS, type K8sKind, type ObjectName } from "../../src/models/k8s/keys.ts";
import { type NamedPort, POD_PHASES, PORT_PROTOCOLS, type Pod } from "../../src/models/k8s/pod.ts";
import { SERVICE_TYPES, type Service, type ServicePort, TRAFFIC_POLICIES } from "../../src/models/k8s/service.ts";
import { clusterNetworkPolicy, networkPolicy } from "../support/policy-oracle/random-policies.ts";

const name = fc.stringMatching(/^[a-z0-9][a-z0-9.-]{0,30}$/);
const text = fc.string({ unit: "binary" }); // whatever Unicode has, without halves of surrogate pairs
const labels = fc.dictionary(
  fc.oneof(name, text).filter((k) => k !== "__proto__"),
  text,
  { noNullPrototype: true, maxKeys: 6 },
);
const ip = fc.oneof(fc.ipV4(), fc.ipV6()).map((t): IpAddress => parseIp(t));
const ips = fc.array(ip, { maxLength: 3 });
const port = fc.integer({ min: 1, max: 65_535 });
const protocol = fc.constantFrom(...PORT_PROTOCOLS);
const wholes = fc.maxSafeInteger();

const meta = { name, uid: fc.oneof(fc.uuid(), fc.constant("")) };
const inNamespace = { namespace: name, ...meta };
const ofCluster = { namespace: fc.constant("" as const), ...meta };
/** Each of the other members may be absent. */
const record = <T extends object, K extends keyof T>(
  model: { [P in keyof T]-?: fc.Arbitrary<T[P]> },
  ...optional: K[]
) =>
  fc.record(model, {
    requiredKeys: (Object.keys(model) as (keyof T)[]).filter((k) => !(optional as (keyof T)[]).includes(k)),
  }) as fc.Arbitrary<T>;

const named = record<NamedPort, never>({ name: text.filter((t) => t !== ""), protocol, port });
const servicePort = record<ServicePort, "nodePort">({ name: text, protocol, port, nodePort: port }, "nodePort");
const endpointPort = record<EndpointPort, "port">({ name: text, protocol, port }, "port");
const endpoint = record<Endpoint, "forNodes" | "forZones" | "node" | "zone">(
  {
    addresses: ips,
    ready: fc.boolean(),
    serving: fc.boolean(),
    terminating: fc.boolean(),
    node: text,
    zone: text,
    forZones: fc.array(text),
    forNodes: fc.array(text),
  },
  "forNodes",
  "forZones",
  "node",
  "zone",
);

const OBJECTS: Readonly<Record<K8sKind, fc.Arbitrary<ObjectName>>> = {
  namespace: fc.record({ ...ofCluster, labels }),
  node: fc.record({ ...ofCluster, labels, addresses: ips, podCIDRs: fc.array(text, { maxLength: 3 }) }),
  servicecidr: fc.record({ ...ofCluster, cidrs: fc.array(text, { maxLength: 2 }) }),
  pod: record<Pod, "annotations" | "mirrorOf" | "node">(
    {
      ...inNamespace,
      mirrorOf: text,
      created: wholes,
      labels,
      node: text,
      hostNetwork: fc.boolean(),
      phase: fc.constantFrom(...POD_PHASES),
      terminating: fc.boolean(),
      ips,
      ports: fc.array(named, { maxLength: 3 }),
      annotations: labels,
    },
    "annotations",
    "mirrorOf",
    "node",
  ),
  service: record<
    Service,
    | "annotations"
    | "clientIpAffinity"
    | "created"
    | "healthCheckNodePort"
    | "proxiedIps"
    | "proxyName"
    | "trafficDistribution"
  >(
    {
      ...inNamespace,
      type: fc.constantFrom(...SERVICE_TYPES),
      clusterIps: ips,
      externalIps: ips,
      loadBalancerIps: ips,
      sourceRanges: fc.array(text, { maxLength: 2 }),
      ports: fc.array(servicePort, { maxLength: 3 }),
      internalTrafficPolicy: fc.constantFrom(...TRAFFIC_POLICIES),
      externalTrafficPolicy: fc.constantFrom(...TRAFFIC_POLICIES),
      healthCheckNodePort: port,
      clientIpAffinity: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
      trafficDistribution: text,
      publishNotReady: fc.boolean(),
      annotations: labels,
      created: wholes,
      proxiedIps: ips,
      proxyName: text,
    },
    "annotations",
    "created",
    "proxiedIps",
    "proxyName",
    "clientIpAffinity",
    "healthCheckNodePort",
    "trafficDistribution",
  ),
  endpointslice: record<EndpointSlice, "addressType" | "generation" | "triggered">(
    {
      ...inNamespace,
      service: text,
      addressType: fc.constantFrom(...ADDRESS_TYPES),
      generation: wholes,
      triggered: wholes,
      ports: fc.array(endpointPort, { maxLength: 3 }),
      endpoints: fc.array(endpoint, { maxLength: 3 }),
    },
    "addressType",
    "generation",
    "triggered",
  ),
  networkpolicy: networkPolicy("x", "p"),
  clusternetworkpolicy: clusterNetworkPolicy("c"),
};

/** From heddle.proto itself, by another implementation. */
const proto = protobuf
  .parse(readFileSync(join(import.meta.dirname, "../../src/models/k8s/heddle.proto"), "utf8"))
  .root.lookupType("heddle.k8s.v1.Value");

/** Members that are undefined are as good as absent. */
const plain = (object: unknown): unknown => JSON.parse(JSON.stringify(object));

/** With its members in another order, at every depth. */
function shuffled(value: unknown, by: number): unknown {
  if (Array.isArray(value)) return value.map((v) => shuffled(v, by));
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).map(([k, v]) => [k, shuffled(v, by)] as const);
  const at = by % (entries.length || 1);
  return Object.fromEntries([...entries.slice(at), ...entries.slice(0, at)].toReversed());
}

describe.each(Object.keys(K8S_KINDS) as K8sKind[])("the value of any %s", (kind) => {
  const codec = K8S_CODECS[kind] as unknown as K8sCodec<ObjectName>;
  const every = (check: (object: ObjectName, bytes: Uint8Array, key: string) => void): void =>
    fc.assert(
      fc.property(OBJECTS[kind], (object) => check(object, codec.encode(object), codec.key(object))),
      { numRuns: 100 },
    );

  it("is read as it was written, in this form and as JSON", () => {
    every((object, bytes, key) => {
      expect(decodeK8s(key, bytes)).toEqual({ kind, object: plain(object) });
      const json = new TextEncoder().encode(JSON.stringify({ v: 1, ...object }));
      expect(codec.decode(key, json)).toEqual(plain(object));
    });
  });

  it("has the same bytes in whatever order the object was made, and when it is written again", () => {
    fc.assert(
      fc.property(OBJECTS[kind], fc.nat(9), (object, by) => {
        const bytes = codec.encode(object);
        expect(codec.encode(shuffled(object, by) as ObjectName)).toEqual(bytes);
        expect(codec.encode(codec.decode(codec.key(object), bytes))).toEqual(bytes);
      }),
      { numRuns: 100 },
    );
  });

  it("is what heddle.proto says", () => {
    every((object, bytes, key) => {
      const read = proto.decode(bytes);
      expect(proto.verify(read)).toBeNull();
      expect(codec.decode(key, proto.encode(read).finish())).toEqual(plain(object));
    });
  });

  it("is read as well with fields of a later Heddle beside the object", () => {
    every((object, bytes, key) => {
      const later = protobuf.Writer.create()
        .uint32((99 << 3) | 2)
        .string("later")
        .finish();
      expect(codec.decode(key, Buffer.concat([bytes, later]))).toEqual(plain(object));
    });
  });

  it("that is cut off anywhere is refused, naming the key", () => {
    fc.assert(
      fc.property(OBJECTS[kind], fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (object, at) => {
        const bytes = codec.encode(object);
        const key = codec.key(object);
        const cut = bytes.subarray(0, Math.floor(bytes.length * at));
        expect(() => codec.decode(key, cut)).toThrow(expect.objectContaining({ code: "BAD_VALUE", key }));
      }),
      { numRuns: 100 },
    );
  });
});
