import { afterAll, beforeEach, describe, expect, it } from "vitest";
import type { Snapshot } from "../../../src/lab/demo/snapshot.ts";
import { type TestPod, whyNoNetns } from "../../support/agent-node.ts";
import { everyKind, RestartNode } from "../../support/restart-node.ts";
import { asTable, cases, REPAIR, START } from "../../support/restart-points.ts";
import { changesSince, wholeState } from "../../support/restart-state.ts";

const why = whyNoNetns();

describe.skipIf(why !== undefined)(`kill -9 at fault points of a start${why ? ` (skipped: ${why})` : ""}`, () => {
  let node: RestartNode;
  let kept: TestPod;
  let broken: TestPod;
  let reference: Snapshot;
  /** A test that fails leaves a node that cannot be compared with any more. */
  let fresh = false;

  beforeEach(async () => {
    if (!fresh) {
      await node?.close();
      node = await RestartNode.start();
      [kept, broken] = [await node.node.pod(), await node.node.pod()];
      await kept.add(everyKind(8001));
      await broken.add(everyKind(8002));
      await node.serve(kept);
      await node.serve(broken);
      reference = await wholeState(node.node, [kept, broken]);
    }
    fresh = false;
  });
  afterAll(() => node?.close());

  /** To be called while no agent is there. */
  const damage = async (): Promise<void> => {
    const ifb = `hdi${broken.hostIf().slice(2, 14)}`;
    for (const link of [broken.hostIf(), ifb]) await node.node.exec("ip", "link", "del", link);
    await node.node.exec("nft", "delete", "table", "inet", "hd");
    const end = ["peer", "name", "left", "netns", node.node.outside];
    await node.node.exec("ip", "link", "add", "hd0123456789abc", "type", "veth", ...end);
  };

  const asBefore = async (): Promise<void> => {
    expect(await changesSince(reference, node.node, [kept, broken])).toEqual([]);
    expect(await node.unreachable(kept, 8001)).toEqual([]);
    expect(await node.unreachable(broken, 8002)).toEqual([]);
    fresh = true;
  };

  it("that finds much to repair are where the table says", async () => {
    await node.stopAgent();
    await damage();
    const passed = await node.traceAgent();
    expect(asTable(passed())).toEqual(REPAIR);
    await asBefore();
  });

  it.each(cases(START))(
    "that finds nothing wrong and dies at $point: the next makes up for it",
    async ({ point, nth }) => {
      await node.stopAgent();
      expect(await node.startToDeath(`${point}:${nth}`)).toBe("SIGKILL");
      expect(await node.unreachable(kept, 8001)).toEqual([]);
      await node.startAgent();
      await asBefore();
    },
  );

  it.each(cases(REPAIR))(
    "that repairs and dies at $point ($nth): the next repairs the rest",
    async ({ point, nth }) => {
      await node.stopAgent();
      await damage();
      expect(await node.startToDeath(`${point}:${nth}`)).toBe("SIGKILL");
      await node.startAgent();
      await asBefore();
    },
  );
});
