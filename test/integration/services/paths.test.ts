import { afterAll, beforeAll, expect, it } from "vitest";
import { type DataplaneName, onEachDataplane } from "../../support/agent-node/dataplanes.ts";
import { ServiceLab } from "../../support/services/service-lab.ts";

const FAMILIES = [4, 6] as const;
type Family = (typeof FAMILIES)[number];
type Addresses = Readonly<Record<Family, string>>;
const KINDS = ["tcp", "udp"] as const;
const NODE_PORT = 30_080;
const PORTS = [
  { name: "t", protocol: "TCP", port: 80, nodePort: NODE_PORT },
  { name: "u", protocol: "UDP", port: 80, nodePort: NODE_PORT },
  { name: "s", protocol: "SCTP", port: 80, nodePort: NODE_PORT },
];
const WEB: Addresses = { 4: "10.96.0.1", 6: "fd00:96::1" };
const LB: Addresses = { 4: "203.0.113.1", 6: "2001:db8:1::1" };
const EXTERNAL: Addresses = { 4: "203.0.113.3", 6: "2001:db8:1::3" };

/** `c` on n2 is the endpoint; `d` is on its node, `a` is not. The fabric leads the outside to n1. */
const PODS = { a: "n1", c: "n2", d: "n2" };
const CLIENTS = ["a", "c", "d", "n1", "n2", "outside"] as const;
/** As whom each of them is seen. */
type Seen = Readonly<Record<(typeof CLIENTS)[number], string>>;
type Place = "balanced" | "cluster IP" | "port of n1" | "port of n2";
type ByPlace<T> = Readonly<Record<Place, T>>;

/**
 * On VPP, who comes from outside, or from another node to a node port, is seen as the first address of the node's pod subnet where
 * the endpoint is elsewhere, and as is where it is not.
 */
const SEEN: Readonly<Record<DataplaneName, ByPlace<Seen>>> = {
  linux: {
    "cluster IP": { a: "a", c: "n2", d: "d", n1: "n1", n2: "n2", outside: "n1" },
    balanced: { a: "a", c: "n2", d: "d", n1: "n1", n2: "n2", outside: "n1" },
    "port of n1": { a: "a", c: "n1", d: "n1", n1: "n1", n2: "n1", outside: "n1" },
    "port of n2": { a: "n2", c: "n2", d: "d", n1: "n2", n2: "n2", outside: "n2" },
  },
  vpp: {
    "cluster IP": { a: "a", c: "subnet2", d: "d", n1: "n1", n2: "n2", outside: "subnet1" },
    balanced: { a: "a", c: "subnet2", d: "d", n1: "n1", n2: "n2", outside: "subnet1" },
    "port of n1": { a: "a", c: "subnet1", d: "subnet1", n1: "n1", n2: "subnet1", outside: "subnet1" },
    "port of n2": { a: "n1", c: "subnet2", d: "d", n1: "n1", n2: "n2", outside: "outside" },
  },
};

/** Of SCTP VPP translates no source, and over IPv6 nothing: the host serves what it can. The others get no answer. */
const SCTP_ON_VPP: Readonly<Record<Family, ByPlace<Partial<Seen>>>> = {
  4: {
    "cluster IP": { a: "a", d: "d", n1: "n1", n2: "n2" },
    balanced: { d: "d", n1: "n1", n2: "n2", outside: "n1" },
    "port of n1": { c: "n1", d: "n1", n1: "n1", n2: "n1", outside: "n1" },
    "port of n2": { a: "n1", d: "d", n1: "n1", n2: "n2", outside: "outside" },
  },
  6: {
    "cluster IP": { n1: "n1", n2: "n2" },
    balanced: { n1: "n1", n2: "n2", outside: "n1" },
    "port of n1": { c: "n1", d: "n1", n1: "n1", n2: "n1", outside: "n1" },
    "port of n2": { a: "n1", n1: "n1", n2: "n2", outside: "outside" },
  },
};

