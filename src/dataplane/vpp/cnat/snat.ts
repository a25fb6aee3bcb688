import type { Dependency, Descriptor, Retrieved } from "../../../kvscheduler/api/descriptor.ts";
import {
  CNAT_SNAT_EXCLUDE_PREFIX,
  CNAT_SNAT_INTERFACE_PREFIX,
  CNAT_SNAT_KEY,
  type CnatSnatExcludeValue,
  type CnatSnatInterfaceValue,
  type CnatSnatValue,
  CnatTable,
  cnatSnatExcludeKey,
  cnatSnatInterfaceKey,
  POLICY_MARKS,
  validateCnatExclude,
  validateCnatSnat,
} from "../../../models/vpp/cnat.ts";
import { CnatSnatPolicies, type VppApi, VppApiError } from "../binapi/index.ts";
import { INTERFACES, ifThere, indexOf, NO_INDEX, onInterface, type VppTarget } from "../target.ts";
import { parseSnatPolicy, type ShownSnatPolicy } from "./parse.ts";

type Policy = keyof typeof POLICY_MARKS;
// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the keys of a constant
const POLICIES = Object.keys(POLICY_MARKS) as Policy[];
const NUMBERS: Readonly<Record<Policy, CnatSnatPolicies>> = {
  all: CnatSnatPolicies.CNAT_POLICY_NONE,
  interfaces: CnatSnatPolicies.CNAT_POLICY_IF_PFX,
  k8s: CnatSnatPolicies.CNAT_POLICY_K8S,
};

/**
 * VPP takes the whole policy for uninitialised when the table `include4` is empty after it was not: removals are ignored
 * then, and the next addition forgets the prefixes (cnat_snat_policy_entry_is_init looks at this table's length). So the
 * interface that every VPP has, and that receives nothing, is always in it. What VPP itself sends counts as from there: with
 * `k8s` it would get another source wherever it leaves by an interface of no table, were that not in the pods' table as well.
 */
const LOCAL0 = 0;
const LOCAL0_TABLES = ["include4", "pod"] as const;

/** Source addresses and policy: one value, because VPP dies of a policy (or prefix) without addresses. */
export function cnatSnatDescriptor({ api }: VppTarget): Descriptor<CnatSnatValue, undefined> {
  const addresses = (snat_ip4: string, snat_ip6: string, signal: AbortSignal) =>
    api.request("cnat_set_snat_addresses", { snat_ip4, snat_ip6, sw_if_index: NO_INDEX }, { signal });
  const setPolicy = async (wanted: CnatSnatValue["policy"], signal: AbortSignal): Promise<undefined> => {
    const marks = (await shown(api, signal))?.policy.excluded ?? [];
    for (const policy of POLICIES) {
      // The marks of others go first, its own comes last: in between the policy is unknown, and set again.
      if (policy === wanted || !marks.includes(POLICY_MARKS[policy])) continue;
      await exclude(api, POLICY_MARKS[policy], false, signal);
    }
    for (const one of LOCAL0_TABLES) await table(api, LOCAL0, one, true, signal);
    for (const policy of POLICIES) {
      if (policy !== wanted) continue;
      await api.request("cnat_set_snat_policy", { policy: NUMBERS[policy] }, { signal });
      // VPP counts prefixes: added twice, one would stay for ever.
      if (!marks.includes(POLICY_MARKS[policy])) await exclude(api, POLICY_MARKS[policy], true, signal);
    }
    return undefined;
  };
  return {
    name: "vpp-cnat-snat",
    keyPrefixes: [CNAT_SNAT_KEY],
    validate: (_key, value) => validateCnatSnat(value),
    equivalent: (_key, a, b) => a.ip4 === b.ip4 && a.ip6 === b.ip6 && a.policy === b.policy,
    dependencies: (_key, value) => (value.requires ?? []).map((key) => ({ label: key, key })),
    describe: (_key, { ip4, ip6, policy }) => `${[ip4, ip6].filter(Boolean).join(", ")} for ${policy}`,
    async create(_key, { ip4, ip6, policy }, { signal }) {
      await addresses(ip4 ?? "0.0.0.0", ip6 ?? "::", signal);
      return setPolicy(policy, signal);
    },
    update: (_key, _before, { policy }, _metadata, { signal }) => setPolicy(policy, signal),
    // VPP keeps an old address's return path when it is given another one.
    updateNeedsRecreate: (_key, a, b) => a.ip4 !== b.ip4 || a.ip6 !== b.ip6,
    async delete(_key, _value, _metadata, { signal }) {
      await ifThere(async () => {
        if ((await shown(api, signal)) !== undefined) await addresses("0.0.0.0", "::", signal);
      });
    },
    async retrieve(_correlate, { signal }) {
      const found = await shown(api, signal);
      if (found === undefined) return [];
      const { ip4, ip6 } = found;
      const isIn = (table: string) => found.policy.interfaces.some((i) => i.table === table && i.vppName === "local0");
      const anchored = LOCAL0_TABLES.every(isIn);
      const marked = POLICIES.filter((policy) => anchored && found.policy.excluded.includes(POLICY_MARKS[policy]));
      const value: CnatSnatValue = {
        ...(ip4 === "0.0.0.0" ? {} : { ip4 }),
        ...(ip6 === "::" ? {} : { ip6 }),
        policy: (marked.length === 1 ? marked[0] : undefined) ?? "unknown",
      };
      return [{ key: CNAT_SNAT_KEY, value, metadata: undefined }];
    },
  };
}

