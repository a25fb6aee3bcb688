import assert from "node:assert/strict";
import * as fc from "fast-check";
import { expect, it } from "vitest";
import { type Clock, systemClock } from "../../src/base/clock/clock.ts";
import { parseIp } from "../../src/base/ip/address.ts";
import { silentLog } from "../../src/infra/log/log.ts";
import {
  decodeNodeId,
  decodeNodeInfo,
  decodeNodeName,
  NODE_IDS_PREFIX,
  NODE_INFO_PREFIX,
  NODE_NAMES_PREFIX,
  NODES_PREFIX,
} from "../../src/models/node.ts";
import { NodesError, vtepMacOf } from "../../src/nodes/api.ts";
import { NodeRegistry } from "../../src/nodes/registry.ts";
import { StoreError } from "../../src/stores/api/store.ts";
import { MemoryStore, MemoryStoreData } from "../support/memory-store.ts";

/** Pauses between attempts end at once; the interleaving is fast-check's to choose. */
const clock: Clock = {
  ...systemClock,
  schedule(_delay, callback) {
    queueMicrotask(callback);
    return { cancel: () => {} };
  },
};

const MAX_ID = 4;
const LIMIT = { maxId: MAX_ID, limitedBy: "network.pools[0]" };

type Act =
  | { readonly do: "claim"; readonly uid: string | undefined }
  | { readonly do: "publish" }
  | { readonly do: "reconcile"; readonly gone: readonly string[] }
  | { readonly do: "release" };

const names = ["a", "b", "c", "d", "e"] as const;
const act: fc.Arbitrary<Act> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant("claim" as const), uid: fc.constantFrom("u1", "u2", undefined) }),
  },
  { weight: 2, arbitrary: fc.constant({ do: "publish" as const }) },
  { weight: 2, arbitrary: fc.constant({ do: "release" as const }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("reconcile" as const), gone: fc.subarray([...names]) }) },
);
/** What each of the agents does, one thing after the other; two of them may be agents of one node. */
const agents = fc.array(
  fc.record({ name: fc.constantFrom(...names), acts: fc.array(act, { minLength: 1, maxLength: 4 }) }),
  {
    minLength: 2,
    maxLength: 6,
  },
);

/** Who has which ID by the ID records, after checking that these, the name records and the infos agree. */
function holders(data: MemoryStoreData): Map<number, string> {
  const byId = new Map(
    data
      .list(NODE_IDS_PREFIX)
      .map((e) => [Number(e.key.slice(NODE_IDS_PREFIX.length)), decodeNodeId(e.key, e.value).name]),
  );
  const byName = data
    .list(NODE_NAMES_PREFIX)
    .map((e) => [decodeNodeName(e.key, e.value).id, e.key.slice(NODE_NAMES_PREFIX.length)] as const);
  expect(new Map(byName)).toEqual(byId);
  expect(byName).toHaveLength(byId.size);
  for (const e of data.list(NODE_INFO_PREFIX)) {
    const { id, name } = decodeNodeInfo(e.key, e.value);
    expect(byId.get(id)).toBe(name); // no info outlives its claim
  }
  return byId;
}

/** An agent's steps, one after the other. What can go wrong in a busy cluster may; nothing else. */
async function runAgent(registry: NodeRegistry, name: string, acts: readonly Act[]): Promise<void> {
  let id: number | undefined;
  for (const a of acts) {
    try {
      if (a.do === "claim") {
        id = await registry.claim(name, a.uid === undefined ? {} : { uid: a.uid });
        assert.ok(id >= 1 && id <= MAX_ID, `ID ${id}`);
      } else if (a.do === "publish" && id !== undefined) {
        const underlayIps = [parseIp("192.0.2.1")];
        await registry.publish({
          name,
          id,
          underlayIps,
          podCIDRs: [],
          vtepMac: vtepMacOf(id),
          overlay: "none",
          version: "",
        });
      } else if (a.do === "release") {
        await registry.release(name);
      } else if (a.do === "reconcile") {
        await registry.reconcile(() => names.filter((n) => !a.gone.includes(n)));
      }
    } catch (e) {
      const code = e instanceof NodesError || e instanceof StoreError ? e.code : undefined;
      if (code !== "IDS_EXHAUSTED" && code !== "NOT_CLAIMED" && code !== "UNAVAILABLE") throw e;
    }
  }
}

it("never gives two nodes one ID or one node two, in any interleaving, with answers lost on the way", async () => {
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), agents, fc.infiniteStream(fc.nat(19)), async (s, plans, luck) => {
      const data = new MemoryStoreData();
      const hooks = {
        before: (op: string, client: string) => s.schedule(Promise.resolve(), `${client} ${op}`),
        after: async (op: string, client: string) => {
          holders(data); // no transaction, not even half a one, breaks the bijection
          await s.schedule(Promise.resolve(), `${client} ${op} answered`);
          if (luck.next().value === 0) throw new StoreError("UNAVAILABLE", "the answer was lost");
        },
      };
      const random = () => (luck.next().value ?? 0) / 20;
      const running = plans.map(({ name, acts }, i) => {
        const store = new MemoryStore(data, hooks, `${name}${i}`);
        return runAgent(new NodeRegistry({ store, clock, log: silentLog, limit: LIMIT, random }), name, acts);
      });
      await s.waitFor(Promise.all(running));
      holders(data);

      // Whatever happened: when the nodes are gone, every ID is free again, for as many nodes as there are IDs.
      const registry = new NodeRegistry({
        store: new MemoryStore(data),
        clock,
        log: silentLog,
        limit: LIMIT,
        random: () => 0,
      });
      await registry.reconcile(() => []);
      expect(data.list(NODES_PREFIX)).toEqual([]);
      for (let id = 1; id <= MAX_ID; id++) expect(await registry.claim(`new${id}`)).toBe(id);
    }),
    { numRuns: 150 },
  );
});

it("lets as many nodes join at once as there are IDs, each with its own", async () => {
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), fc.integer({ min: 2, max: 12 }), async (s, count) => {
      const data = new MemoryStoreData();
      const limit = { maxId: count, limitedBy: "network.pools[0]" };
      const claims = Array.from({ length: count }, (_, i) => {
        const before = (op: string) => s.schedule(Promise.resolve(), `n${i} ${op}`);
        const store = new MemoryStore(data, { before });
        return new NodeRegistry({ store, clock, log: silentLog, limit }).claim(`n${i}`);
      });
      const ids = await s.waitFor(Promise.all(claims));
      expect(ids.toSorted((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, i) => i + 1));
      expect([...holders(data)].map(([id, name]) => ids[Number(name.slice(1))] === id)).not.toContain(false);
    }),
    { numRuns: 60 },
  );
});
