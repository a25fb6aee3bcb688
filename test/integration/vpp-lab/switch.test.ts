import { spawn } from "node:child_process";
import { once } from "node:events";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { differences, type Snapshot } from "../../../src/lab/demo/snapshot.ts";
import { inNetns, ipJson } from "../../../src/lab/net/ip.ts";
import { ECHO_PORT } from "../../../src/lab/probe/client.ts";
import {
  HOST_LINK,
  HOST_PEER,
  isIfbLink,
  isPodLink,
  SEGMENT_LINK,
  SEGMENT_PEER,
  VXLAN_LINK,
} from "../../../src/models/linux.ts";
import { everyKind } from "../../support/restart-node.ts";
import { report } from "../../support/restart-report.ts";
import { inWords } from "../../support/restart-state.ts";
import { until } from "../../support/until.ts";
import { Flow } from "../../support/vpp/flow.ts";
import { noVppLab, VppLab, vppLabNote } from "../../support/vpp/vpp-lab.ts";

const PODS = ["s/a", "s/b", "s/far"] as const;

/** There and back; and once more: by then, each has followed the other. */
const WAYS = [
  ["vxlan", ["linux", "vpp", "linux", "vpp"]],
  ["none", ["linux", "vpp"]],
] as const;

describe.skipIf(noVppLab).each(WAYS)(`lab switch, overlay %s${vppLabNote}`, (overlay, ways) => {
  let lab: VppLab;
  let flows: Flow[];
  let identities: unknown[];
  /** The node as each dataplane makes it. */
  const asMade = new Map<string, Snapshot>();

  beforeAll(async () => {
    lab = await VppLab.up({ nodes: 2, dataplane: "mixed", overlay });
    await lab.lab.addPod("s/a", "n2");
    await lab.lab.addPod("s/b", "n2", everyKind(8001));
    await lab.lab.addPod("s/far", "n1");
    await until("all reach each other", async () => (await lab.unreachable([...PODS, "n1", "n2"])).length === 0);
    await (await lab.lab.prober()).serve(lab.lab.netnsOf("s/b"), ECHO_PORT);
    identities = await lab.identities(PODS);
    const flow = (to: string, family: 0 | 1) =>
      Flow.open(lab.lab.netnsOf("s/far"), lab.lab.netnsOf(to), lab.lab.pod(to).ips[family] ?? "");
    flows = await Promise.all([flow("s/a", 0), flow("s/a", 1)]);
  });
  afterAll(async () => {
    for (const flow of flows ?? []) await flow[Symbol.asyncDispose]();
    await lab?.close();
  });

  it.each(ways)("to %s keeps pods, and connections between them", async (to) => {
    const requests = await lab.cniRequests("n1");
    const pinged = ping(lab.lab.netnsOf("s/far"), lab.lab.pod("s/a").ips[0] ?? "");
    await lab.lab.switch("n2", to);
    expect((await lab.lab.agentStatus("n2")).dataplane?.name).toBe(to);
    expect(lab.vppPid("n2") !== undefined).toBe(to === "vpp");
    await until("all reach each other", async () => (await lab.unreachable([...PODS, "n1", "n2"])).length === 0);
    for (const flow of flows) await flow.carries();
    const { duplicates, lost } = await pinged.end();
    report(`to ${to}: pods were away for ${lost * PING_MS} ms`);
    expect(duplicates).toBe(0);

    expect(await lab.identities(PODS)).toEqual(identities);
    expect(await lab.cniRequests("n1")).toBe(requests);
    expect(await lab.cniRequests("n2")).toBe(0);
    const prober = await lab.lab.prober();
    for (const nodeIp of lab.lab.node("n2").underlay) {
      const served = () => prober.probe("tcp", lab.lab.netnsOf("outside"), nodeIp, { port: 8001 });
      await until(`the pod's port at ${nodeIp}`, async () => (await served()).ok, 5000);
    }
    const now = await lab.nodes.snapshot("n2");
    const before = asMade.get(to);
    if (before) expect(inWords(differences("n2", before, now))).toEqual([]);
    asMade.set(to, now);
    // Of the other dataplane nothing is left.
    const links = (await ipJson(lab.lab.netnsOf("n2"), ["link", "show"])).map((link) => String(link["ifname"]));
    const made = links.filter((name) => name.startsWith("hd") && !isPodLink(name) && !isIfbLink(name));
    const overlayLinks = overlay === "vxlan" ? [VXLAN_LINK] : [];
    const vppLinks = [HOST_LINK, HOST_PEER, SEGMENT_LINK, SEGMENT_PEER];
    expect(made.toSorted()).toEqual((to === "vpp" ? vppLinks : overlayLinks).toSorted());
  });

  it("refuses what is no node", async () => {
    await expect(lab.lab.switch("n9", "linux")).rejects.toMatchObject({ code: "NOT_FOUND" });
  });
});

const PING_MS = 10;

/** Pings until its end is asked for: what came twice, as two forward, and what did not come. */
function ping(netns: string, address: string) {
  const argv = [...inNetns(netns), "ping", "-n", "-i", String(PING_MS / 1000), address];
  const child = spawn(argv[0] ?? "", argv.slice(1), { stdio: ["ignore", "pipe", "inherit"] });
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
  return {
    async end() {
      const ended = once(child, "exit");
      child.kill("SIGINT");
      await ended;
      const [, sent, received] = /(\d+) packets transmitted, (\d+) received/.exec(text) ?? [];
      return { duplicates: text.split("DUP!").length - 1, lost: Number(sent) - Number(received) };
    },
  };
}
