import { type Element, IfStatusFlags, type VppApi, VppCliError, VppMessageUnavailableError } from "../binapi/index.ts";
import { type NamedInterface, namedInterface, type PodNames } from "./interface-names.ts";
import { protocolName } from "./packet-filter.ts";

/** One interface, for people who look for what is wrong with it. */
export interface InterfaceView extends NamedInterface {
  readonly kind: string;
  readonly admin: "up" | "down";
  readonly link: "up" | "down";
  readonly mtu: number;
  readonly mac: string;
  readonly addresses: readonly string[];
  readonly rxPackets: number;
  readonly txPackets: number;
  readonly drops: number;
}

/** All interfaces in VPP's order. */
export async function showInterfaces(api: Pick<VppApi, "dump" | "cli">, pods: PodNames): Promise<InterfaceView[]> {
  const [all, text] = await Promise.all([
    api.dump("sw_interface_dump", { name_filter_valid: false }),
    api.cli("show interface"),
  ]);
  const counters = parseInterfaceCounters(text);
  return Promise.all(
    all.map(async (details): Promise<InterfaceView> => {
      const { sw_if_index, flags, interface_dev_type: kind, l2_address: mac } = details;
      const addresses = await Promise.all(
        [false, true].map((is_ipv6) => api.dump("ip_address_dump", { sw_if_index, is_ipv6 })),
      );
      const of = (counter: string) => counters.get(details.interface_name)?.get(counter) ?? 0;
      return {
        ...namedInterface(details, pods),
        kind,
        admin: flags & IfStatusFlags.IF_STATUS_API_FLAG_ADMIN_UP ? "up" : "down",
        link: flags & IfStatusFlags.IF_STATUS_API_FLAG_LINK_UP ? "up" : "down",
        mtu: details.mtu[0] ?? 0,
        mac,
        addresses: addresses.flat().map((a: Element<"ip_address_dump">) => a.prefix),
        rxPackets: of("rx packets"),
        txPackets: of("tx packets"),
        drops: of("drops"),
      };
    }),
  );
}

/**
 * Counters by interface. A name begins its line, counters follow in the last two columns:
 *
 *     host-hda              1      up          9000/0/0/0     rx packets                     5
 *                                                             rx bytes                     434
 */
export function parseInterfaceCounters(text: string): Map<string, Map<string, number>> {
  const result = new Map<string, Map<string, number>>();
  let current: Map<string, number> | undefined;
  for (const line of text.split("\n")) {
    const name = /^(\S+)\s+\d+\s+(?:up|down)\s/.exec(line)?.[1];
    if (name !== undefined) result.set(name, (current = new Map()));
    const [, counter, value] = /\s{2,}([a-z][a-z0-9 -]*?)\s{2,}(\d+)\s*$/.exec(line) ?? [];
    if (counter !== undefined) current?.set(counter, Number(value));
  }
  return result;
}

/** What packets go through on an interface, in order. */
export interface FeatureArc {
  readonly arc: string;
  readonly features: readonly string[];
}

/**
 * `show interface features NAME`; arcs without features are left out.
 *
 *     ip4-unicast:
 *       cnat-input-ip4
 *       acl-plugin-in-ip4-fa
 */
export function parseFeatures(text: string): FeatureArc[] {
  const arcs: { arc: string; features: string[] }[] = [];
  for (const line of text.split("\n")) {
    const arc = /^([a-z0-9-]+):\s*$/.exec(line)?.[1];
    if (arc !== undefined) arcs.push({ arc, features: [] });
    else if (/^\s+\S/.test(line) && !/none configured/.test(line)) arcs.at(-1)?.features.push(line.trim());
  }
  return arcs.filter(({ features }) => features.length > 0);
}

/** How often a node gave up a packet, or did something worth counting, for a reason. */
export interface ErrorCount {
  readonly count: number;
  readonly node: string;
  readonly reason: string;
  readonly severity: string;
}

/**
 * `show errors`, where columns are two spaces apart at least:
 *
 *        Count                  Node                              Reason               Severity
 *              1        acl-plugin-in-ip4-fa                 ACL deny packets            error
 */
export function parseErrors(text: string): ErrorCount[] {
  return text.split("\n").flatMap((line) => {
    const [, count, node = "", reason = "", severity = ""] =
      /^\s*(\d+)\s+(\S+)\s{2,}(.*?)\s{2,}(\w+)\s*$/.exec(line) ?? [];
    return count === undefined ? [] : [{ count: Number(count), node, reason, severity }];
  });
}

/** A session of the service translation. */
export interface CnatSessionView {
  /** `tcp`, or the number. */
  readonly proto: string;
  readonly ends: readonly string[];
}

/** What VPP remembers of connections. What its plugins lack is absent. */
export interface SessionsView {
  readonly cnat?: readonly CnatSessionView[];
  /** Totals: the ACL plugin does not list them. */
  readonly acl?: { readonly active: number; readonly added: number; readonly deleted: number };
}

export async function showSessions(api: Pick<VppApi, "dump" | "cli">): Promise<SessionsView> {
  const cnat = await api.dump("cnat_session_dump", {}).catch((e: unknown) => {
    if (e instanceof VppMessageUnavailableError) return undefined;
    throw e;
  });
  const text = await api.cli("show acl-plugin sessions").catch((e: unknown) => {
    if (e instanceof VppCliError) return ""; // the plugin is not loaded
    throw e;
  });
  const acl = parseAclSessions(text);
  return {
    ...(cnat && { cnat: cnat.map(({ session: { tuple } }) => sessionView(tuple)) }),
    ...(acl && { acl }),
  };
}

type Tuple = Element<"cnat_session_dump">["session"]["tuple"];

function sessionView({ addr, port, ip_proto }: Tuple): CnatSessionView {
  // 26.06 swaps the bytes of ports once too often: 80 comes as 20480.
  const ports = port.map((p) => ((p & 255) << 8) | (p >> 8));
  return {
    proto: protocolName(ip_proto),
    ends: addr.map((a, i) => `${a.includes(":") ? `[${a}]` : a}:${ports[i] ?? 0}`),
  };
}

/**
 * The first lines of `show acl-plugin sessions`; `undefined` before the plugin has begun with sessions:
 *
 *     Sessions total: add 1 - del 0 = 1
 *     Sessions active: add 1 - deact 0 = 1
 */
export function parseAclSessions(text: string): SessionsView["acl"] {
  const total = /^Sessions total: add (\d+) - del (\d+) =/m.exec(text);
  const active = /^Sessions active: .*= (\d+)/m.exec(text);
  if (!total || !active) return undefined;
  return { active: Number(active[1]), added: Number(total[1]), deleted: Number(total[2]) };
}
