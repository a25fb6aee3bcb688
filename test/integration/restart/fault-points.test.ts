import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { FAULT_POINTS, type FaultPoint } from "../../../src/base/faults/fault-point.ts";
import type { Snapshot } from "../../../src/lab/demo/snapshot.ts";
import { type TestPod, whyNoNetns } from "../../support/agent-node.ts";
import { everyKind, RestartNode } from "../../support/restart-node.ts";
import { changesSince, wholeState } from "../../support/restart-state.ts";

const why = whyNoNetns();
const all = process.env["HEDDLE_TEST_ALL"] === "1";

/** How often each fault point is passed. A new await that nothing passes shows here as a 0 that somebody has to write. */
type Passes = Readonly<Record<FaultPoint, number>>;

/** A start that finds nothing wrong: one resync. */
const START: Passes = {
  "cni.received": 0,
  "cni.identified": 0,
  "loop.taken": 1,
  "loop.planned": 1,
  "loop.remembered": 0,
  "loop.applied": 1,
  "loop.committed": 1,
  "cni.settled": 0,
  "link.opened": 0,
  "link.created": 0,
  "link.up": 0,
  "link.grouped": 0,
  "link.gone": 0,
  "ifb.created": 0,
  "l3.done": 0,
  "carrier.up": 0,
  "shaper.done": 0,
  "redirect.half": 0,
  "nft.done": 0,
};

/** ADD of a dual-stack pod with a host port and both directions shaped: 2 × (address, gateway, 2 routes, neighbour). */
const ADD: Passes = {
  "cni.received": 1,
  "cni.identified": 1,
  "loop.taken": 1,
  "loop.planned": 1,
  "loop.remembered": 1,
  "loop.applied": 1,
  "loop.committed": 1,
  "cni.settled": 1,
  "link.opened": 1,
  "link.created": 1,
  "link.up": 1,
  "link.grouped": 0,
  "link.gone": 0,
  "ifb.created": 1,
  "l3.done": 10,
  "carrier.up": 1,
  "shaper.done": 2,
  "redirect.half": 1,
  "nft.done": 1,
};

/** DEL of it: routes and the like go with their link; veth and IFB are two links, one after the other. */
const DEL: Passes = {
  ...START,
  "cni.received": 1,
  "cni.identified": 1,
  "loop.remembered": 1,
  "cni.settled": 1,
  "link.gone": 2,
  "nft.done": 1,
};

/** A start after somebody took away a pod's links and our table, and left a link of a pod that nobody knows. */
const REPAIR: Passes = {
  ...START,
  "link.opened": 1,
  "link.created": 1,
  "link.up": 1,
  "link.gone": 1,
  "ifb.created": 1,
  "l3.done": 10,
  "carrier.up": 1,
  "shaper.done": 2,
  "redirect.half": 1,
  "nft.done": 1,
};

interface Case {
  readonly point: FaultPoint;
  readonly nth: number;
}

/** First and last time that each point is passed; every time in the big run. */
function cases(passes: Passes): Case[] {
  return FAULT_POINTS.flatMap((point) => {
    const count = passes[point];
    const times = all ? Array.from({ length: count }, (_, i) => i + 1) : count > 1 ? [1, count] : count === 1 ? [1] : [];
    return times.map((nth) => ({ point, nth }));
  });
}

/** Where to arm so that the agent dies in the operation, not already in the resync of its start. */
const armed = ({ point, nth }: Case): string => `${point}:${START[point] + nth}`;

const neverPassed = (passes: Passes): string => FAULT_POINTS.filter((point) => passes[point] === 0).join(", ");

