import { existsSync } from "node:fs";
import { join } from "node:path";
import { inNetns, setSysctls } from "../../../src/lab/net/ip.ts";
import { execOk } from "../../../src/lab/process/exec.ts";
import { type Figure, ratioAtLeast, ratioAtMost } from "../../figure.ts";
import type { AgentNode } from "../../rig/agent-node.ts";
import type { Place } from "../../rig/iperf3.ts";
import type { Rig } from "../../rig/rig.ts";
import { Wiring } from "../../rig/wired.ts";
import { median, quantile, spread } from "../../stats.ts";
import { alternating, type Case, type CaseContext } from "../case.ts";
import { nodesByDataplane } from "../policy/nodes.ts";
import { clusterIp, LARGE } from "./objects.ts";
import { RigServices } from "./rig-services.ts";

const PROGRAM = join(import.meta.dirname, "../../../dist/bin/hdrequests");
/** Behind the service, and of the pod itself: VPP takes a direct connection for a service's that had the same ports of both ends. */
const PORTS = { service: 8080, direct: 8081 };
const FEW = 10;
const ADDRESS = clusterIp(0);
/** A part of a sample is left out at its beginning: processors wake up. */
const WARM_UP = 200;

/** What a pod notices of a service: how long its connections take to begin, and how many requests it gets answered. */
export const servicesFirstPacket: Case = {
  name: "services-first-packet",
  async run({ rig, quick, progress }: CaseContext): Promise<Figure[]> {
    const figures: Figure[] = [];
    for (const [dataplane, node] of await nodesByDataplane(rig)) {
      const ends = node && existsSync(PROGRAM) ? await Ends.wire(rig, node) : undefined;
      const many = quick ? 1000 : LARGE.services;
      const first: Pairs = { ours: [], theirs: [] };
      const rates = { keep: { ours: [], theirs: [] } as Pairs, new: { ours: [], theirs: [] } as Pairs };
      if (ends) {
        progress(`services on ${dataplane}: connections with ${FEW} and with ${many} services`);
        for (let i = -1; i < (quick ? 2 : 10); i++) {
          const among = (services: number, into: number[]) => async () => {
            await ends.services.become(services);
            const took = median(await ends.connectTimes(quick ? 1000 : 4000));
            if (i >= 0) into.push(took);
          };
          await alternating(i + 1, among(FEW, first.theirs), among(many, first.ours));
        }
        await ends.services.become(many);
        for (const [kind, pairs] of Object.entries(rates)) {
          progress(`services on ${dataplane}: requests on connections that are ${kind === "new" ? "new" : "kept"}`);
          for (let i = -1; i < (quick ? 2 : 15); i++) {
            const once = (to: string, into: number[]) => async () => {
              const rate = await ends.requestRate(kind, to, quick ? 500 : 1500);
              if (i >= 0) into.push(rate);
            };
            await alternating(i, once(ADDRESS, pairs.ours), once(ends.server.ip, pairs.theirs));
          }
        }
        await ends.remove();
      }
      const wrong = ends?.wrong ?? [];
      const on = `on ${dataplane}`;
      const ofTen = { peer: `with ${FEW}`, target: ratioAtMost(1.1), wrong };
      const direct = { peer: "direct to the pod", target: ratioAtLeast(0.95), wrong };
      figures.push(
        figure(`connect() to a cluster IP with ${many} services ${on}`, "µs", first, ofTen),
        figure(`requests to a cluster IP, connections kept, ${on}`, "/s", rates.keep, direct),
        figure(`requests to a cluster IP, a connection each, ${on}`, "/s", rates.new, direct),
      );
    }
    return figures;
  },
};

/** The samples of interleaved pairs. */
interface Pairs {
  readonly ours: number[];
  readonly theirs: number[];
}

/** Two pods of a node, one of which answers behind the first of many services. */
class Ends {
  readonly services: RigServices;
  readonly server: Place;
  readonly wrong: readonly string[];
  readonly #client: Place;
  readonly #remove: () => Promise<void>;

  private constructor(
    client: Place,
    server: Place,
    services: RigServices,
    wrong: readonly string[],
    remove: () => Promise<void>,
  ) {
    this.#client = client;
    this.server = server;
    this.services = services;
    this.wrong = wrong;
    this.#remove = remove;
  }

  static async wire(rig: Rig, node: AgentNode): Promise<Ends> {
    const names = await rig.pods.make(2);
    const wiring = new Wiring(node.launcher, node.plugin);
    const { pods } = await wiring.add(names);
    const [client, server] = pods.map(({ sandbox, ips }): Place => {
      return { netns: sandbox.netns, ip: ips.find((ip) => !ip.includes(":")) ?? "" };
    });
    if (!client || !server) throw new Error(`pods could not be wired: ${wiring.wrong.join("; ")}`);
    for (const port of Object.values(PORTS)) {
      await rig.daemon(`requests-${server.ip}-${port}`, server.netns, [PROGRAM, "serve", String(port)]);
    }
    // Of connections that have ended nothing is to fill ports and tables.
    await setSysctls(client.netns, { "net.ipv4.tcp_max_tw_buckets": "0" });
    await setSysctls(node.netns, { "net.netfilter.nf_conntrack_tcp_timeout_time_wait": "1" });
    const services = new RigServices(rig, node, [server.ip]);
    return new Ends(client, server, services, wiring.wrong, async () => {
      await services.become(0);
      await wiring.delete(pods);
      await rig.pods.drop(names);
    });
  }

  /** Microseconds of each of so many connect()s to the service, one after the other. */
  async connectTimes(count: number): Promise<number[]> {
    const said = await this.#ask("connect", ADDRESS, 80, WARM_UP + count);
    return said.trim().split(" ").map(Number).slice(WARM_UP);
  }

  /** Requests a second, eight at a time: to the service's address, or to the pod's own. */
  async requestRate(kind: string, to: string, ms: number): Promise<number> {
    return Number(await this.#ask(kind, to, to === ADDRESS ? 80 : PORTS.direct, ms));
  }

  async #ask(kind: string, to: string, port: number, more: number): Promise<string> {
    return execOk([...inNetns(this.#client.netns), PROGRAM, kind, to, String(port), String(more)]);
  }

  remove(): Promise<void> {
    return this.#remove();
  }
}

function figure(
  name: string,
  unit: string,
  { ours, theirs }: Pairs,
  { peer, ...more }: { readonly peer: string } & Pick<Figure, "target" | "wrong">,
): Figure {
  const ratios = ours.map((value, i) => value / (theirs[i] ?? Number.NaN));
  const notes = {
    "middle half, ours": spread(ours),
    "middle half, theirs": spread(theirs),
    "ratio of pairs": `${quantile(ratios, 0.25).toFixed(2)} – ${quantile(ratios, 0.75).toFixed(2)}`,
  };
  return {
    name,
    unit,
    value: median(ours),
    ...(theirs.length > 0 ? { peer: { name: peer, value: median(theirs) }, ratio: median(ratios), notes } : {}),
    samples: ours.length,
    ...more,
  };
}
