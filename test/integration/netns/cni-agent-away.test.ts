import { existsSync, readFileSync } from "node:fs";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Snapshot } from "../../../src/lab/demo/snapshot.ts";
import { AgentNode, podSnapshot, whyNoNetns } from "../../support/agent-node.ts";
import { kill9 } from "../../support/kill.ts";
import { until } from "../../support/until.ts";

const why = whyNoNetns();
const portMappings = [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }];

describe.skipIf(why !== undefined)(`when the agent is not at hand${why ? ` (skipped: ${why})` : ""}`, () => {
  let node: AgentNode;
  let before: Snapshot;

  beforeAll(async () => {
    node = await AgentNode.start({ config: { scheduler: { opTimeoutSeconds: 30 } } });
  });

  beforeEach(async () => {
    before = await node.snapshot();
  });

  afterEach(() => node.nftGate.open());
  afterAll(() => node?.close());

  /** The agent settles in its own time after a caller has gone. */
  async function nothingLeft(): Promise<void> {
    let differences = await node.differencesTo(before);
    for (let i = 0; i < 50 && differences.length > 0; i++) differences = await node.differencesTo(before);
    expect(differences).toEqual([]);
  }

  /** Connections to the agent that it has not taken yet. */
  function connections(): number {
    const sockets = readFileSync("/proc/net/unix", "utf8").split("\n");
    return sockets.filter((line) => line.endsWith(` ${node.cniSocket}`)).length;
  }

  /** What the agent's loop has handled for a container. */
  async function events(containerId: string): Promise<string[]> {
    const history = JSON.parse((await node.get("/controller/history")).body) as { description: string }[];
    return history.map((event) => event.description).filter((text) => text.includes(containerId.slice(0, 12)));
  }

  it("an agent that was ended is away: code 11, STATUS 50; afterwards all goes on", async () => {
    const pod = await node.wiredPod();
    await node.agent.end("SIGTERM");
    for (const command of ["ADD", "DEL"] as const) {
      const answer = await pod.call(command);
      expect(answer).toMatchObject({ exitCode: 1, error: { code: 11, msg: "the Heddle agent is away" } });
      expect(answer.error?.details).toContain(node.cniSocket);
    }
    expect(await pod.check()).toMatchObject({ exitCode: 1, error: { code: 11 } });
    expect(await node.cni("STATUS")).toMatchObject({ exitCode: 1, error: { code: 50 } });
    await node.startAgent();
    expect((await pod.check()).error).toBeUndefined();
    await node.removePod(pod);
    expect(await node.differencesTo(before)).toEqual([]);
  });

  it("one that was killed leaves its socket behind, which does not look like an agent", async () => {
    await node.agent.end("SIGKILL");
    expect(existsSync(node.cniSocket)).toBe(true);
    expect(await node.cni("STATUS")).toMatchObject({ error: { code: 50, msg: "the Heddle agent is away" } });
    await node.startAgent();
    await node.removePod(await node.wiredPod());
  });

  it("one that hangs is given up after cniTimeoutSeconds; what it was asked meanwhile it does not do later", async () => {
    const pod = await node.pod();
    const inPod = await podSnapshot(pod);
    node.agent.signal("SIGSTOP");
    const start = performance.now();
    const conf = { cniTimeoutSeconds: 0.5 };
    const [add, status] = await Promise.all([pod.call("ADD", { conf }), node.cni("STATUS", { conf })]);
    expect(performance.now() - start).toBeLessThan(5000);
    node.agent.signal("SIGCONT");
    expect(add).toMatchObject({ exitCode: 1, error: { code: 11, msg: "the Heddle agent does not answer" } });
    expect(status).toMatchObject({ exitCode: 1, error: { code: 50, msg: "the Heddle agent does not answer" } });
    await nothingLeft();
    expect(await podSnapshot(pod)).toEqual(inPod);
    await pod.add();
    await node.removePod(pod);
  });

  it("one that dies in the middle of an ADD: code 11; the ADD can be repeated, and a DEL leaves nothing", async () => {
    for (const next of ["ADD", "DEL"] as const) {
      const pod = await node.pod();
      const inPod = await podSnapshot(pod);
      node.nftGate.shut();
      const add = pod.call("ADD", { runtimeConfig: { portMappings } });
      await node.nftGate.held();
      await node.agent.end("SIGKILL");
      expect(await add).toMatchObject({
        exitCode: 1,
        error: { code: 11, msg: "the Heddle agent went away during the operation" },
      });
      node.nftGate.open();
      await node.startAgent();
      if (next === "ADD") {
        await pod.add({ runtimeConfig: { portMappings } });
        expect((await pod.check({ runtimeConfig: { portMappings } })).error).toBeUndefined();
      }
      await pod.del();
      expect(await node.differencesTo(before)).toEqual([]);
      expect(await podSnapshot(pod)).toEqual(inPod);
      await node.deleteNetns(pod.netns);
    }
  });

  it("one that dies in the middle of a DEL: code 11; the DEL can be repeated", async () => {
    const pod = await node.wiredPod({ runtimeConfig: { portMappings } });
    node.nftGate.shut();
    const del = pod.call("DEL");
    await node.nftGate.held();
    await node.agent.end("SIGKILL");
    expect(await del).toMatchObject({ exitCode: 1, error: { code: 11 } });
    node.nftGate.open();
    await node.startAgent();
    await node.removePod(pod);
    expect(await node.differencesTo(before)).toEqual([]);
  });

  it("an ADD whose caller was killed while the agent worked leaves nothing", async () => {
    const pod = await node.pod();
    const inPod = await podSnapshot(pod);
    node.nftGate.shut();
    let pid = 0;
    const add = pod.call("ADD", { runtimeConfig: { portMappings }, onStart: (p) => (pid = p) });
    await node.nftGate.held();
    // It is in the middle: the pod has its link already.
    expect(await node.differencesTo(before)).not.toEqual([]);
    kill9(pid);
    expect(await add).toMatchObject({ exitCode: null, result: undefined });
    node.nftGate.open();
    await nothingLeft();
    expect(await podSnapshot(pod)).toEqual(inPod);
    await pod.add({ runtimeConfig: { portMappings } });
    await node.removePod(pod);
  });

  it("an ADD whose caller was killed at whatever moment leaves nothing after the runtime's DEL", async () => {
    let killed = 0;
    for (let i = 0; i < 12; i++) {
      const pod = await node.pod();
      let ended = false;
      const kill = (pid: number) => setTimeout(() => ended || kill9(pid), i);
      const answer = await pod.call("ADD", { onStart: kill });
      ended = true;
      if (answer.exitCode === null) killed++;
      expect((await pod.call("DEL")).error).toBeUndefined();
      await node.deleteNetns(pod.netns);
    }
    expect(killed).toBeGreaterThan(0);
    await nothingLeft();
  });

  it("the same ADD twice at once is one", async () => {
    const pod = await node.pod();
    // Both are waiting when the agent comes back to its socket.
    node.agent.signal("SIGSTOP");
    const both = [pod.call("ADD"), pod.call("ADD")];
    await until("both have connected", () => connections() === 2);
    node.agent.signal("SIGCONT");
    const [first, second] = await Promise.all(both);
    expect(first?.result).toBeDefined();
    expect(second).toEqual(first);
    expect(await events(pod.containerId)).toHaveLength(1);
    await node.removePod(pod);
    expect(await node.differencesTo(before)).toEqual([]);
  });
});
