import { HeddleError } from "../base/errors/errors.ts";
import { tryParseIp } from "../base/ip/address.ts";
import { PORT_PROTOCOLS, type PortProtocol } from "../models/k8s/pod.ts";
import type { PolicyEngine } from "./engine.ts";
import type { EndName } from "./explain.ts";
import { podKey } from "./index/cluster.ts";
import type { PodRecord } from "./index/records.ts";
import { podName } from "./words.ts";

export type AskErrorCode =
  /** No such pod; the message names those with similar names. */
  | "NO_POD"
  /** It can't be told what is meant; the message says what would be clear. */
  | "BAD_QUESTION";

/** What somebody asks about policies has no answer as it is put. */
export class AskError extends HeddleError<AskErrorCode> {}

/** What a connection carries. */
export type Traffic =
  | { readonly kind: "port"; readonly protocol: PortProtocol; readonly port: number }
  /** A port's name, of the destination; of any protocol if none is given. */
  | { readonly kind: "name"; readonly name: string; readonly protocol?: PortProtocol }
  /** All ports. */
  | { readonly kind: "protocol"; readonly protocol: PortProtocol }
  /** A protocol without ports, such as ICMP. */
  | { readonly kind: "portless" };

const FORMS = "PORT/PROTOCOL, such as 80/tcp or http/tcp; a protocol alone (tcp, udp, sctp) for all its ports; or icmp";

/** `80/tcp`, `80` (of TCP), `http/tcp`, `http`, `udp`, `icmp`. @throws AskError BAD_QUESTION */
export function parseTraffic(text: string): Traffic {
  const bad = (why: string): AskError =>
    new AskError("BAD_QUESTION", `${JSON.stringify(text)}: ${why}; it is ${FORMS}`);
  const [first = "", second, ...rest] = text.split("/");
  if (rest.length > 0 || first === "") throw bad("neither a port nor a protocol");
  const alone = protocolNamed(first);
  if (second === undefined) {
    if (/^icmp(v6)?$/i.test(first)) return { kind: "portless" };
    if (alone) return { kind: "protocol", protocol: alone };
  }
  const protocol = second === undefined ? undefined : protocolNamed(second);
  if (second !== undefined && protocol === undefined) throw bad(`${JSON.stringify(second)} has no ports`);
  if (/^-?\d+$/.test(first)) {
    const port = Number(first);
    if (port < 1 || port > 65_535) throw bad("ports are from 1 to 65535");
    return { kind: "port", protocol: protocol ?? "TCP", port };
  }
  if (!/^[a-z0-9-]{1,15}$/i.test(first)) throw bad(`${JSON.stringify(first)} can't be a port's name`);
  return { kind: "name", name: first, ...(protocol ? { protocol } : {}) };
}

const protocolNamed = (text: string): PortProtocol | undefined => PORT_PROTOCOLS.find((p) => p === text.toUpperCase());

/** An address, `NAMESPACE/NAME`, or a name that only one pod has. @throws AskError */
export function parseEnd(engine: PolicyEngine, text: string): EndName {
  const ip = tryParseIp(text);
  if (ip !== undefined) return { ip };
  const { namespace, name } = findPod(engine, text);
  return { pod: { namespace: namespace.name, name } };
}

/** `NAMESPACE/NAME`, or a name that only one pod has. @throws AskError */
export function findPod({ cluster }: PolicyEngine, text: string): PodRecord {
  const [first = "", second, ...rest] = text.split("/");
  if (text === "" || rest.length > 0) {
    throw new AskError("BAD_QUESTION", `${JSON.stringify(text)} is no address, pod, or NAMESPACE/POD`);
  }
  if (second !== undefined) {
    const found = cluster.pods.get(podKey({ namespace: first, name: second }));
    if (found) return found;
    const hint = cluster.namespaces.has(first) ? "" : `; there is no namespace ${first}`;
    throw new AskError("NO_POD", `there is no pod ${text}${hint}${near(cluster.pods.keys(), text)}`);
  }
  const all = [...cluster.pods.values()].filter((p) => p.name === text);
  const [found, another] = all;
  if (!found) {
    const names = new Map([...cluster.pods.values()].map((p) => [p.key, p.name]));
    throw new AskError(
      "NO_POD",
      `there is no pod ${text} in any namespace${near(names.keys(), text, (k) => names.get(k) ?? k)}`,
    );
  }
  if (another) {
    const where = all.map((p) => podName({ namespace: p.namespace.name, name: p.name })).sort();
    throw new AskError("BAD_QUESTION", `several pods have the name ${text}: ${listed(where)}; say which`);
  }
  return found;
}

/** Names that are shown at most. */
const MAX_SHOWN = 5;
const listed = (names: readonly string[]): string =>
  names.length > MAX_SHOWN
    ? `${names.slice(0, MAX_SHOWN).join(", ")} and ${names.length - MAX_SHOWN} more`
    : names.join(", ");

/** `; is it a, b?`, of those that look like it. */
function near(candidates: Iterable<string>, wanted: string, text: (candidate: string) => string = (c) => c): string {
  // Of the pod's name: a long namespace is no reason to take other names for it.
  const most = Math.max(1, Math.floor((wanted.split("/").at(-1) ?? "").length / 3));
  const found: { readonly name: string; readonly distance: number }[] = [];
  for (const candidate of candidates) {
    const distance = editDistance(text(candidate), wanted, most);
    if (distance <= most) found.push({ name: candidate, distance });
  }
  found.sort((a, b) => a.distance - b.distance || (a.name < b.name ? -1 : 1));
  return found.length === 0 ? "" : `; is it ${listed(found.map((f) => f.name))}?`;
}

/** Levenshtein's; anything above `most` where it is more. */
export function editDistance(a: string, b: string, most: number): number {
  if (Math.abs(a.length - b.length) > most) return most + 1;
  let before = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    let least = i;
    for (let j = 1; j <= b.length; j++) {
      const change = (before[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const cost = Math.min(change, (before[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1);
      row.push(cost);
      least = Math.min(least, cost);
    }
    if (least > most) return most + 1;
    before = row;
  }
  return before[b.length] ?? 0;
}
