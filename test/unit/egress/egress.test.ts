import { describe, expect, it } from "vitest";
import { type IpAddress, parseIp } from "../../../src/base/ip/address.ts";
import type { ControllerEvent, EventOutput, StoreEvent } from "../../../src/controller/api.ts";
import { resyncEvent } from "../../../src/controller/store-watcher.ts";
import { podEgressKeys, renderEgress } from "../../../src/dataplane/linux/egress/renderer.ts";
import { renderEgress as renderOnVpp } from "../../../src/dataplane/vpp/egress/renderer.ts";
import { parseEgress } from "../../../src/egress/annotation.ts";
import type { EgressSources } from "../../../src/egress/api.ts";
import { EgressHandler } from "../../../src/egress/handler.ts";
import { holderOf } from "../../../src/egress/holders.ts";
import { namespaceCodec } from "../../../src/models/k8s/namespace.ts";
import { podCodec } from "../../../src/models/k8s/pod.ts";
import { type EgressClaim, encodeNodeInfo, nodeInfoKey } from "../../../src/models/node.ts";
import type { AclValue } from "../../../src/models/vpp/acl.ts";
import { vtepMacOf } from "../../../src/nodes/api.ts";
import type { Entry } from "../../../src/stores/api/store.ts";
import { localRow, peerRow } from "../../support/linux/rows.ts";

const CLUSTER = ["10.244.0.0/16", "fd10:244::/48"];
const ip = parseIp;
const claim = (text: string, since: number): EgressClaim => ({ ip: ip(text), since });

describe("the annotation", () => {
  it.each([
    ["192.0.2.9", { 4: "192.0.2.9" }],
    [" 2001:DB8::9 , 192.0.2.9", { 4: "192.0.2.9", 6: "2001:db8::9" }],
  ])("%j names addresses", (text, addresses) => {
    expect(parseEgress(text, CLUSTER)).toEqual({ addresses });
  });

  it.each([
    ["", '"" is not an IP address'],
    ["192.0.2.9,", '"" is not an IP address'],
    ["192.0.2.0/24", '"192.0.2.0/24" is not an IP address'],
    ["127.0.0.1", "127.0.0.1 is no address that a node can be reached at"],
    ["fe80::1", "fe80::1 is no address that a node can be reached at"],
    ["192.0.2.9,192.0.2.9", "there are two IPv4 addresses"],
    ["10.244.3.4", "10.244.3.4 is in 10.244.0.0/16, which is the cluster's"],
  ])("%j is refused, with the reason", (text, invalid) => {
    expect(parseEgress(text, CLUSTER)).toEqual({ invalid });
  });
});

it("of nodes that say that they have an address, the one that got it last has it, of equals the first by name", () => {
  const a = ip("192.0.2.9");
  const of = (...claims: [string, number][]) =>
    holderOf(a, new Map(claims.map(([node, since]) => [node, [claim("192.0.2.8", 99), claim(a, since)]])));
  expect(of(["n1", 1], ["n2", 2])).toEqual({ node: "n2", others: ["n1"] });
  expect(of(["n2", 1], ["n1", 1], ["n3", 0])).toEqual({ node: "n1", others: ["n2", "n3"] });
  expect(holderOf(a, new Map())).toBeUndefined();
});

const entry = (key: string, value: Uint8Array): Entry => ({ key, value, revision: 1 as never });
const namespace = (name: string, egress?: string): Entry => {
  const more = egress === undefined ? {} : { annotations: { "heddle.dev/egress-ip": egress } };
  const object = { namespace: "" as const, name, uid: "u", labels: {}, ...more };
  return entry(namespaceCodec.key(object), namespaceCodec.encode(object));
};
const pod = (at: string, node: string, ips: readonly string[], more: object = {}): Entry => {
  const [ns = "", name = ""] = at.split("/");
  const base = { created: 0, labels: {}, hostNetwork: false, phase: "Running", terminating: false, ports: [] } as const;
  const object = { ...base, namespace: ns, name, uid: "u", node, ips: ips.map(ip), ...more };
  return entry(podCodec.key(object), podCodec.encode(object));
};
const node = (id: number, egress: readonly EgressClaim[]): Entry => {
  const { name, underlayIps, podCIDRs } = peerRow(id);
  const fixed = { vtepMac: vtepMacOf(id), overlay: "vxlan", version: "1" } as const;
  return entry(nodeInfoKey(name), encodeNodeInfo({ name, id, underlayIps, podCIDRs, ...fixed, egress }));
};

