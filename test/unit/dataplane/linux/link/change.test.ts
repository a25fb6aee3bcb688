import { describe, expect, it } from "vitest";
import { canChange, changeLink } from "../../../../../src/dataplane/linux/link/change.ts";
import { Namespaces, type NetlinkSocket } from "../../../../../src/dataplane/linux/namespace/namespaces.ts";
import type { IfbValue, VethValue, VxlanValue } from "../../../../../src/models/linux.ts";

const veth: VethValue = {
  kind: "veth",
  name: "hd1",
  mac: "02:68:65:64:64:6c",
  mtu: 1450,
  state: "up",
  pod: { netns: "/run/netns/p", netnsId: "4:1", ifName: "eth0", mac: "02:00:00:00:00:01", mtu: 1450 },
};
const vxlan: VxlanValue = {
  kind: "vxlan",
  name: "hdvxlan",
  vni: 4096,
  port: 4789,
  mac: "12:2b:00:00:00:01",
  mtu: 1450,
  local: "192.168.0.1",
  state: "up",
};
const ifb: IfbValue = { kind: "ifb", name: "hdi1", mtu: 1450, state: "up" };
const metadata = { nodeIndex: 3, pod: { netns: "/run/netns/p", index: 2 } };

/** Writes down what is asked of it. */
class Asked implements NetlinkSocket {
  readonly #where: string;
  readonly #words: string[];

  constructor(where: string, words: string[]) {
    this.#where = where;
    this.#words = words;
  }

  request<T>(request: { readonly words: string }): Promise<T> {
    this.#words.push(`${this.#where}: ${request.words}`);
    return Promise.resolve(undefined as T);
  }

  dump<T>(): Promise<T[]> {
    return Promise.resolve([]);
  }

  close(): void {}
}

async function change(...[before, after]: Parameters<typeof canChange>): Promise<string[]> {
  const words: string[] = [];
  const namespaces = new Namespaces(new Asked("node", words), (netns) => Promise.resolve(new Asked(netns, words)));
  await changeLink(namespaces, before, after, metadata);
  return words;
}

describe("a link", () => {
  it("is changed as it stands where attributes differ, and made anew where it is another one", () => {
    for (const link of [veth, vxlan, ifb]) {
      expect(canChange({ ...link, mtu: 1300, state: "down" }, link)).toBe(true);
      expect(canChange({ ...link, name: "other" }, link)).toBe(false);
    }
    expect(canChange({ ...veth, pod: { ...veth.pod, mac: "02:00:00:00:00:99" } }, veth)).toBe(true);
    expect(canChange({ ...veth, pod: { ...veth.pod, netnsId: "" } }, veth)).toBe(false);
    expect(canChange({ ...veth, pod: { ...veth.pod, ifName: "eth1" } }, veth)).toBe(false);
    expect(canChange({ ...vxlan, vni: 1 }, vxlan)).toBe(false);
    expect(canChange({ ...vxlan, port: 8472 }, vxlan)).toBe(false);
    expect(canChange({ ...vxlan, local: "192.168.0.9" }, vxlan)).toBe(false);
    expect(canChange({ kind: "foreign", name: "hdi1" }, ifb)).toBe(false);
  });

  it("gets what differs, at the end where it differs, and nothing else", async () => {
    expect(await change({ ...vxlan, mtu: 1300 }, vxlan)).toEqual(["node: change link 3: mtu 1450"]);
    expect(await change({ ...vxlan, mac: "02:00:00:00:00:09" }, vxlan)).toEqual([
      "node: change link 3: address 12:2b:00:00:00:01",
    ]);
    expect(await change({ ...veth, mtu: 1300 }, veth)).toEqual(["node: change link 3: mtu 1450"]);
    expect(await change({ ...veth, pod: { ...veth.pod, mac: "02:00:00:00:00:99" } }, veth)).toEqual([
      "/run/netns/p: change link 2: address 02:00:00:00:00:01",
    ]);
    expect(await change(veth, veth)).toEqual([]);
  });

  it.each([vxlan, ifb])("$kind that is down may be half made, and is set up from the beginning", async (link) => {
    expect(await change({ ...link, state: "down" }, link)).toEqual([
      "node: change link 3: addrGenMode 1",
      "node: change link 3: up",
    ]);
  });

  it("leaves the MTU inside a pod alone", async () => {
    expect(await change({ ...veth, pod: { ...veth.pod, mtu: 1300 } }, veth)).toEqual([]);
  });
});
