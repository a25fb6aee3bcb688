import type { EgressStatus } from "../../../src/egress/api.ts";
import { underlayPlan } from "../../../src/lab/net/plan.ts";
import type { DataplaneChoice, Overlay } from "../../../src/lab/state/state.ts";
import { ServiceLab, TARGET_PORT } from "../services/service-lab.ts";
import { until } from "../until.ts";

const OUTSIDE = { 4: underlayPlan.outside.v4, 6: underlayPlan.outside.v6 } as const;
export const FAMILIES = [4, 6] as const;
export type Family = (typeof FAMILIES)[number];
const ANSWER_MS = 500;

/** Two nodes with a pod of namespace `shop` (`shop/s1`, `shop/s2`) and another one (`a`, `b`) on each. */
export class EgressLab implements AsyncDisposable {
  readonly services: ServiceLab;

  private constructor(services: ServiceLab) {
    this.services = services;
  }

  static async up(dataplane: DataplaneChoice, overlay?: Overlay): Promise<EgressLab> {
    const services = await ServiceLab.up(dataplane, { a: "n1", b: "n2" }, overlay);
    try {
      const { lab } = services.nodes;
      const prober = await lab.prober();
      for (const node of ["n1", "n2"]) {
        const name = `shop/s${node.slice(1)}`;
        await lab.addPod(name, node);
        await prober.serve(lab.netnsOf(name), TARGET_PORT);
      }
      return new EgressLab(services);
    } catch (e) {
      await services[Symbol.asyncDispose]();
      throw e;
    }
  }

  /** What namespace `shop` asks for; nothing if undefined. */
  ask(egressIp: string | undefined): void {
    const annotations = egressIp === undefined ? {} : { annotations: { "heddle.dev/egress-ip": egressIp } };
    this.services.apply({ apiVersion: "v1", kind: "Namespace", metadata: { name: "shop", ...annotations } });
  }

  /** Adds an address to a node's uplink, or takes it away. */
  async address(what: "add" | "del", node: string, ip: string): Promise<void> {
    // The kernel would take a new address of IPv6 for all that the node sends, if it were not deprecated.
    const more = ip.includes(":") && what === "add" ? ["nodad", "preferred_lft", "0"] : [];
    await this.services.exec(node, "ip", "addr", what, `${ip}/${ip.includes(":") ? 64 : 24}`, "dev", "eth0", ...more);
  }

  /** As whom the outside sees a client; or the error. */
  async seen(from: string, family: Family, kind: "tcp" | "udp" = "tcp", sourcePort?: number): Promise<string> {
    const result = await this.services.probe(from, OUTSIDE[family], {
      kind,
      port: TARGET_PORT,
      timeoutMs: ANSWER_MS,
      ...(sourcePort === undefined ? {} : { sourcePort }),
    });
    if (!result.ok) return result.error;
    return this.services.nameOf(result.seenAs ?? "?");
  }

  /** Waits until a client is seen so. */
  async soon(
    from: string,
    family: Family,
    expected: string,
    options: { readonly withinMs?: number; readonly kind?: "udp"; readonly sourcePort?: number } = {},
  ): Promise<void> {
    const { withinMs, kind, sourcePort } = options;
    let last = "";
    try {
      await until("", async () => (last = await this.seen(from, family, kind, sourcePort)) === expected, withinMs);
    } catch {
      throw new Error(`${from} is seen by IPv${family} as ${last}, not as ${expected}`);
    }
  }

  async pings(from: string, family: Family): Promise<boolean> {
    const { lab } = this.services.nodes;
    const prober = await lab.prober();
    return (await prober.probe("icmp", lab.netnsOf(from), OUTSIDE[family], { timeoutMs: ANSWER_MS })).ok;
  }

  async status(node: string): Promise<EgressStatus> {
    return (await this.services.nodes.get<{ egress: EgressStatus }>(node, "/status")).egress;
  }

  /** Codes and messages of what a node says is wrong with the namespace. */
  async problems(node: string): Promise<string[]> {
    const { namespaces } = await this.status(node);
    return namespaces.flatMap(({ problems }) => problems.map(({ code, message }) => `${code} ${message}`));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.services[Symbol.asyncDispose]();
  }
}
