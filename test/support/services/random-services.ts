import * as fc from "fast-check";
import { parseIp } from "../../../src/base/ip/address.ts";
import type { Endpoint, EndpointSlice } from "../../../src/models/k8s/endpoint-slice.ts";
import type { K8sNode } from "../../../src/models/k8s/node.ts";
import { SERVICE_TYPES, type Service, TRAFFIC_POLICIES } from "../../../src/models/k8s/service.ts";
import { type HostPort, sandboxId } from "../../../src/pods/api.ts";
import type { ServiceConfig, ServiceInput } from "../../../src/services/api.ts";

const ips = (...texts: string[]) => texts.map(parseIp);

/** Few enough of everything to be fought over. */
export const CLUSTER_IPS = ips("10.96.0.1", "10.96.0.2", "10.97.0.1", "fd00:96::1", "fd00:96::2");
const V4_CLUSTER_IPS = CLUSTER_IPS.filter((ip) => !ip.includes(":"));
const V6_CLUSTER_IPS = CLUSTER_IPS.filter((ip) => ip.includes(":"));
export const OUTSIDE_IPS = ips("198.51.100.1", "192.168.0.1", "192.168.0.2", "10.96.0.2", "169.254.0.1", "2001:db8::1");
export const NODE_IPS = ips("192.168.0.1", "192.168.9.1", "192.168.0.2", "fd01::1", "fd01::2");
const ENDPOINT_IPS = ips(
  ...["10.1.0.1", "10.1.0.2", "10.2.0.1", "192.168.0.1", "127.0.0.1", "10.2.0.2"],
  ...["fd00:1::1", "fd00:2::1", "fd01::2"],
);
export const CLIENT_IPS = ips(
  ...["10.1.0.1", "10.1.0.9", "10.2.0.1", "192.168.0.1", "192.168.9.1", "203.0.113.5", "198.51.100.1"],
  ...["fd00:1::1", "fd00:2::1", "fd01::1", "2001:db8:9::1"],
);
export const DESTINATIONS = [
  ...new Set([...CLUSTER_IPS, ...OUTSIDE_IPS, ...NODE_IPS, ...ips("10.96.9.9", "127.0.0.1")]),
];
export const PORTS = [80, 81, 30_080, 30_081];
export const HEALTH_PORTS = [32_000, 32_001];
const PROTOCOLS = ["TCP", "UDP", "SCTP"] as const;
const NAMES = ["a", "b"] as const;
const NAMESPACES = ["x", "y"] as const;

const mostly = <T>(value: T, other: fc.Arbitrary<T>): fc.Arbitrary<T> =>
  fc.oneof({ weight: 6, arbitrary: fc.constant(value) }, { weight: 1, arbitrary: other });
