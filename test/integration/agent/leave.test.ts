import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { systemClock } from "../../../src/base/clock/clock.ts";
import { silentLog } from "../../../src/infra/log/log.ts";
import { snapshotNetwork } from "../../../src/lab/demo/snapshot.ts";
import { NODES_PREFIX } from "../../../src/models/node.ts";
import { NodeRegistry } from "../../../src/nodes/registry.ts";
import { EmbeddedStore } from "../../../src/stores/embedded/embedded-store.ts";
import { type EmbeddedServer, serveEmbedded } from "../../../src/stores/embedded/server.ts";
import { AgentNode, whyNoNetns } from "../../support/agent-node.ts";
import { until } from "../../support/until.ts";

const why = whyNoNetns();

describe.skipIf(why !== undefined)(`a node that leaves the cluster${why ? ` (skipped: ${why})` : ""}`, () => {
  let dir = "";
  let node: AgentNode;
  let store: EmbeddedStore;
  let server: EmbeddedServer;
  let registry: NodeRegistry;

  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), "hd-leave-"));
    store = await EmbeddedStore.open({ dir: join(dir, "data") });
    server = await serveEmbedded(store, join(dir, "store.sock"));
    registry = new NodeRegistry({
      store,
      clock: systemClock,
      log: silentLog,
      limit: { maxId: 255, limitedBy: "10.244.0.0/16" },
    });
    await registry.claim("n0");
    node = await AgentNode.prepare({ config: { store: { kind: "embedded", socket: join(dir, "store.sock") } } });
  });
  afterAll(async () => {
    await node?.close();
    await server?.close();
    await store?.close();
    rmSync(dir, { recursive: true, force: true });
  });

  const records = async () =>
    (await store.list(NODES_PREFIX)).entries.map((entry) => entry.key.replace(NODES_PREFIX, ""));

  it("keeps its ID over a cleanup, and gives it back when it is told to leave: the next one gets it", async () => {
    const before = await snapshotNetwork(node.netns);
    const own = ["ids/2", "info/n1", "names/n1"];
    await node.startAgent();
    await node.wiredPod();
    await until("it is published", async () => (await records()).length === 5);
    await node.agent.end("SIGTERM");
    expect(await node.cleanup()).toMatchObject({ code: 0 });
    expect(await records()).toEqual(expect.arrayContaining(own));
    await node.startAgent();
    expect((await node.status()).pods).toEqual([]);
    await node.agent.end("SIGTERM");
    expect(await node.cleanup("--leave")).toMatchObject({ code: 0 });
    expect(await records()).toEqual(["ids/1", "names/n0"]);
    expect(await snapshotNetwork(node.netns)).toEqual(before);
    expect(await registry.claim("n2")).toBe(2);
    await node.startAgent();
    await until("it has come back, with another ID", async () => (await records()).includes("info/n1"));
    expect(await records()).toContain("ids/3");
  });

  it("is told when the store is away, and nothing is taken down half", async () => {
    const pod = await node.wiredPod();
    await node.agent.end("SIGTERM");
    await server.close();
    const { code, stderr } = await node.cleanup("--leave");
    expect(code).not.toBe(0);
    expect(stderr).toContain(join(dir, "store.sock"));
    expect((await snapshotNetwork(node.netns)).get("link")).toContain(pod.hostIf());
    server = await serveEmbedded(store, join(dir, "store.sock"));
    expect(await node.cleanup("--leave")).toMatchObject({ code: 0 });
    expect(await records()).toEqual(["ids/1", "ids/2", "names/n0", "names/n2"]);
  });
});
