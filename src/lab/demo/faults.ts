import { LabError } from "../errors.ts";
import type { Lab } from "../lab.ts";
import { addNetns, ipJson } from "../net/ip.ts";
import { execOk } from "../process/exec.ts";
import { type Endpoint, familyOf } from "./cells.ts";

/**
 * Damage that the demo does to itself on request, for trying out that it notices. Each makes it exit with 1 and name
 * the cell or the thing.
 */
export interface Faults {
  /** A node: its routes to the first pod of every other node go. A pod: its default routes go. */
  readonly breakRoute?: string;
  /** Makes a namespace with the lab's prefix that nobody removes. */
  readonly leaveNamespace?: boolean;
  /** A cell (`n1-p1>n2-p1/tcp/ipv4`) of which the opposite is expected. */
  readonly expectWrong?: string;
}

interface Route {
  readonly dst: string;
  readonly table?: string;
}

async function routes(netns: string, args: readonly string[]): Promise<Route[]> {
  return (await ipJson(netns, args)).map((r) => ({
    dst: String(r["dst"]),
    ...(typeof r["table"] === "string" ? { table: r["table"] } : {}),
  }));
}

async function deleteRoute(netns: string, route: Route, family: string): Promise<string> {
  const { dst, table } = route;
  const what = table === undefined ? dst : `${dst} table ${table}`;
  await execOk(["ip", "-n", netns, family, "route", "del", ...what.split(" ")]);
  return what;
}

/** Removes routes; returns what it removed, for the reader of the report. */
export async function breakRoute(target: string, pods: readonly Endpoint[], lab: Lab): Promise<string[]> {
  const broken = new Set<string>();
  const pod = pods.find((p) => p.name === target);
  if (pod) {
    for (const family of ["-4", "-6"]) {
      for (const route of await routes(pod.netns, [family, "route", "show", "default"])) {
        broken.add(`${pod.name}: ${await deleteRoute(pod.netns, route, family)}`);
      }
    }
  } else {
    const { netns } = lab.node(target);
    const others = pods.filter((p) => p.node !== target);
    const firsts = others.filter((p, i) => others.findIndex((q) => q.node === p.node) === i);
    for (const ip of firsts.flatMap((p) => p.ips)) {
      // fibmatch: the route that matches, as it is in the table, and not the answer that is made from it
      const [route] = await routes(netns, ["route", "get", "fibmatch", ip]);
      if (!route || route.dst === "default") continue;
      broken.add(`${target}: ${await deleteRoute(netns, route, familyOf(ip) === "ipv4" ? "-4" : "-6")}`);
    }
  }
  if (broken.size === 0) throw new LabError("USAGE", `there is no route to remove in ${target}`);
  return [...broken];
}

/** Name of the namespace that {@link leaveNamespace} leaves. */
export const leftNamespace = (labId: string): string => `hd${labId}-left`;

export async function leaveNamespace(labId: string): Promise<void> {
  await addNetns(leftNamespace(labId));
}