const sometimes = <T>(other: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => mostly<T | undefined>(undefined, other);
const some = <T>(values: readonly T[], maxLength: number) =>
  fc.oneof(
    { weight: 2, arbitrary: fc.constant<T[]>([]) },
    { weight: 3, arbitrary: fc.uniqueArray(fc.constantFrom(...values), { minLength: 1, maxLength }) },
  );

const clusterIps = fc
  .tuple(fc.constantFrom(...V4_CLUSTER_IPS), fc.constantFrom(...V6_CLUSTER_IPS), fc.nat(6))
  .map(([v4, v6, n]) => (n < 3 ? [v4] : n < 4 ? [v6] : n < 5 ? [v6, v4] : n < 6 ? [v4, v6] : []));

const servicePort = fc.record({
  name: mostly<"" | "p">("p", fc.constant("")),
  protocol: mostly<(typeof PROTOCOLS)[number]>("TCP", fc.constantFrom(...PROTOCOLS)),
  port: fc.constantFrom(80, 81),
  nodePort: fc.constantFrom(undefined, 30_080, 30_081),
});

const service = (namespace: string, name: string): fc.Arbitrary<Service> =>
  fc.record({
    namespace: fc.constant(namespace),
    name: fc.constant(name),
    uid: fc.constantFrom("", "u1", "u2"),
    created: fc.constantFrom(undefined, 1, 2, 3),
    type: mostly<Service["type"]>("LoadBalancer", fc.constantFrom(...SERVICE_TYPES)),
    clusterIps,
    externalIps: some(OUTSIDE_IPS, 2),
    loadBalancerIps: some(OUTSIDE_IPS, 2),
    sourceRanges: some(["203.0.113.0/24", "192.168.0.7/16", "203.0.113.0/28", "fd00::/8", "0.0.0.0/0", "rubbish"], 2),
    ports: fc.array(servicePort, { minLength: 1, maxLength: 3, size: "max" }),
    internalTrafficPolicy: fc.constantFrom(...TRAFFIC_POLICIES),
    externalTrafficPolicy: fc.constantFrom(...TRAFFIC_POLICIES),
    healthCheckNodePort: fc.constantFrom(undefined, ...HEALTH_PORTS),
    clientIpAffinity: sometimes(fc.constantFrom(10, 20)),
    publishNotReady: mostly(false, fc.constant(true)),
    proxyName: sometimes(fc.constantFrom("other")),
    annotations: sometimes(fc.constantFrom({ "heddle.dev/lb": "maglev" }, { "heddle.dev/lb": "rubbish" })),
  });

const places = fc.constantFrom(undefined, undefined, ["n1"], ["n2"], ["n1", "n2"], []);

const conditions = fc.constantFrom(
  ...[
    ...Array.from({ length: 5 }, () => ({ ready: true, serving: true, terminating: false })),
    { ready: false, serving: true, terminating: true },
    { ready: false, serving: true, terminating: true },
    { ready: false, serving: false, terminating: true },
    { ready: false, serving: false, terminating: false },
    { ready: false, serving: true, terminating: false },
  ],
);

const endpoint: fc.Arbitrary<Endpoint> = fc
  .tuple(
    fc.uniqueArray(fc.constantFrom(...ENDPOINT_IPS), { minLength: 1, maxLength: 2 }),
    conditions,
    fc.record({ node: fc.constantFrom(undefined, "n1", "n1", "n2"), forNodes: places, forZones: places }),
  )
  .map(([[address, more], state, where]) => {
    const addresses = [address, ...(more?.endsWith("1") ? [more] : [])].filter((a) => a !== undefined);
    const forZones = where.forZones?.map((n) => n.replace("n", "z"));
    return { addresses, ...state, ...where, forZones };
  });

const slice = (namespace: string, name: string): fc.Arbitrary<EndpointSlice> =>
  fc.record({
    namespace: fc.constant(namespace),
    name: fc.constant(name),
    uid: fc.constantFrom("u1", "u2"),
    service: fc.constantFrom(...NAMES),
    addressType: fc.constantFrom("IPv4", "IPv6", undefined, undefined),
    generation: fc.constantFrom(undefined, 1, 2, 3),
    triggered: sometimes(fc.constantFrom(1000, 2000)),
    ports: fc.array(
      fc.record({
        name: mostly<"" | "p">("p", fc.constant("")),
        protocol: mostly<(typeof PROTOCOLS)[number]>("TCP", fc.constantFrom(...PROTOCOLS)),
        port: mostly<number | undefined>(8080, fc.constantFrom(8081, undefined)),
      }),
      { minLength: 1, maxLength: 2, size: "max" },
    ),
    endpoints: fc.array(endpoint, { minLength: 1, maxLength: 4, size: "max" }),
  });

const node = (name: string): fc.Arbitrary<K8sNode> =>
  fc.record({
    namespace: fc.constant("" as const),
    name: fc.constant(name),
    uid: fc.constant(""),
    labels: fc.constantFrom<Record<string, string>>(
      {},
      ...["z1", "z2"].map((z) => ({ "topology.kubernetes.io/zone": z })),
    ),
    addresses: fc.constant(ips(...(name === "n1" ? ["192.168.0.1", "fd01::1"] : ["192.168.0.2", "fd01::2"]))),
    podCIDRs: fc.constant([]),
  });

/** The object, none, or one that can't be read. */
const state = <T>(object: fc.Arbitrary<T>) =>
  fc.oneof(
    { weight: 12, arbitrary: object },
    { weight: 2, arbitrary: fc.constant(undefined) },
    { weight: 1, arbitrary: fc.constant({ unreadable: "damaged" }) },
  );

const namespace = mostly<(typeof NAMESPACES)[number]>("x", fc.constantFrom(...NAMESPACES));
const at = (namespace: string, name: string) => ({ namespace, name });

const serviceAt = ([ns, name]: readonly [string, string]) =>
  state(service(ns, name)).map((object) => ({ kind: "service" as const, at: at(ns, name), object }));

const sliceAt = ([ns, name]: readonly [string, string]) =>
  state(slice(ns, name)).map((object) => ({ kind: "endpointslice" as const, at: at(ns, name), object }));

const nodeAt = (name: string) =>
  state(node(name)).map((object) => ({ kind: "node" as const, at: at("", name), object }));

const serviceCidrAt = (name: string) =>
  state(some(["10.96.0.0/16", "10.97.0.0/24", "fd00:96::/112", "rubbish"], 2)).map((object) => ({
    kind: "servicecidr" as const,
    at: at("", name),
    object: Array.isArray(object) ? { namespace: "" as const, name, uid: "", cidrs: object } : object,
  }));

const interfaces = fc
  .constantFrom([], ["192.168.9.1"], ["192.168.9.1", "192.168.0.1", "127.0.0.1", "fd01::1"])
  .map((texts) => ({ kind: "own-addresses" as const, addresses: ips(...texts) }));

const SLICES = ["s1", "s2", "s3", "s4", "s5", "s6"] as const;

/** What two pods may have side by side: an ADD with another one's port is refused. */
const PODS = [
  { id: sandboxId("p1", "eth0"), ips: ["10.1.0.1", "fd00:1::1"], ports: [80, 30_080] },
  { id: sandboxId("p2", "eth0"), ips: ["10.1.0.2"], ports: [81, 30_081] },
] as const;

const hostPort = (ports: readonly number[]): fc.Arbitrary<HostPort> =>
  fc.record({
    protocol: mostly<HostPort["protocol"]>("tcp", fc.constantFrom("udp", "sctp")),
    hostPort: fc.constantFrom(...ports),
    containerPort: fc.constantFrom(8080, 8081),
    hostIp: mostly<string | undefined>(
      undefined,
      fc.constantFrom("0.0.0.0", "::", "192.168.0.1", "192.168.9.1", "198.51.100.1", "fd01::1", "127.0.0.1"),
    ),
  });

const hostPortsOf = ({ id, ips, ports }: (typeof PODS)[number]): fc.Arbitrary<ServiceInput> =>
  fc
    .uniqueArray(hostPort(ports), {
      maxLength: 4,
      selector: (p) =>
        `${p.protocol} ${p.hostPort} ${p.hostIp === "0.0.0.0" || p.hostIp === "::" ? "" : (p.hostIp ?? "")}`,
    })
    .map((chosen) => {
      const pod = { namespace: "x", name: id.slice(0, 2) };
      const object = chosen.length === 0 ? undefined : { pod, ips, ports: chosen, since: 1000 };
      return { kind: "host-ports", id, object };
    });

export const edit: fc.Arbitrary<ServiceInput> = fc.oneof(
  { weight: 8, arbitrary: fc.tuple(namespace, fc.constantFrom(...NAMES)).chain(serviceAt) },
  { weight: 12, arbitrary: fc.tuple(namespace, fc.constantFrom(...SLICES)).chain(sliceAt) },
  { weight: 2, arbitrary: fc.constantFrom("n1", "n2").chain(nodeAt) },
  { weight: 2, arbitrary: fc.constantFrom("k", "l").chain(serviceCidrAt) },
  { weight: 1, arbitrary: interfaces },
  { weight: 3, arbitrary: fc.constantFrom(...PODS).chain(hostPortsOf) },
);

/** Something of everything, in this order: what comes first finds nothing. */
const beginning: fc.Arbitrary<ServiceInput[]> = fc.tuple(
  ...SLICES.map((name) => sliceAt(["x", name])),
  ...NAMES.map((name) => serviceAt(["x", name])),
  serviceAt(["y", "a"]),
  sliceAt(["y", "s1"]),
  nodeAt("n1"),
  nodeAt("n2"),
  serviceCidrAt("k"),
  interfaces,
  ...PODS.map(hostPortsOf),
);

export const config: fc.Arbitrary<ServiceConfig> = fc.record({
  node: fc.constant("n1"),
  podCidrs: fc.constant(["10.1.0.0/16", "fd00:1::/64"]),
  nodePortAddresses: fc.constantFrom("primary" as const, ["192.168.0.0/16"], ["0.0.0.0/0", "::/0"], ["192.168.9.0/24"]),
  proxyName: sometimes(fc.constant("other")),
  nodeExternalIps: fc.constantFrom("ignore", "serve"),
});

/** A cluster that is already there, then batches of edits. */
export const history = fc.tuple(
  config,
  beginning,
  fc.array(fc.array(edit, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 8 }),
);
