import { beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "../../../src/base/clock/clock.ts";
import { silentLog } from "../../../src/infra/log/log.ts";
import { nodeIdKey } from "../../../src/models/node.ts";
import { NodeRegistry } from "../../../src/nodes/registry.ts";
import { MemoryStore, MemoryStoreData } from "../../support/memory-store.ts";

const limit = { maxId: 10, limitedBy: "network.pools[0]" };
const LATE = "n7";

describe("a claim by a node that had an ID before", () => {
  let data: MemoryStoreData;
  let registry: NodeRegistry;

  beforeEach(() => {
    data = new MemoryStoreData();
    registry = new NodeRegistry({ store: new MemoryStore(data), clock: systemClock, log: silentLog, limit });
  });

  it("gets that one, and not the smallest, from a store that has lost its data", async () => {
    expect(await registry.claim(LATE, { id: 7 })).toBe(7);
    expect(await registry.claim("n1")).toBe(1);
    expect(await registry.claim(LATE)).toBe(7);
  });

  it("gets the one that the store tells, if it tells one", async () => {
    expect(await registry.claim(LATE)).toBe(1);
    expect(await registry.claim(LATE, { id: 7 })).toBe(1);
    expect(data.entries.has(nodeIdKey(7))).toBe(false);
  });

  it("is refused when another node has it by now, and takes no other", async () => {
    await registry.claim("early");
    const { writes } = data;
    await expect(registry.claim(LATE, { id: 1 })).rejects.toMatchObject({
      code: "ID_CONFLICT",
      message: expect.stringContaining("early"),
    });
    expect(data.writes).toBe(writes);
  });
});
