import { seconds } from "../../../base/clock/clock.ts";
import type { IpAddress } from "../../../base/ip/address.ts";
import type { Descriptor, Retrieved } from "../../../kvscheduler/api/descriptor.ts";
import { parseSctpRule, SCTP_PREFIX, type SctpRulesValue, sctpKey } from "../../../models/vpp/sctp.ts";
import type { SctpFilter } from "./filter.ts";
import type { Way } from "./layout.ts";

const WAYS: Readonly<Record<SctpRulesValue["direction"], Way>> = { egress: "input", ingress: "output" };

/** Rules of SCTP of pods' addresses, on whichever interface of a pod they are used. */
export function sctpDescriptor(filter: SctpFilter): Descriptor<SctpRulesValue, undefined> {
  const set = async ({ direction, address }: SctpRulesValue, rules: readonly string[]): Promise<undefined> => {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- as the renderer got it
    await filter.replace(WAYS[direction], address as IpAddress, rules);
    return undefined;
  };
  /** What was found the last time. */
  let items = new Map<string, Item>();
  return {
    name: "vpp-sctp",
    // Addresses wait for each other.
    deadline: seconds(10),
    keyPrefixes: [SCTP_PREFIX],
    // The chains are found by the interfaces that they are bound to.
    retrieveAfter: ["vpp-flow-filter"],
    validate: (_key, { rules }) => {
      for (const rule of rules) parseSctpRule(rule);
    },
    describe: (_key, { rules }) => `${rules.length} rules`,
    equivalent: (_key, a, b) =>
      a.rules.length === b.rules.length && new Set([...a.rules, ...b.rules]).size === a.rules.length,
    create: (_key, value) => set(value, value.rules),
    update: (_key, _before, value) => set(value, value.rules),
    async delete(_key, value) {
      await set(value, []);
    },
    async retrieve() {
      const before = items;
      items = new Map();
      for (const [at, rules] of filter.rules) {
        if (rules.size === 0) continue;
        const former = before.get(at);
        const isAsBefore = former?.value.rules.length === rules.size && former.value.rules.every((r) => rules.has(r));
        items.set(at, isAsBefore ? former : itemOf(at, rules));
      }
      return [...items.values()];
    },
  };
}

type Item = Retrieved<SctpRulesValue, undefined>;

function itemOf(at: string, rules: ReadonlySet<string>): Item {
  const [way, address = ""] = at.split(" ");
  const value = { direction: way === "input" ? "egress" : "ingress", address, rules: [...rules].toSorted() } as const;
  return { key: sctpKey(value), value, metadata: undefined };
}
