import { describe, expect, it } from "vitest";
import { HOST_INTERFACE } from "../../../../../src/dataplane/vpp/names.ts";
import { type ServiceNodeContext, ServiceRenderer } from "../../../../../src/dataplane/vpp/services/renderer.ts";
import type { Key, KeyValue } from "../../../../../src/kvscheduler/api/descriptor.ts";
import type { AclValue } from "../../../../../src/models/vpp/acl.ts";
import { CNAT_TRANSLATION_PREFIX, type CnatTranslationValue } from "../../../../../src/models/vpp/cnat.ts";
import { VPP_ROUTE_PREFIX, type VppRouteValue } from "../../../../../src/models/vpp/l3.ts";
import type { HostPort } from "../../../../../src/pods/api.ts";
import type { ServiceInput } from "../../../../../src/services/api.ts";
import {
  endpoint,
  engineOf,
  HOST_POD,
  hostPorts,
  ips,
  service,
  slice,
  without,
} from "../../../../support/services/objects.ts";

const NODE: ServiceNodeContext = {
  servesServices: true,
  addresses: ["192.168.0.1", "fd01::1"],
  gateways: ["10.1.0.1", "fd00:1::1"],
  podCIDRs: ["10.1.0.0/16", "fd00:1::/64"],
  clusterCIDRs: ["10.0.0.0/12", "fd00::/16"],
  uplinks: ["uplink-eth0"],
};
const HERE = "10.1.0.9";
const ELSEWHERE = "10.2.0.9";

const renderer = () => new ServiceRenderer(() => NODE);
const rendered = (...inputs: readonly ServiceInput[]) => [...renderer().renderServices(engineOf(inputs).rows())];
const listOf = (items: readonly KeyValue[], name: string) =>
  (items.find(({ key }) => key.endsWith(`/${name}`))?.value as AclValue | undefined)?.rules ?? [];

/** `10.96.0.1:80/tcp > 10.1.0.9:8080`, with what is other than usual. */
function translations(items: readonly KeyValue[]): string[] {
  const values = items.filter(({ key }) => key.startsWith(CNAT_TRANSLATION_PREFIX)).map(({ value }) => value);
  return (values as CnatTranslationValue[]).map(({ address, port, proto, balance, hash, backends }) => {
    const how = [balance, hash].filter((word) => word !== "default" && word !== "connection");
    return [`${address}:${port}/${proto} >`, ...backends.map((b) => `${b.address}:${b.port}`), ...how].join(" ");
  });
}

/** `10.96.0.1/32 unreachable`. */
const routes = (items: readonly KeyValue[]): string[] =>
  items
    .filter(({ key }) => key.startsWith(VPP_ROUTE_PREFIX))
    .map(({ value }) => value as VppRouteValue)
    .map(({ dst, paths: [path] }) => `${dst} ${path?.type === "via" ? path.interface : path?.type}`);

const BALANCED = { type: "LoadBalancer", loadBalancerIps: ips("203.0.113.1") } as const;
const PORTS = [{ name: "http", protocol: "TCP", port: 80, nodePort: 30_080 }] as const;