/** The node n1 itself as the endpoint. What VPP leaves to the host of n2, it leaves for the outside only. */
const HOST_SEEN: Readonly<Record<DataplaneName, ByPlace<Partial<Seen>>>> = {
  linux: {
    "cluster IP": { a: "a", c: "n2", d: "n2", n1: "n1", n2: "n2", outside: "outside" },
    balanced: {},
    "port of n1": { a: "a", c: "n2", d: "n2", n1: "n1", n2: "n2", outside: "outside" },
    "port of n2": { a: "n2", c: "n2", d: "n2", n1: "n2", n2: "n2", outside: "n2" },
  },
  vpp: {
    "cluster IP": { a: "a", c: "n2", d: "n2", n1: "n1", n2: "n2", outside: "outside" },
    balanced: {},
    "port of n1": { a: "a", c: "n2", d: "n2", n1: "n1", n2: "n2", outside: "outside" },
    "port of n2": { a: "n2", n1: "n2", n2: "n2", outside: "n2" },
  },
};

onEachDataplane("where services lead, and who is seen", (dataplane) => {
  let lab: ServiceLab;
  const nodeIp = (node: string, family: Family): string => lab.ips(node)[family === 4 ? 0 : 1] ?? "";
  const webAt = (family: Family): [where: string, ip: string, port: number, place: Place][] => [
    ["cluster IP", WEB[family], 80, "cluster IP"],
    ["load balancer", LB[family], 80, "balanced"],
    ["external IP", EXTERNAL[family], 80, "balanced"],
    ["node port of n1", nodeIp("n1", family), NODE_PORT, "port of n1"],
    ["node port of n2", nodeIp("n2", family), NODE_PORT, "port of n2"],
  ];
  const seenBy = (who: string, seen: Partial<Seen>): Record<string, string> =>
    Object.fromEntries(
      CLIENTS.map((from) => [from, seen[from] === undefined ? "ETIMEDOUT" : `${who} saw ${seen[from]}`]),
    );

  beforeAll(async () => {
    lab = await ServiceLab.up(dataplane, PODS);
    await lab.lead(
      [WEB, LB, EXTERNAL].flatMap((ips) => Object.values(ips)),
      "n1",
    );
    const ingress = Object.values(LB).map((ip) => ({ ip }));
    lab.service(
      "web",
      {
        ...{ type: "LoadBalancer", clusterIPs: Object.values(WEB), externalIPs: Object.values(EXTERNAL) },
        ports: PORTS,
      },
      { status: { loadBalancer: { ingress } } },
    );
    for (const family of FAMILIES) lab.endpoints("web", family, [{ pod: "c" }], PORTS.map(toTarget));
    await Promise.all(["n1", "n2"].map((node) => lab.soon(node, WEB[6], /^c saw/)));
  });
  afterAll(() => lab?.[Symbol.asyncDispose]());

  it("TCP and UDP, from pods and nodes beside the endpoint and elsewhere, from itself and from outside", async () => {
    for (const family of FAMILIES) {
      for (const kind of KINDS) {
        for (const [where, ip, port, place] of webAt(family)) {
          const hits = await lab.hits(CLIENTS, ip, { kind, port });
          expect(hits, `${where}, ${kind}, IPv${family}`).toEqual(seenBy("c", SEEN[dataplane][place]));
        }
      }
    }
  });

  it("SCTP, where there is somebody to translate it", async () => {
    for (const family of FAMILIES) {
      const served = dataplane === "vpp" ? SCTP_ON_VPP[family] : SEEN.linux;
      await Promise.all(
        webAt(family).map(async ([where, ip, port, place]) => {
          const hits = await lab.hits(CLIENTS, ip, { kind: "sctp", port, timeoutMs: 500 });
          expect(hits, `${where}, IPv${family}`).toEqual(seenBy("?", served[place]));
        }),
      );
    }
  });

  it("named target ports: each of a service's, other ones in other slices, and the right pod's in each", async () => {
    const ips: Addresses = { 4: "10.96.0.2", 6: "fd00:96::2" };
    const [named, other] = [7001, 7002];
    const prober = await lab.nodes.lab.prober();
    await prober.serve(lab.pod("a").netns, named);
    await prober.serve(lab.pod("c").netns, other);
    const ports = [
      { name: "http", port: 80, targetPort: "http" },
      { name: "more", port: 81, targetPort: 7000 },
    ];
    lab.service("named", { clusterIPs: Object.values(ips), ports });
    for (const family of FAMILIES) {
      const more = { name: "more" };
      lab.endpoints("named", family, [{ pod: "a" }], [{ name: "http", port: named }, more], "a");
      lab.endpoints("named", family, [{ pod: "c" }], [{ name: "http", port: other }, more], "c");
    }
    await lab.settled();
    for (const family of FAMILIES) {
      for (const port of [80, 81]) {
        const hits = await Promise.all(Array.from({ length: 16 }, () => lab.hit("d", ips[family], { port })));
        expect(new Set(hits), `${port} IPv${family}`).toEqual(new Set(["a saw d", "c saw d"]));
      }
    }
  });

  it("endpoints of the host's network are reached from everywhere", async () => {
    const ips: Addresses = { 4: "10.96.0.3", 6: "fd00:96::3" };
    const port = 30_081;
    const ports = PORTS.slice(0, 2).map((p) => ({ ...p, nodePort: port }));
    lab.service("host", { type: "NodePort", clusterIPs: Object.values(ips), ports });
    for (const family of FAMILIES) {
      lab.endpoints("host", family, [{ address: nodeIp("n1", family), node: "n1" }], ports.map(toTarget));
    }
    await lab.settled();
    await lab.lead(Object.values(ips), "n1");
    for (const family of FAMILIES) {
      for (const kind of KINDS) {
        const seen = HOST_SEEN[dataplane];
        const at = { kind, port, timeoutMs: 500 };
        const hits = await Promise.all([
          lab.hits(CLIENTS, ips[family], { kind }),
          lab.hits(CLIENTS, nodeIp("n1", family), at),
          lab.hits(CLIENTS, nodeIp("n2", family), at),
        ]);
        const expected = [seen["cluster IP"], seen["port of n1"], seen["port of n2"]].map((s) => seenBy("n1", s));
        expect(hits, `${kind}, IPv${family}`).toEqual(expected);
      }
    }
  });

  it("headless services, and load balancers of ipMode Proxy, are nobody's business here", async () => {
    const before = await Promise.all(["n1", "n2"].map(async (node) => (await lab.status(node)).frontends));
    const far: Addresses = { 4: "203.0.113.9", 6: "2001:db8:1::9" };
    const own: Addresses = { 4: "10.96.0.4", 6: "fd00:96::4" };
    lab.service("headless", { clusterIPs: ["None"], ports: [{ port: 80 }] });
    const ingress = Object.values(far).map((ip) => ({ ip, ipMode: "Proxy" }));
    const status = { loadBalancer: { ingress } };
    lab.service("proxied", { type: "LoadBalancer", clusterIPs: Object.values(own), ports: [{ port: 80 }] }, { status });
    for (const family of FAMILIES) {
      lab.endpoints("headless", family, [{ pod: "c" }]);
      lab.endpoints("proxied", family, [{ pod: "c" }]);
    }
    for (const family of FAMILIES) {
      for (const from of ["a", "n1"]) {
        await lab.soon(from, own[family], new RegExp(`^c saw ${from}$`));
        const podIp = lab.ips("c")[family === 4 ? 0 : 1] ?? "";
        expect(await lab.hit(from, podIp, { port: 7000 })).toBe(`c saw ${from}`);
        // It is the balancer that answers, if it does.
        expect(await lab.hit(from, far[family], { timeoutMs: 300 })).not.toMatch(/saw/);
      }
    }
    const after = await Promise.all(["n1", "n2"].map(async (node) => (await lab.status(node)).frontends));
    expect(after).toEqual(before.map((n) => n + FAMILIES.length));
  });
});

const toTarget = ({ name, protocol }: { name: string; protocol: string }) => ({ name, protocol });