/** Node n1 with a pod of `shop` and one of `other`; its items as they are after each event. */
class Rig {
  readonly items = new Map<string, unknown>();
  readonly published: (readonly EgressClaim[])[] = [];
  readonly ended: EgressSources[] = [];
  readonly warned: string[] = [];
  readonly store = new Map<string, Entry>();
  own: IpAddress[] = [];
  pods = [
    { namespace: "shop", ips: ["10.244.1.2", "fd10:244:0:1::2"] },
    { namespace: "other", ips: ["10.244.1.3"] },
  ];
  readonly handler = new EgressHandler({
    wiring: {
      renderEgress,
      podEgressKeys,
      endFlows: (sources) => {
        this.ended.push(sources);
        return Promise.resolve();
      },
    },
    local: () => localRow(),
    peers: () => new Map([2, 3].map((id) => [`n${id}`, peerRow(id)])),
    pods: () => this.pods,
    changesPods: ({ kind }) => kind === "cni",
    ownAddresses: () => this.own,
    changesOwnAddresses: ({ kind }) => kind === "own-addresses",
    publish: (claims) => this.published.push(claims),
    clock: { wall: () => 1000 },
    log: { warn: (_fields: object, message?: string) => this.warned.push(message ?? "") } as never,
    isInPlace: () => true,
  });

