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
      return [...filter.rules()].map(({ way, address, rules }): Retrieved<SctpRulesValue, undefined> => {
        const direction = way === "input" ? "egress" : "ingress";
        const value = { direction, address, rules: rules.toSorted() } as const;
        return { key: sctpKey(value), value, metadata: undefined };
      });
    },
  };
}
