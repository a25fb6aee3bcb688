import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseIp } from "../../../src/base/ip/address.ts";
import { encodeNodeInfo, type NodeInfo, nodeIdKey, nodeInfoKey, nodeNameKey } from "../../../src/models/node.ts";
import { vtepMacOf } from "../../../src/nodes/api.ts";
import { EmbeddedStore } from "../../../src/stores/embedded/embedded-store.ts";
import { type EmbeddedServer, serveEmbedded } from "../../../src/stores/embedded/server.ts";
import { AgentNode, whyNoNetns } from "../../support/agent-node.ts";
import { until } from "../../support/until.ts";

const why = whyNoNetns();
const silent = { exitCode: 0, result: undefined, error: undefined, stderr: "" };

const info = (id: number): NodeInfo => ({
  name: `n${id}`,
  id,
  underlayIps: [parseIp(`192.168.77.${id}`), parseIp(`fd77::${id}`)],
  podCIDRs: [`10.244.${id}.0/24`, `fd10:244:0:${id}::/64`],
  vtepMac: vtepMacOf(id),
  overlay: "vxlan",
  version: "0.1.0",
});
const text = (value: string): Uint8Array => Buffer.from(value);

/** What nobody should have written below our prefix: the key, the value, and what must be said of it. */
const BAD: readonly (readonly [key: string, value: Uint8Array, reason: string])[] = [
  [nodeInfoKey("n5"), text("{"), "the value is not JSON"],
  [nodeInfoKey("n6"), Uint8Array.of(0xff, 0xfe), "the value is not JSON"],
  [nodeInfoKey("n7"), text('{"v":1,"name":"n7"}'), "id: "],
  [nodeInfoKey("n8"), text('{"v":7,"name":"n8"}'), "the value is of version 7, this Heddle knows version 1"],
  [nodeInfoKey("n9"), encodeNodeInfo(info(4)), "the value is about node n4"],
  [nodeIdKey(77), text("seven"), "the value is not JSON"],
  [nodeNameKey("n10"), text('{"v":2}'), "the value is of version 2, this Heddle knows version 1"],
  ["/heddle/nodes/colours/blue", text("{}"), "unknown key"],
  ["/heddle/nodes/ids/007", text('{"v":1,"name":"bond"}'), "unknown key"],
];

describe.skipIf(why !== undefined)(`an agent whose store holds rubbish${why ? ` (skipped: ${why})` : ""}`, () => {
  let dir = "";
  let node: AgentNode;
  let store: EmbeddedStore;
  let server: EmbeddedServer;

  beforeAll(async () => {
    // Served by this process, so that it can write as other nodes and other programs do.
    dir = mkdtempSync(join(tmpdir(), "hd-values-"));
    store = await EmbeddedStore.open({ dir: join(dir, "data") });
    server = await serveEmbedded(store, join(dir, "store.sock"));
    node = await AgentNode.prepare({ config: { store: { kind: "embedded", socket: join(dir, "store.sock") } } });
  });
  afterAll(async () => {
    await node?.close();
    await server?.close();
    await store?.close();
    rmSync(dir, { recursive: true, force: true });
  });

  interface Status {
    readonly peers: readonly { readonly name: string }[];
    readonly ignoredNodes: readonly { readonly name: string; readonly reason: string }[];
  }
  const status = async (): Promise<Status> => JSON.parse((await node.get("/status")).body) as Status;

  const named = [...BAD]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, , reason]) => ({ name: key, reason: expect.stringContaining(`${key}: ${reason}`) as string }));
  const ignored = async () => (await status()).ignoredNodes.toSorted((a, b) => (a.name < b.name ? -1 : 1));

  async function works(): Promise<void> {
    const pod = await node.wiredPod();
    expect(await pod.check()).toEqual(silent);
    expect((await (await node.prober()).probe("icmp", node.netns, pod.ips()[0])).ok).toBe(true);
    await node.removePod(pod);
  }

  it("names each key with what is wrong, starts, joins, and serves pods", async () => {
    for (const [key, value] of BAD) await store.put(key, value);
    await store.put(nodeInfoKey("n2"), encodeNodeInfo(info(2)));
    await store.put(nodeIdKey(2), text('{"v":1,"name":"n2"}'));
    await store.put(nodeNameKey("n2"), text('{"v":1,"id":2}'));
    await node.startAgent();
    expect(await ignored()).toEqual(named);
    expect((await status()).peers.map((peer) => peer.name)).toEqual(["n2"]);
    expect(await node.exec("ip", "route")).toContain("10.244.2.0/24 via 10.244.2.1 dev hdvxlan");
    await works();
  });

  it("says so no longer when it is put right, and says so again at once", async () => {
    await store.put(nodeInfoKey("n5"), encodeNodeInfo(info(5)));
    await store.delete("/heddle/nodes/colours/blue");
    await until("n5 is a peer", async () => (await status()).peers.some((peer) => peer.name === "n5"));
    const left = named.filter(({ name }) => name !== nodeInfoKey("n5") && !name.includes("colours"));
    expect(await ignored()).toEqual(left);
    await store.put(nodeInfoKey("n5"), text("{"));
    await until("n5 is none any more", async () => (await status()).peers.length === 1);
    expect((await ignored()).map(({ name }) => name)).toContain(nodeInfoKey("n5"));
    await works();
  });

  it("leaves what it cannot read as it is", async () => {
    for (const [key, value] of BAD.slice(1, 7)) {
      expect(Buffer.from((await store.get(key))?.value ?? []), key).toEqual(Buffer.from(value));
    }
  });
});
