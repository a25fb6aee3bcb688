import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { netnsName, newLabId } from "../../../src/lab/names.ts";
import { inNetns, ipJson } from "../../../src/lab/net/ip.ts";
import { underlayPlan } from "../../../src/lab/net/plan.ts";
import { AGENT_REST } from "../../../src/lab/node/agent.ts";
import { ECHO_PORT } from "../../../src/lab/probe/client.ts";
import { execOk } from "../../../src/lab/process/exec.ts";
import { sent } from "../../support/restart-lab.ts";
import { until } from "../../support/until.ts";
import { DhcpServer } from "../../support/vpp/dhcp.ts";
import { noVppLab, VppLab, vppLabNote } from "../../support/vpp/vpp-lab.ts";

const NODES = ["n1", "n2"] as const;
type NodeName = (typeof NODES)[number];
const PODS = { n1: "t/a", n2: "t/b" } as const;
const ROUTER = underlayPlan.router.v4;
const OTHER_ROUTER = "192.168.77.253";
const NAME_SERVER = "192.168.77.53";
const FIRST = { n1: "192.168.77.101", n2: "192.168.77.102" } as const;
/** Half of it passes until a client hears of another one. */
const SECONDS = 6;
const HOST_PORT = 8080;

/** No IPv4 address in the configuration of any node, and none on n1's uplink; n2 has the one that the lab has given it. */
const BY_DHCP = `
for config; do :; done
sed -i '/^ *- 192\\.168\\.77\\./d' "$config"
case "$config" in */n1/*) ip -4 address flush dev eth0 scope global ;; esac
exec "$@"`;

interface Status {
  readonly node: { readonly underlay: readonly string[] };
  readonly dataplane: { readonly dhcp: Readonly<Record<string, unknown>>; readonly warnings: readonly string[] };
  readonly peers: readonly { readonly name: string; readonly underlayIp: string }[];
}

