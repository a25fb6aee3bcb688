import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Snapshot } from "../../../src/lab/demo/snapshot.ts";
import { type TestPod, whyNoNetns } from "../../support/agent-node.ts";
import { everyKind, RestartNode } from "../../support/restart-node.ts";
import { ADD, asTable, type Case, cases, DEL, neverPassed, START } from "../../support/restart-points.ts";
import { report } from "../../support/restart-report.ts";
import { changesSince, wholeState } from "../../support/restart-state.ts";

const why = whyNoNetns();

/** Where to arm so that the agent dies in the operation, not already in the resync of its start. */
const armed = ({ point, nth }: Case): string => `${point}:${START[point] + nth}`;

describe.skipIf(why !== undefined)(`kill -9 at fault points of ADD and DEL${why ? ` (skipped: ${why})` : ""}`, () => {
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
    expect(asTable(passed())).toEqual(START);
    const pod = await node.node.pod();
    await node.knock(8002);
    await pod.add(everyKind(8002));
    expect(asTable(passed())).toEqual(ADD);
    await node.knock(8002);
    await node.remove(pod);
    expect(asTable(passed())).toEqual(DEL);
    report(`never passed by ADD: ${neverPassed(ADD)}`);
    report(`never passed by DEL: ${neverPassed(DEL)}`);
    await asBefore();
    fresh = true;
  });

  it.each(cases(ADD))("ADD fails with 11 at $point ($nth), and DEL takes back all of it", async (at) => {
    await node.stopAgent();
    await node.startAgent(armed(at));
    const pod = await node.node.pod();
    await node.knock(8002);
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
    await node.knock(8002);
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

  it("DELs at once, of which the agent dies when it has grouped links and not yet removed them, are finished later", async () => {
    // Those that arrive while another is under way share a transaction; that two do is likely, not certain.
    for (let attempt = 0; attempt < 5; attempt++) {
      const pods = await Promise.all([1, 2, 3, 4].map(() => node.node.pod()));
      await Promise.all(pods.map((pod) => pod.add()));
      await node.stopAgent();
      await node.startAgent("link.grouped");
      const answers = await Promise.all(pods.map((pod) => pod.call("DEL")));
      const died = answers.some((answer) => answer.exitCode !== 0);
      if (died) {
        expect(await node.ended()).toBe("SIGKILL");
        await node.startAgent();
      }
      for (const pod of pods) await node.remove(pod);
      await asBefore();
      if (died) {
        fresh = true;
        return;
      }
    }
    expect.fail("no two links were ever removed together");
  });
});