/** VPP forgets tables and prefixes with the addresses. */
const onSnat: Dependency = { label: "source policy", key: CNAT_SNAT_KEY, carries: true };

/** Destinations to which sources are not translated. */
export function cnatSnatExcludeDescriptor({ api }: VppTarget): Descriptor<CnatSnatExcludeValue, undefined> {
  return {
    name: "vpp-cnat-snat-exclude",
    keyPrefixes: [CNAT_SNAT_EXCLUDE_PREFIX],
    validate: (_key, value) => validateCnatExclude(value),
    dependencies: () => [onSnat],
    async create(_key, { prefix }, { signal }) {
      const present = (await shown(api, signal))?.policy.excluded ?? [];
      if (!present.includes(prefix)) await exclude(api, prefix, true, signal);
      return undefined;
    },
    async delete(_key, { prefix }, _metadata, { signal }) {
      if ((await shown(api, signal)) !== undefined) await exclude(api, prefix, false, signal);
    },
    async retrieve(_correlate, { signal }) {
      const excluded = (await shown(api, signal))?.policy.excluded ?? [];
      const marks: readonly string[] = Object.values(POLICY_MARKS);
      return excluded
        .filter((prefix) => !marks.includes(prefix))
        .map((prefix) => ({ key: cnatSnatExcludeKey(prefix), value: { prefix }, metadata: undefined }));
    },
  };
}

/** Interfaces in the tables that the policies look into. */
export function cnatSnatInterfaceDescriptor(vpp: VppTarget): Descriptor<CnatSnatInterfaceValue, undefined> {
  return {
    name: "vpp-cnat-snat-interface",
    keyPrefixes: [CNAT_SNAT_INTERFACE_PREFIX],
    retrieveAfter: [INTERFACES],
    dependencies: (_key, value) => [onInterface(value.interface), onSnat],
    async create(_key, value, { signal }) {
      await table(vpp.api, indexOf(vpp, value.interface), value.table, true, signal);
      return undefined;
    },
    async delete(_key, value, _metadata, { signal }) {
      const index = vpp.indexOf(value.interface);
      if (index !== undefined) await ifThere(() => table(vpp.api, index, value.table, false, signal));
    },
    async retrieve(_correlate, ctx) {
      const interfaces = (await shown(vpp.api, ctx.signal))?.policy.interfaces ?? [];
      if (interfaces.length === 0) return [];
      const names = new Map<string, string>();
      for (const { interface_name, sw_if_index } of await vpp.interfaces(ctx)) {
        const name = vpp.nameOf(sw_if_index);
        if (name !== undefined) names.set(interface_name, name);
      }
      return interfaces.flatMap(({ table: of, vppName }): Retrieved<CnatSnatInterfaceValue, undefined>[] => {
        const name = names.get(vppName);
        if (name === undefined) return [];
        const value = { interface: name, table: of };
        return [{ key: cnatSnatInterfaceKey(value), value, metadata: undefined }];
      });
    },
  };
}

const table = (api: VppApi, sw_if_index: number, of: CnatTable, add: boolean, signal: AbortSignal) =>
  api.request("cnat_snat_policy_add_del_if", { sw_if_index, is_add: add ? 1 : 0, table: CnatTable[of] }, { signal });

const exclude = (api: VppApi, prefix: string, add: boolean, signal: AbortSignal) =>
  api.request("cnat_snat_policy_add_del_exclude_pfx", { is_add: add ? 1 : 0, prefix }, { signal });

/** Undefined when there are no source addresses, and so none of the rest. */
async function shown(
  api: VppApi,
  signal: AbortSignal,
): Promise<{ ip4: string; ip6: string; policy: ShownSnatPolicy } | undefined> {
  try {
    const { snat_ip4, snat_ip6 } = await api.request("cnat_get_snat_addresses", {}, { signal });
    return {
      ip4: snat_ip4,
      ip6: snat_ip6,
      policy: parseSnatPolicy(await api.cli("show cnat snat-policy", { signal })),
    };
  } catch (e) {
    if (e instanceof VppApiError && e.code === "FEATURE_DISABLED") return undefined;
    throw e;
  }
}
