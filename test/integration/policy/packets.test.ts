import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { NETNS_DIR } from "../../../src/lab/net/ip.ts";
import { onEachDataplane } from "../../support/agent-node/dataplanes.ts";
import { janitor } from "../../support/agent-node/janitor.ts";
import { execIn } from "../../support/agent-node.ts";
import { PolicyNode } from "../../support/policy/policy-node.ts";
import { until } from "../../support/until.ts";

const PROGRAM = join(import.meta.dirname, "../../support/policy/datagram-end.ts");
const [ALLOWED, DENIED, CLOSED] = [6300, 6301, 6302];
/** More than fits into two packets. */
const LARGE = 4000;
const FAMILIES = [4, 6] as const;

onEachDataplane("packets that policies do not name", (dataplane) => {
  let node: PolicyNode;
  const servers: ChildProcess[] = [];
  beforeAll(async () => {
    node = await PolicyNode.start({}, dataplane);
    await node.putNamespace("default", {});
    for (const app of ["web", "client", "stranger"]) await node.addPod(app, { labels: { app } });
    for (const port of [ALLOWED, DENIED]) servers.push(await serve(port));
    for (const from of ["client", "stranger"]) {
      for (const family of FAMILIES) await soon(from, family, DENIED, "answered");
    }
  });
  afterAll(async () => {
    for (const server of servers) server.kill();
    await node?.[Symbol.asyncDispose]();
  });

  const argv = (pod: string, ...args: readonly string[]): string[] => [
    `--net=${NETNS_DIR}/${node.pod(pod).netns}`,
    "--",
    process.execPath,
    PROGRAM,
    ...args,
  ];

  async function serve(port: number): Promise<ChildProcess> {
    const server = spawn("nsenter", argv("web", "serve", String(port)), { stdio: ["ignore", "pipe", "inherit"] });
    janitor.process(server);
    server.once("exit", () => janitor.processEnded(server));
    await once(server.stdout, "data");
    return server;
  }

  async function ask(from: string, family: 4 | 6, port: number, bytes = LARGE): Promise<string> {
    const address = node.pod("web").ips()[family === 4 ? 0 : 1] ?? "";
    const { stdout } = await execIn(
      node.pod(from).netns,
      process.execPath,
      PROGRAM,
      "ask",
      address,
      String(port),
      String(bytes),
    );
    return stdout.trim();
  }

  const soon = (from: string, family: 4 | 6, port: number, wanted: string) =>
    until(`${from}: ${wanted}, IPv${family}`, async () => (await ask(from, family, port)) === wanted, 8000);

  it("fragments of a datagram go where its ports may go, and nowhere else, both ways", async () => {
    await node.putPolicy({
      name: "in",
      podSelector: { matchLabels: { app: "web" } },
      ingress: [
        {
          peers: [{ podSelector: { matchLabels: { app: "client" } } }],
          ports: [{ port: ALLOWED, protocol: "UDP" }],
        },
      ],
    });
    for (const family of FAMILIES) {
      await soon("stranger", family, ALLOWED, "silence");
      expect(await ask("client", family, ALLOWED), `IPv${family}`).toBe("answered");
      expect(await ask("client", family, DENIED), `IPv${family}`).toBe("silence");
    }
    await node.deletePolicy("in");
    for (const family of FAMILIES) await soon("stranger", family, ALLOWED, "answered");
  });

  it("an ICMP error about what a pod has sent comes back to it, though nobody may reach it", async () => {
    const client = { matchLabels: { app: "client" } };
    await node.putPolicy({ name: "closed", podSelector: client, policyTypes: ["Ingress"], ingress: [] });
    await until("it is in force", async () => !(await node.probe("stranger", "client")).ok, 8000);
    for (const family of FAMILIES) {
      expect(await ask("client", family, CLOSED, 10), `IPv${family}`).toBe("ECONNREFUSED");
    }
    await node.deletePolicy("closed");
    await until("it is no longer", async () => (await node.probe("stranger", "client")).ok, 8000);
  });

  it("a pod finds its neighbours however little it may do", async () => {
    const podSelector = { matchLabels: { app: "client" } };
    const peers = [{ podSelector: { matchLabels: { app: "web" } } }];
    const ports = [{ port: 7000 }];
    await node.putPolicy({
      name: "narrow",
      podSelector,
      policyTypes: ["Ingress", "Egress"],
      ingress: [],
      egress: [{ peers, ports }],
    });
    await until("it is in force", async () => !(await node.probe("client", "stranger")).ok, 8000);
    await execIn(node.pod("client").netns, "ip", "neigh", "flush", "all");
    for (const family of FAMILIES) {
      expect((await node.probe("client", "web", { family })).ok, `IPv${family}`).toBe(true);
    }
    await node.deletePolicy("narrow");
    await until("it is no longer", async () => (await node.probe("client", "stranger")).ok, 8000);
  });
});