describe.skipIf(why !== undefined)(`kill -9 at fault points${why ? ` (skipped: ${why})` : ""}`, () => {
  let node: RestartNode;
  let kept: TestPod;
  let reference: Snapshot;
  /** A test that fails leaves a node that cannot be compared with any more. */
  let fresh = false;

  async function build(): Promise<void> {
    await node?.close();
    node = await RestartNode.start();
    kept = await node.node.pod();
    await kept.add(everyKind(8001));
    await node.serve(kept);
    reference = await wholeState(node.node, [kept]);
    fresh = true;
  }

  const asBefore = async (): Promise<void> => {
    expect(await changesSince(reference, node.node, [kept])).toEqual([]);
    expect(await node.unreachable(kept, 8001)).toEqual([]);
  };

  beforeAll(build);
  beforeEach(async () => {
    if (!fresh) await build();
    fresh = false;
  });
  afterAll(() => node?.close());

  it("are where the tables say: none is passed without being listed, none is listed without being passed", async () => {
    const passed = await node.traceAgent();
    const table = () => {
      const counts = passed();
      return Object.fromEntries(FAULT_POINTS.map((point) => [point, counts.get(point) ?? 0]));
    };
    expect(table()).toEqual(START);
    const pod = await node.node.pod();
    await pod.add(everyKind(8002));
    expect(table()).toEqual(ADD);
    await node.remove(pod);
    expect(table()).toEqual(DEL);
    console.log(`never passed by ADD: ${neverPassed(ADD)}`);
    console.log(`never passed by DEL: ${neverPassed(DEL)}`);
    await asBefore();
    fresh = true;
  });

  it.each(cases(ADD))("ADD fails with 11 at $point ($nth), and DEL takes back all of it", async (at) => {
    await node.stopAgent();
    await node.startAgent(armed(at));
    const pod = await node.node.pod();
    const answer = await pod.call("ADD", everyKind(8002));
    expect(await node.ended()).toBe("SIGKILL");
    expect(answer).toMatchObject({ exitCode: 1, error: { code: 11 } });
    expect(await node.unreachable(kept, 8001)).toEqual([]);
    await node.startAgent();
    expect(await node.unreachable(kept, 8001)).toEqual([]);
    expect((await pod.call("DEL")).exitCode).toBe(0);
    await node.node.deleteNetns(pod.netns);
    await asBefore();
    fresh = true;
  });

  it.each(cases(DEL))("DEL is not answered at $point ($nth), and a second one finishes it", async (at) => {
    const pod = await node.node.pod();
    await pod.add(everyKind(8002));
    await node.serve(pod);
    expect(await node.unreachable(pod, 8002)).toEqual([]);
    await node.unserve(pod);
    await node.stopAgent();
    await node.startAgent(armed(at));
    const answer = await pod.call("DEL");
    expect(await node.ended()).toBe("SIGKILL");
    expect(answer).toMatchObject({ exitCode: 1, error: { code: 11 } });
    expect(await node.unreachable(kept, 8001)).toEqual([]);
    await node.startAgent();
    expect((await pod.call("DEL")).exitCode).toBe(0);
    await node.node.deleteNetns(pod.netns);
    await asBefore();
    expect((await pod.call("DEL")).exitCode).toBe(0);
    fresh = true;
  });

  it("two DELs at once, when their links were put into one group and not yet removed, are finished later", async () => {
    const pods = [await node.node.pod(), await node.node.pod()];
    for (const pod of pods) await pod.add();
    await node.stopAgent();
    await node.startAgent("link.grouped");
    // They share a transaction if the second arrives before the first is taken; the runtime repeats until they do.
    const answers = await Promise.all(pods.map((pod) => pod.call("DEL")));
    if (node.running) {
      // They were handled one after the other: nothing was grouped, and both were done.
      expect(answers.map((a) => a.exitCode)).toEqual([0, 0]);
    } else {
      await node.startAgent();
    }
    for (const pod of pods) await node.remove(pod);
    await asBefore();
    fresh = true;
  });

  it.each(cases(START))("a start that dies at $point ($nth) is made up for by the next", async ({ point, nth }) => {
    await node.stopAgent();
    expect(await node.startToDeath(`${point}:${nth}`)).toBe("SIGKILL");
    expect(await node.unreachable(kept, 8001)).toEqual([]);
    await node.startAgent();
    await asBefore();
    fresh = true;
  });

  describe("in a resync that repairs", () => {
    let broken: TestPod;

    /** While no agent is there. */
    const damage = async (): Promise<void> => {
      const { netns } = node.node;
      const ifb = `hdi${broken.hostIf().slice(2, 14)}`;
      for (const link of [broken.hostIf(), ifb]) await node.node.exec("ip", "link", "del", link);
      await node.node.exec("nft", "delete", "table", "inet", "hd");
      await node.node.exec("ip", "link", "add", "hd0123456789abc", "type", "veth", "peer", "name", "left");
      expect(netns).toBe(node.node.netns);
    };

    async function buildBroken(): Promise<void> {
      await build();
      broken = await node.node.pod();
      await broken.add(everyKind(8003));
      await node.serve(broken);
    }

    const repaired = async (before: Snapshot): Promise<void> => {
      expect(await changesSince(before, node.node, [kept, broken])).toEqual([]);
      expect(await node.unreachable(kept, 8001)).toEqual([]);
      expect(await node.unreachable(broken, 8003)).toEqual([]);
    };
    let before: Snapshot;

    beforeAll(async () => {
      await buildBroken();
      before = await wholeState(node.node, [kept, broken]);
    });
    afterAll(() => {
      fresh = false;
    });

    it("the points are where the table says", async () => {
      await node.stopAgent();
      await damage();
      const passed = await node.traceAgent();
      const counts = passed();
      expect(Object.fromEntries(FAULT_POINTS.map((point) => [point, counts.get(point) ?? 0]))).toEqual(REPAIR);
      await repaired(before);
      fresh = true;
    });

    it.each(cases(REPAIR))("dying at $point ($nth) leaves the rest to the next start", async ({ point, nth }) => {
      await node.stopAgent();
      await damage();
      expect(await node.startToDeath(`${point}:${nth}`)).toBe("SIGKILL");
      await node.startAgent();
      await repaired(before);
      fresh = true;
    });
  });
});
