import { generateKeyPairSync } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { GATEWAY_MAC } from "../../../src/models/linux.ts";
import type { Wire, WireEnd } from "../../../src/models/wire.ts";
import { INTERFACES_ANNOTATION } from "../../../src/pods/cni/interfaces.ts";
import { until } from "../../support/until.ts";
import { sendBulk } from "../../support/vpp/bulk.ts";
import { noVppLab, VppLab, vppLabNote } from "../../support/vpp/vpp-lab.ts";
import { WireLab } from "../../support/vpp/wire-lab.ts";

/** A pod on each node, one the other's only peer on the wire. */
const ENDS = [
  { pod: "t/a", node: "n1", addresses: ["10.9.0.1", "fd09::1"], sid: "fd5d:1::1" },
  { pod: "t/b", node: "n2", addresses: ["10.9.0.2", "fd09::2"], sid: "fd5d:2::1" },
] as const;

const BULK = 2_000_000;

function keyPair() {
  const { publicKey, privateKey } = generateKeyPairSync("x25519");
  const raw = (member: string | undefined): string => Buffer.from(member ?? "", "base64url").toString("base64");
  return {
    publicKey: raw(publicKey.export({ format: "jwk" }).x),
    privateKey: raw(privateKey.export({ format: "jwk" }).d),
  };
}

describe.skipIf(noVppLab)(`wires between nodes${vppLabNote}`, () => {
  let vpp: VppLab;
  let wires: WireLab;

  /** The end on a node, seen from there. */
  type EndOf = (self: (typeof ENDS)[number], other: (typeof ENDS)[number]) => WireEnd;
  const join = async (layer: Wire["layer"], remote: EndOf): Promise<void> => {
    for (const [i, self] of ENDS.entries()) {
      const other = ENDS[1 - i] as (typeof ENDS)[number];
      const local = { pod: self.pod, interface: "wire0", ...(layer === "l3" ? { addresses: self.addresses } : {}) };
      await wires.put(self.node, { name: "w", layer, ends: [local, remote(self, other)] });
    }
    for (const { node } of ENDS) await wires.becomes(node, { w: "in-force" });
  };
  const underlay = (node: string, family: 0 | 1): string => vpp.lab.node(node).underlay[family] ?? "";
  const pings = async (timeoutMs = 1000): Promise<readonly string[]> => {
    const prober = await vpp.lab.prober();
    const from = vpp.lab.netnsOf("t/a");
    const results = await Promise.all(ENDS[1].addresses.map((ip) => prober.probe("icmp", from, ip, { timeoutMs })));
    return results.map((result) => (result.ok ? "ok" : result.error));
  };
  const carries = async (): Promise<void> => {
    await until("packets pass", async () => (await pings()).every((result) => result === "ok"));
    for (const ip of ENDS[1].addresses) {
      expect(await sendBulk(vpp.lab.netnsOf("t/a"), vpp.lab.netnsOf("t/b"), ip, BULK)).toBe(BULK);
    }
  };
  const cut = async (): Promise<void> => {
    for (const { node } of ENDS) await wires.remove(node, "w");
    for (const { node } of ENDS) await wires.becomes(node, {});
    expect(await pings(300)).not.toContain("ok");
  };

  beforeAll(async () => {
    vpp = await VppLab.up({ nodes: 2 });
    wires = new WireLab(vpp);
    for (const [i, { pod, node, addresses }] of ENDS.entries()) {
      await vpp.lab.addPod(pod, node, { annotations: { [INTERFACES_ANNOTATION]: "wire0/veth" } });
      for (const [family, ip] of addresses.entries()) {
        const peer = ENDS[1 - i]?.addresses[family] ?? "";
        const bits = ip.includes(":") ? "128" : "32";
        const run = (...words: string[]) => vpp.lab.exec(pod, ["ip", ...words]);
        await run("address", "add", `${ip}/${bits}`, "dev", "wire0", ...(bits === "128" ? ["nodad"] : []));
        await run("route", "add", `${peer}/${bits}`, "dev", "wire0", "src", ip);
        // On a wire of packets the node is the neighbour that all is sent to; of frames another item is told below.
        await run("neigh", "replace", peer, "lladdr", GATEWAY_MAC, "dev", "wire0", "nud", "permanent");
      }
    }
  });
  afterAll(() => vpp?.close());

  it("carry packets through WireGuard, until they are removed", async () => {
    const keys = { "t/a": keyPair(), "t/b": keyPair() };
    await join("l3", (self, other) => ({
      wireguard: {
        port: 51_820,
        privateKey: keys[self.pod].privateKey,
        publicKey: keys[other.pod].publicKey,
        endpoint: { address: underlay(other.node, 0), port: 51_820 },
      },
    }));
    await carries();
    expect(await vpp.vppctl("n1", "show wireguard peer")).toContain(underlay("n2", 0));
    await cut();
  });

  it("carry frames along segments of IPv6, until they are removed", async () => {
    for (const { pod, addresses } of ENDS) {
      for (const peer of ENDS.filter((end) => end.addresses !== addresses).flatMap((end) => end.addresses)) {
        await vpp.lab.exec(pod, ["ip", "neigh", "del", peer, "dev", "wire0"]);
      }
    }
    // Frames cannot be cut, and nobody tells the pods.
    for (const { pod } of ENDS) await vpp.lab.exec(pod, ["ip", "link", "set", "wire0", "mtu", "1422"]);
    await join("l2", (self, other) => ({
      srv6: { sid: self.sid, segments: [other.sid], via: underlay(other.node, 1) },
    }));
    expect((await wires.status("n1")).map(({ mtu }) => mtu)).toEqual([1422]);
    await carries();
    await cut();
  });
});
