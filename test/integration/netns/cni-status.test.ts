import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AgentNode, whyNoNetns } from "../../support/agent-node.ts";

const why = whyNoNetns();
const silent = { exitCode: 0, result: undefined, error: undefined, stderr: "" };

describe.skipIf(why !== undefined)(`STATUS${why ? ` (skipped: ${why})` : ""}`, () => {
  let node: AgentNode;

  beforeAll(async () => {
    // A /30 without its network, gateway and broadcast addresses: room for one pod.
    node = await AgentNode.start({ network: { podCIDRs: ["10.99.0.0/30", "fd99::/120"] } });
  });

  afterAll(() => node?.close());

  it("succeeds when an ADD would", async () => {
    expect(await node.cni("STATUS")).toEqual(silent);
    await node.removePod(await node.wiredPod());
    expect(await node.cni("STATUS")).toEqual(silent);
  });

  it("fails with 50 when no address is left; the other operations go on", async () => {
    const [pod, another] = [await node.wiredPod(), await node.pod()];
    expect(await node.cni("STATUS")).toMatchObject({
      exitCode: 1,
      error: { code: 50, msg: "this node cannot add pods now", details: expect.stringContaining("10.99.0.0/30") },
    });
    const before = await node.snapshot();
    expect(await another.call("ADD")).toMatchObject({
      exitCode: 1,
      error: { code: 103, msg: "no address for the pod", details: expect.stringContaining("10.99.0.0/30") },
    });
    expect(await node.differencesTo(before)).toEqual([]);
    expect(await pod.check()).toEqual(silent);
    await node.removePod(pod);
    expect(await node.cni("STATUS")).toEqual(silent);
    await another.add();
    await node.removePod(another);
  });

  it("answers a request for status in a version that has none with code 1", async () => {
    const answer = await node.cni("STATUS", { conf: { cniVersion: "1.0.0" } });
    expect(answer).toMatchObject({ exitCode: 1, error: { cniVersion: "1.0.0", code: 1 } });
  });
});