describe("services on VPP", () => {
  it("a cluster IP is a translation, over a route by which its other ports are refused", () => {
    const items = rendered(service(), slice([endpoint(HERE), endpoint(ELSEWHERE)]));
    expect(translations(items)).toEqual([`10.96.0.1:80/tcp > ${HERE}:8080 ${ELSEWHERE}:8080`]);
    expect(routes(items)).toEqual(["10.96.0.0/16 drop", "fd00:96::/112 drop", "10.96.0.1/32 unreachable"]);
    expect(listOf(items, "services-4").map(({ dst }) => dst)).toEqual(["10.96.0.0/16"]);
  });

  it("without endpoints there is no translation", () => {
    expect(translations(rendered(service()))).toEqual([]);
  });

  it("node ports are translations of each of the addresses, with balanced ones beside them", () => {
    const items = rendered(service({ ...BALANCED, ports: PORTS }), slice([endpoint(HERE), endpoint(ELSEWHERE)]));
    expect(translations(items)).toEqual([
      `10.96.0.1:80/tcp > ${HERE}:8080 ${ELSEWHERE}:8080`,
      `203.0.113.1:80/tcp > ${HERE}:8080 ${ELSEWHERE}:8080`,
      `192.168.0.1:30080/tcp > ${HERE}:8080 ${ELSEWHERE}:8080`,
    ]);
    // Answers to the outside go past the host; those to the cluster, and the node, as ever.
    expect(listOf(items, "service-replies-4").filter(({ action }) => action === "permit")).toEqual([
      { action: "permit", src: `${HERE}/32`, dst: "0.0.0.0/0", proto: 6, srcPorts: [8080, 8080] },
    ]);
    expect(listOf(items, "service-replies-4").filter(({ action }) => action === "deny")).toHaveLength(2);
  });

  it("clients keep their backend by a hash of their address, in a table that changes as little as possible", () => {
    const items = rendered(service({ clientIpAffinity: 10_800 }), slice([endpoint(HERE)]));
    expect(translations(items)).toEqual([`10.96.0.1:80/tcp > ${HERE}:8080 maglev client`]);
  });

  it("what CNAT can't judge is the host's, for all that the outside uses of the port", () => {
    const ranges = { ...BALANCED, ports: PORTS, sourceRanges: ["198.51.100.0/24"] };
    const items = rendered(service(ranges), slice([endpoint(HERE)]));
    expect(translations(items)).toEqual([`10.96.0.1:80/tcp > ${HERE}:8080`]);
    expect(routes(items)).toContain("203.0.113.1/32 host");
    expect(listOf(items, "services-4").map(({ dst }) => dst)).toEqual(["10.96.0.0/16", "203.0.113.1/32"]);
  });

  it("so is what leads to the same port of the same pod here by another service, as long as that is so", () => {
    const ranged = service({ ...BALANCED, ports: PORTS, sourceRanges: ["198.51.100.0/24"] });
    const other = { namespace: "x", name: "t", clusterIps: ips("10.96.0.2"), created: 2 } as const;
    const beside = service({ ...other, ports: [{ ...PORTS[0], nodePort: 30_081 }], type: "NodePort" });
    const endpoints = [endpoint(HERE), endpoint(ELSEWHERE)];
    const engine = engineOf([ranged, slice(endpoints), beside, slice(endpoints, { name: "t-1", service: "t" })]);
    const one = renderer();
    const byNodePort = (items: Iterable<{ readonly key: Key; readonly value: unknown }>) =>
      [...items].filter(({ key, value }) => key.endsWith("/30081") && value !== undefined).length;
    expect(byNodePort(one.renderServices(engine.rows()))).toBe(0);
    const apart = engine.apply([slice([endpoint(ELSEWHERE)])]);
    expect(byNodePort(one.renderServiceChanges(apart))).toBe(1);
  });

  it("of a local service without endpoints here pods get others, and the outside is kept from those", () => {
    const local = { ...BALANCED, ports: PORTS, externalTrafficPolicy: "Local" } as const;
    const items = rendered(service(local), slice([endpoint(ELSEWHERE)]));
    expect(translations(items)).toContain(`203.0.113.1:80/tcp > ${ELSEWHERE}:8080`);
    expect(listOf(items, "service-guard-4")).toEqual([
      { action: "permit", src: "0.0.0.0/0", dst: `${ELSEWHERE}/32`, proto: 6, dstPorts: [8080, 8080] },
    ]);
    const here = rendered(service(local), slice([endpoint(HERE), endpoint(ELSEWHERE)]));
    expect(translations(here)).toContain(`203.0.113.1:80/tcp > ${HERE}:8080`);
    expect(listOf(here, "service-guard-4")).toEqual([]);
  });

  it("SCTP over IPv6 is not translated", () => {
    const ports = [{ name: "http", protocol: "SCTP", port: 80 }] as const;
    const six = slice([endpoint("fd00:1::9")], { ports: [{ name: "http", protocol: "SCTP", port: 8080 }] });
    expect(translations(rendered(service({ clusterIps: ips("fd00:96::1"), ports }), six))).toEqual([]);
  });

  it("SCTP of the outside to a pod elsewhere is the host's", () => {
    const ports = [{ name: "http", protocol: "SCTP", port: 80, nodePort: 30_080 }] as const;
    const at = (address: string) =>
      slice([endpoint(address)], { ports: [{ name: "http", protocol: "SCTP", port: 8080 }] });
    const all = service({ ...BALANCED, ports });
    expect(translations(rendered(all, at(HERE)))).toHaveLength(3);
    const items = rendered(all, at(ELSEWHERE));
    expect(translations(items)).toEqual([`10.96.0.1:80/sctp > ${ELSEWHERE}:8080`]);
    expect(routes(items)).toContain(`203.0.113.1/32 ${HOST_INTERFACE}`);
  });

  it("a changed endpoint changes one translation, a service that goes takes its own with it", () => {
    const engine = engineOf([service({ ...BALANCED, ports: PORTS }), slice([endpoint(HERE)])]);
    const one = renderer();
    one.renderServices(engine.rows());
    const keys = (input: ServiceInput): [Key, boolean][] =>
      [...one.renderServiceChanges(engine.apply([input]))].map(({ key, value }) => [key, value !== undefined]);
    expect(keys(slice([endpoint(HERE), endpoint(ELSEWHERE)]))).toEqual([
      ["vpp/cnat-translation/tcp/10.96.0.1/80", true],
      ["vpp/cnat-translation/tcp/203.0.113.1/80", true],
      ["vpp/cnat-translation/tcp/192.168.0.1/30080", true],
    ]);
    expect(keys(without(service())).toSorted(([a], [b]) => (a < b ? -1 : 1))).toEqual([
      ["vpp/acl/service-replies-4", true],
      ["vpp/cnat-translation/tcp/10.96.0.1/80", false],
      ["vpp/cnat-translation/tcp/192.168.0.1/30080", false],
      ["vpp/cnat-translation/tcp/203.0.113.1/80", false],
      ["vpp/route/0/10.96.0.1/32", false],
    ]);
  });
});

