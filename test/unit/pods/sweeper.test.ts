import { describe, expect, it } from "vitest";
import { seconds } from "../../../src/base/clock/clock.ts";
import { ManualClock } from "../../../src/base/clock/manual-clock.ts";
import { HeddleError } from "../../../src/base/errors/errors.ts";
import { isLostSandboxes } from "../../../src/pods/jobs.ts";
import { SandboxSweeper } from "../../../src/pods/sweeper.ts";
import { FakeQueue, turns } from "../../support/controller/fakes.ts";
import { PodsRig } from "../../support/pods/pods-rig.ts";

async function setUp(...ids: string[]) {
  const rig = new PodsRig();
  for (const id of ids) {
    await rig.run("ADD", { id });
    rig.wiring.namespaces.set(`/run/netns/${id}`, `ns-${id}`);
  }
  const queue = new FakeQueue();
  const sweeper = new SandboxSweeper({ pods: rig.pods, wiring: rig.wiring, queue, period: seconds(60) });
  const lost = () => queue.pushed.splice(0).flatMap((e) => (isLostSandboxes(e) ? e.lost.map((l) => l.id) : []));
  return { rig, sweeper, lost, namespaces: rig.wiring.namespaces };
}

describe("the sweeper", () => {
  it("leaves alone what has its namespace", async () => {
    const { sweeper, lost } = await setUp("c1", "c2");
    for (let i = 0; i < 3; i++) await sweeper.sweep();
    expect(lost()).toEqual([]);
  });

  it.each([
    ["nothing is at its path", undefined],
    ["another namespace is at its path", "another"],
    ["something else is at its path", new HeddleError("NOT_A_NETNS", "a file")],
  ])("reports a sandbox that is missed twice in a row because %s", async (_what, found) => {
    const { sweeper, lost, namespaces } = await setUp("c1", "c2");
    if (found === undefined) namespaces.delete("/run/netns/c1");
    else namespaces.set("/run/netns/c1", found);
    await sweeper.sweep();
    expect(lost()).toEqual([]);
    await sweeper.sweep();
    expect(lost()).toEqual(["c1/eth0"]);
  });

  it("forgets a suspicion when the namespace is there again", async () => {
    const { sweeper, lost, namespaces } = await setUp("c1");
    namespaces.delete("/run/netns/c1");
    await sweeper.sweep();
    namespaces.set("/run/netns/c1", "ns-c1");
    await sweeper.sweep();
    namespaces.delete("/run/netns/c1");
    await sweeper.sweep();
    expect(lost()).toEqual([]);
  });

  it("suspects nobody because it could not look", async () => {
    const { sweeper, lost, namespaces } = await setUp("c1");
    namespaces.set("/run/netns/c1", Object.assign(new Error("too many open files"), { code: "EMFILE" }));
    for (let i = 0; i < 3; i++) await sweeper.sweep();
    expect(lost()).toEqual([]);
  });

  it("gives one that was added anew in between another two looks", async () => {
    const { rig, sweeper, lost } = await setUp("c1");
    rig.wiring.namespaces.set("/run/netns/c1", "second");
    await sweeper.sweep();
    await rig.run("ADD", { id: "c1", netnsId: "third" });
    await sweeper.sweep();
    expect(lost()).toEqual([]);
    await sweeper.sweep();
    expect(lost()).toEqual(["c1/eth0"]);
  });

  it("looks at once and then once a period, until it is told to end", async () => {
    const { rig, sweeper, lost } = await setUp("c1");
    rig.wiring.namespaces.clear();
    const clock = new ManualClock();
    const end = new AbortController();
    const running = sweeper.run(clock, end.signal).catch((e: unknown) => e);
    await turns();
    expect(lost()).toEqual([]);
    await clock.advanceAsync(seconds(60));
    await turns();
    expect(lost()).toEqual(["c1/eth0"]);
    end.abort("closing");
    expect(await running).toBe("closing");
    expect(clock.pending).toBe(0);
  });
});
