import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AgentNode, whyNoNetns } from "../../support/agent-node.ts";

const why = whyNoNetns();

describe.skipIf(why !== undefined)(`STATUS${why ? ` (skipped: ${why})` : ""}`, () => {
  let node: AgentNode;

  beforeAll(async () => {
    // Room for two pods: of a /29 the network, gateway and broadcast addresses and those below are not given out.
    node = await AgentNode.start({ network: { podCIDRs: ["10.99.0.0/30", "fd99::/120"] } });
  });

  afterAll(() => node?.close());

  it("succeeds when an ADD would", async () => {
    expect(await node.cni("STATUS")).toEqual({ exitCode: 0, result: undefined, error: undefined, stderr: "" });
    const pod = await node.wiredPod();
    await node.removePod(pod);
    console.log(JSON.stringify(await node.status()), [...await node.snapshot()]);
  });
});