describe.skipIf(noVppLab)(`nodes on VPP with DHCP on the uplink${vppLabNote}`, () => {
  const id = newLabId();
  let lab: VppLab;
  let server: DhcpServer | undefined;

  const give = async (node: NodeName, address: string, router: string = ROUTER): Promise<void> => {
    const [link] = await ipJson(netnsName.node(id, node), ["link", "show", "eth0"]);
    server?.give({ mac: String(link?.["address"]), address, router, nameServer: NAME_SERVER, seconds: SECONDS });
  };
  const serve = async (): Promise<void> => {
    const fabric = inNetns(netnsName.fabric(id));
    await execOk([...fabric, "ip", "route", "add", "255.255.255.255", "dev", "hdbr"]);
    await execOk([...fabric, "ip", "address", "add", `${OTHER_ROUTER}/24`, "dev", "hdbr"]);
    await startServer();
  };
  const startServer = async (): Promise<void> => {
    server = await DhcpServer.start(inNetns(netnsName.fabric(id)), ROUTER);
    for (const node of NODES) await give(node, FIRST[node]);
  };
  const hostAddresses = async (node: NodeName): Promise<string> =>
    JSON.stringify(await ipJson(lab.lab.netnsOf(node), ["-4", "address", "show", "scope", "global"]));
  const metrics = async (node: NodeName): Promise<string> => {
    const prober = await lab.lab.prober();
    return (await prober.get(lab.lab.netnsOf(node), `http://${AGENT_REST}/metrics`)).body;
  };
  const status = (node: NodeName) => lab.nodes.get<Status>(node, "/status");

  /**
   * What does not get through: between pods, and from them to the outside; from everybody to where the nodes are now, and
   * from outside to a pod's port there.
   */
  const lost = async (at: Readonly<Record<NodeName, string>>): Promise<string[]> => {
    const prober = await lab.lab.prober();
    const tries = [
      ...[...Object.values(PODS), ...NODES, "outside"].flatMap((from) =>
        Object.values(at).map((ip) => ({ from, ip, kind: "icmp" as const })),
      ),
      ...NODES.map((from) => ({ from, ip: underlayPlan.outside.v4, kind: "tcp" as const })),
      { from: "outside", ip: at.n1, kind: "tcp" as const, port: HOST_PORT },
    ];
    const results = tries.map(async ({ from, kind, ip, ...rest }) => {
      const { ok } = await prober.probe(kind, lab.lab.netnsOf(from), ip, { timeoutMs: 500, ...rest });
      return ok ? [] : [`${from} > ${ip} (${kind})`];
    });
    return [...(await lab.unreachable(Object.values(PODS), 500)), ...(await Promise.all(results)).flat()];
  };
  const allIsWell = async (what: string, at: Readonly<Record<NodeName, string>>): Promise<void> => {
    let last: readonly string[] = [];
    await until(what, async () => (last = await lost(at)).length === 0).catch((e: unknown) => {
      throw new Error(`lost: ${last.join(", ")}`, { cause: e });
    });
  };

  beforeAll(async () => {
    let serving: Promise<void> | undefined;
    lab = await VppLab.up({
      id,
      nodes: 2,
      wrap: (agent) => ["sh", "-c", BY_DHCP, "agent", ...agent, "--set", "vpp.dhcp.enabled=true"],
      progress: (line) => {
        if (line.startsWith("agents:")) serving = serve();
      },
    });
    await serving;
    const portMappings = [{ hostPort: HOST_PORT, containerPort: ECHO_PORT, protocol: "tcp" }];
    await lab.lab.addPod(PODS.n1, "n1", { runtimeConfig: { portMappings } });
    await lab.lab.addPod(PODS.n2, "n2");
    const prober = await lab.lab.prober();
    for (const target of [PODS.n1, "outside"]) await prober.serve(lab.lab.netnsOf(target));
  });
  afterAll(async () => {
    server?.[Symbol.dispose]();
    await lab?.close();
  });

  it("have the leased addresses, and pods reach each other and the outside", async () => {
    await allIsWell("all reach each other", FIRST);
    const { node, dataplane, peers } = await status("n1");
    expect(node.underlay).toEqual([FIRST.n1, "fd77::1"]);
    expect(dataplane.dhcp).toEqual({
      link: "eth0",
      bound: true,
      address: `${FIRST.n1}/24`,
      router: ROUTER,
      nameServers: [NAME_SERVER],
    });
    expect(peers).toMatchObject([{ name: "n2", underlayIp: FIRST.n2 }]);
  });

  it("send VPP nothing when the agent comes back", async () => {
    for (const graceful of [false, true]) {
      const [pid, restartedAt] = [lab.vppPid("n1"), Date.now()];
      await lab.lab.restart("n1", "agent", { graceful });
      const history = await lab.nodes.history("n1", restartedAt);
      expect(history[0]).toMatchObject({ resync: "full" });
      expect(sent(history)).toEqual([]);
      expect(lab.vppPid("n1")).toBe(pid);
      expect((await status("n1")).node.underlay).toEqual([FIRST.n1, "fd77::1"]);
    }
    await allIsWell("all reach each other", FIRST);
  });

  it("are at another address by another router when the server says so, for everybody", async () => {
    const now = { ...FIRST, n1: "192.168.77.111" };
    await give("n1", now.n1, OTHER_ROUTER);
    await until("the other node knows", async () => (await status("n2")).peers[0]?.underlayIp === now.n1);
    await allIsWell("all reach each other", now);
    expect((await status("n1")).dataplane.dhcp).toMatchObject({ address: `${now.n1}/24`, router: OTHER_ROUTER });
    // Nothing goes by the first one any more.
    expect(await lab.vppctl("n1", "show ip fib 0.0.0.0/0")).toContain(OTHER_ROUTER);
    expect(await hostAddresses("n1")).toContain(now.n1);
    await until("the former address is gone", async () => !(await hostAddresses("n1")).includes(FIRST.n1));
    await allIsWell("all reach each other without it", now);
    expect(await lab.vppctl("n1", "show interface address")).not.toContain(FIRST.n1);
    await give("n1", FIRST.n1);
    await until("it is back", async () => (await status("n2")).peers[0]?.underlayIp === FIRST.n1);
    await allIsWell("all reach each other again", FIRST);
  });

  it("get a lease again when VPP was killed, be it another one", async () => {
    await lab.lab.restart("n1", "vpp");
    await allIsWell("all reach each other", FIRST);
    const now = { ...FIRST, n2: "192.168.77.122" };
    await give("n2", now.n2);
    await lab.lab.restart("n2", "vpp");
    await until("the other node knows", async () => (await status("n1")).peers[0]?.underlayIp === now.n2);
    await allIsWell("all reach each other", now);
    await give("n2", FIRST.n2);
    await until("it is back", async () => (await status("n1")).peers[0]?.underlayIp === FIRST.n2);
  });

  it("start where they are now when the lease changed while the agent was away", async () => {
    const now = { ...FIRST, n1: "192.168.77.133" };
    await lab.nodes.stopAgent("n1");
    await give("n1", now.n1);
    await until("VPP has it", async () => (await lab.vppctl("n1", "show interface address")).includes(now.n1));
    await lab.nodes.startAgent("n1");
    expect((await status("n1")).node.underlay).toContain(now.n1);
    await allIsWell("all reach each other", now);
    await until("the former address is gone", async () => !(await hostAddresses("n1")).includes(FIRST.n1));
    await allIsWell("all reach each other without it", now);
    await give("n1", FIRST.n1);
    await until("it is back", async () => (await status("n2")).peers[0]?.underlayIp === FIRST.n1);
    await allIsWell("all reach each other again", FIRST);
  });

  it("say that they have lost it, and go on with the next one", async () => {
    server?.[Symbol.dispose]();
    const warned = async () => (await status("n1")).dataplane.warnings.join();
    await until("a warning", async () => (await warned()).includes(`no DHCP lease on eth0`));
    expect(await metrics("n1")).toContain('heddle_vpp_dhcp_lease{interface="uplink-eth0"} 0');
    expect((await status("n1")).node.underlay).toEqual([FIRST.n1, "fd77::1"]);
    await startServer();
    await until("no warning", async () => !(await warned()).includes("DHCP"));
    expect(await metrics("n1")).toContain('heddle_vpp_dhcp_lease{interface="uplink-eth0"} 1');
    await allIsWell("all reach each other", FIRST);
  });
});