  #out(): EventOutput {
    return {
      put: (key, value) => this.items.set(key, value),
      delete: (key) => this.items.delete(key),
      remember: () => {},
    };
  }

  async start(...entries: Entry[]): Promise<void> {
    for (const e of entries) this.store.set(e.key, e);
    this.items.clear();
    const event = resyncEvent("start", this.store);
    this.handler.resync(event, this.#out());
    await this.handler.finish(event);
  }

  async change(...entries: (Entry | string)[]): Promise<void> {
    const changes = entries.map((e) => {
      const key = typeof e === "string" ? e : e.key;
      const old = this.store.get(key);
      if (typeof e === "string") this.store.delete(key);
      else this.store.set(key, e);
      return { key, old, new: typeof e === "string" ? undefined : e };
    });
    await this.tell({ kind: "store", changes, describe: () => "" } as StoreEvent);
  }

  async tell(event: ControllerEvent): Promise<void> {
    this.handler.update(event, this.#out());
    await this.handler.finish(event);
  }

  /** Elements of a set, `key` or `key: data`. */
  elements(set: string): string[] {
    return [...this.items.values()].flatMap((value) => {
      const { set: of, key, data } = value as { set?: string; key?: string; data?: string };
      return of === set ? [data === undefined ? `${key}` : `${key}: ${data}`] : [];
    });
  }
}

const SHOP = "192.0.2.9, 2001:db8::9";

describe("the handler", () => {
  it("has no items as long as no namespace asks for anything, and none any more when none does", async () => {
    const rig = new Rig();
    await rig.start(namespace("shop"), pod("shop/x", "n2", ["10.244.2.2"]), node(2, []));
    expect(rig.items.size).toBe(0);
    await rig.change(namespace("shop", SHOP));
    expect(rig.items.size).toBeGreaterThan(0);
    await rig.change(namespace("shop"));
    expect(rig.items.size).toBe(0);
    // All of what pods have to the outside may have begun with another source.
    expect(rig.ended.at(-1)).toEqual(
      new Map([
        ["10.244.1.2", undefined],
        ["fd10:244:0:1::2", undefined],
      ]),
    );
  });

  it("closes pods when no node has the address, and leads them to the one that has", async () => {
    const rig = new Rig();
    await rig.start(namespace("shop", SHOP), node(2, []));
    expect(rig.elements("egress_pods4")).toEqual(["10.244.1.2"]);
    expect(rig.elements("egress_open4")).toEqual([]);
    expect(rig.warned).toEqual([
      "no node has 192.0.2.9; what leaves the cluster by IPv4 is dropped",
      "no node has 2001:db8::9; what leaves the cluster by IPv6 is dropped",
    ]);
    await rig.change(node(2, [claim("192.0.2.9", 5)]));
    expect(rig.elements("egress_open4")).toEqual(["10.244.1.2"]);
    expect(rig.elements("egress_sources4")).toEqual(["10.244.1.2: 10.244.1.2"]);
    expect(rig.elements("egress_marks4")).toEqual(["10.244.1.2: 1744830466"]);
    expect(rig.elements("egress_open6")).toEqual([]);
    expect(rig.items.get("linux/route/node/table-1744830466/0.0.0.0/0")).toMatchObject({ gateway: "10.244.2.1" });
    await rig.change(nodeInfoKey("n2"));
    expect(rig.elements("egress_open4")).toEqual([]);
  });

  it("translates here what it has the address for, pods of other nodes too, and says so when that is in force", async () => {
    const rig = new Rig();
    rig.own = [ip("192.0.2.9")];
    await rig.start(
      namespace("shop", SHOP),
      pod("shop/x", "n2", ["10.244.2.2"]),
      // Not of its node's networks; done; the node itself; of another namespace.
      pod("shop/odd", "n2", ["10.244.3.2"]),
      pod("shop/done", "n2", ["10.244.2.3"], { phase: "Succeeded" }),
      pod("shop/host", "n2", ["192.168.0.2"], { hostNetwork: true }),
      pod("other/x", "n2", ["10.244.2.4"]),
    );
    expect(rig.elements("egress_sources4")).toEqual(["10.244.1.2: 192.0.2.9", "10.244.2.2: 192.0.2.9"]);
    expect(rig.published).toEqual([[claim("192.0.2.9", 1000)]]);
    await rig.change("/heddle/k8s/pod/shop/x");
    expect(rig.elements("egress_sources4")).toEqual(["10.244.1.2: 192.0.2.9"]);
    rig.own = [];
    await rig.tell({ kind: "own-addresses", describe: () => "" });
    expect(rig.elements("egress_sources4")).toEqual([]);
    expect(rig.published.at(-1)).toEqual([]);
  });

  it("an agent that starts again has had its addresses all the time", async () => {
    const rig = new Rig();
    rig.own = [ip("192.0.2.9")];
    await rig.start(namespace("shop", SHOP), node(1, [claim("192.0.2.9", 7)]), node(2, [claim("192.0.2.9", 8)]));
    expect(rig.handler.status().namespaces[0]).toMatchObject({
      addresses: [{ address: "192.0.2.9", node: "n2" }, { address: "2001:db8::9" }],
      problems: [{ code: "SEVERAL_NODES" }, { code: "NO_NODE" }],
    });
    expect(rig.published).toEqual([[claim("192.0.2.9", 7)]]);
  });

  it("a pod that comes is closed or led with its ADD, and its flows are not looked for", async () => {
    const rig = new Rig();
    await rig.start(namespace("shop", SHOP), node(2, [claim("192.0.2.9", 5)]));
    rig.ended.length = 0;
    rig.pods = [...rig.pods, { namespace: "shop", ips: ["10.244.1.9"] }];
    await rig.tell({ kind: "cni", describe: () => "" });
    expect(rig.elements("egress_open4")).toEqual(["10.244.1.2", "10.244.1.9"]);
    expect(rig.ended).toEqual([]);
    expect([...rig.handler.podKeys(["10.244.1.9"])]).toEqual(["linux/nft/element/egress_pods4/10.244.1.9"]);
  });

  it("a value that can't be read closes its namespace, and no other", async () => {
    const rig = new Rig();
    const bad = entry("/heddle/k8s/namespace/shop", Uint8Array.of(8, 9));
    await rig.start(namespace("other", "192.0.2.9"), bad, node(2, [claim("192.0.2.9", 5)]));
    expect(rig.elements("egress_open4")).toEqual(["10.244.1.3"]);
    expect(rig.elements("egress_pods4")).toEqual(["10.244.1.2", "10.244.1.3"]);
    const [, shop] = rig.handler.status().namespaces;
    expect(shop?.problems.map(({ code }) => code)).toEqual(["INVALID"]);
  });
});

it("on VPP pods are led from the host's interface, and what others send to the host; open only with that", () => {
  const rows = [{ pod: ip("10.244.1.2"), way: { to: "peer", peer: "n2" } }] as const;
  const state = { rows, gateways: [peerRow(2)], kept: ["192.168.0.2/32"], peerCIDRs: ["10.244.2.0/24"] };
  const items = new Map([...renderOnVpp({ ...state, local: localRow() }, [])].map(({ key, value }) => [key, value]));
  const list = items.get("vpp/acl/egress-2-4") as AclValue;
  expect(list.rules.map(({ action, src, dst }) => `${action} ${src} ${dst}`)).toEqual([
    "deny 0.0.0.0/0 10.244.0.0/16",
    "deny 0.0.0.0/0 192.168.0.2/32",
    "permit 10.244.1.2/32 0.0.0.0/0",
  ]);
  const policy = 0x9000_0004;
  expect(items.get(`vpp/abf-policy/${policy}`)).toMatchObject({ paths: [{ interface: "bvi", gateway: "10.244.2.1" }] });
  expect(items.get("linux/nft/element/egress_open4/10.244.1.2")).toMatchObject({
    requires: ["vpp/acl/egress-2-4", `vpp/abf-policy/${policy}`, `vpp/abf-attachment/host/${policy}`],
  });
  expect(items.has("vpp/abf-attachment/bvi/12")).toBe(true);
  expect([...items.keys()].filter((key) => key.startsWith("vpp/abf-attachment/segment-in"))).toEqual([]);
  const plain = [...renderOnVpp({ ...state, local: localRow({ masquerade: false }) }, [])].map(({ key }) => key);
  expect(plain).toContain("vpp/abf-attachment/segment-in/14");
});