describe("host ports on VPP", () => {
  const OWN: ServiceInput = { kind: "own-addresses", addresses: ips("192.168.0.1", "fd01::1") };
  const POD = { 4: "10.1.0.7", 6: "fd00:1::7" } as const;

  it.each<[string, Partial<HostPort>, readonly string[]]>([
    ["at every address of the node", {}, [`192.168.0.1:8000/tcp > ${POD[4]}:80`, `fd01::1:8000/tcp > ${POD[6]}:80`]],
    ["of one family", { hostIp: "0.0.0.0" }, [`192.168.0.1:8000/tcp > ${POD[4]}:80`]],
    ["at one address", { hostIp: "fd01::1", protocol: "udp" }, [`fd01::1:8000/udp > ${POD[6]}:80`]],
    ["at an address that VPP does not have", { hostIp: "127.0.0.1" }, []],
    ["of SCTP, without IPv6", { protocol: "sctp" }, [`192.168.0.1:8000/sctp > ${POD[4]}:80`]],
  ])("%s are translations", (_what, port, expected) => {
    expect(translations(rendered(OWN, hostPorts([port])))).toEqual(expected);
  });

  it("send their answers to the outside past the host, which the pod waits for", () => {
    const engine = engineOf([OWN, hostPorts([{ hostIp: "0.0.0.0" }])]);
    const one = renderer();
    const items = one.renderServices(engine.rows());
    expect(listOf([...items], "service-replies-4").filter(({ action }) => action === "permit")).toEqual([
      { action: "permit", src: `${POD[4]}/32`, dst: "0.0.0.0/0", proto: 6, srcPorts: [80, 80] },
    ]);
    expect([...one.renderHostPorts(engine.hostPortsOf(HOST_POD))].map(({ key }) => key)).toEqual([
      "vpp/cnat-translation/tcp/192.168.0.1/8000",
      "vpp/acl/service-replies-4",
    ]);
  });

  it("leave the address to a service that has the port, and get it back", () => {
    const engine = engineOf([OWN, hostPorts([{ hostPort: 30_080, hostIp: "0.0.0.0" }])]);
    const one = renderer();
    one.renderServices(engine.rows());
    const at = (...inputs: readonly ServiceInput[]) =>
      translations([...one.renderServiceChanges(engine.apply(inputs))].filter(({ value }) => value !== undefined));
    expect(at(service({ type: "NodePort", ports: PORTS }), slice([endpoint(HERE)]))).toEqual([
      `10.96.0.1:80/tcp > ${HERE}:8080`,
      `192.168.0.1:30080/tcp > ${HERE}:8080`,
    ]);
    expect(at(without(service()))).toEqual([`192.168.0.1:30080/tcp > ${POD[4]}:80`]);
  });

  it("are the host's with a service that is the host's and leads to the same port of the pod", () => {
    const ranged = service({ ...BALANCED, ports: PORTS, sourceRanges: ["198.51.100.0/24"] });
    const same = hostPorts([{ containerPort: 8080, hostIp: "0.0.0.0" }], { ips: [HERE] });
    expect(translations(rendered(OWN, ranged, slice([endpoint(HERE)]), same))).toEqual([
      `10.96.0.1:80/tcp > ${HERE}:8080`,
    ]);
  });

  it("are all that there is where services are left to others", () => {
    const others = new ServiceRenderer(() => ({ ...NODE, servesServices: false }));
    const items = [...others.renderServices(engineOf([OWN, hostPorts([{}])]).rows())];
    expect(items.filter(({ key }) => !key.startsWith(CNAT_TRANSLATION_PREFIX) && !key.includes("route"))).toEqual([]);
    expect(translations(items)).toHaveLength(2);
  });
});
