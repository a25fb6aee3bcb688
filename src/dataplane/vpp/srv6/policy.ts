import type { Dependency, Descriptor, Retrieved } from "../../../kvscheduler/api/descriptor.ts";
import { vrfKey } from "../../../models/vpp/l3.ts";
import {
  SRV6_POLICY_PREFIX,
  type Srv6PolicyValue,
  type Srv6SegmentList,
  srv6PolicyKey,
  validateSrv6Policy,
} from "../../../models/vpp/srv6.ts";
import { SrPolicyOp, SrPolicyType, VppApiError } from "../binapi/index.ts";
import type { VppTarget } from "../target.ts";

/** What steering needs to know of a policy. */
export interface Srv6PolicyMetadata {
  readonly hasOuterHeader: boolean;
}

/** In place of a number that VPP counts policies and lists with, where it looks for an address. */
const NO_NUMBER = 0;

/** Policies. Their lists are changed in place: added first, so that there is always one. */
export function srv6PolicyDescriptor({ api }: VppTarget): Descriptor<Srv6PolicyValue, Srv6PolicyMetadata> {
  const modify = async (operation: SrPolicyOp, value: Srv6PolicyValue, change: Change, signal: AbortSignal) => {
    const input = {
      bsid_addr: value.bsid,
      sr_policy_index: NO_NUMBER,
      fib_table: value.vrf,
      operation,
      sl_index: change.number ?? NO_NUMBER,
      weight: change.list.weight,
      sids: encodeList(change.list),
      encap_src: value.encapSource ?? "::",
    };
    await api.request("sr_policy_mod_v2", input, { signal });
  };
  return {
    name: "vpp-srv6-policy",
    keyPrefixes: [SRV6_POLICY_PREFIX],
    validate: (_key, value) => validateSrv6Policy(value),
    equivalent: (_key, a, b) =>
      !isOther(a, b) && a.lists.map(textOf).sort().join() === b.lists.map(textOf).sort().join(),
    dependencies: (_key, { vrf }): Dependency[] =>
      vrf === 0 ? [] : [{ label: "vrf", key: vrfKey({ family: 6, id: vrf }) }],
    describe: (_key, { lists }) => lists.map(textOf).join("; "),
    async create(_key, value, { signal }) {
      const [first, ...others] = value.lists;
      if (first === undefined) throw new Error("a policy without lists");
      const input = {
        bsid_addr: value.bsid,
        weight: first.weight,
        is_encap: value.encapSource !== undefined,
        type: value.spray ? SrPolicyType.SR_API_POLICY_TYPE_SPRAY : SrPolicyType.SR_API_POLICY_TYPE_DEFAULT,
        fib_table: value.vrf,
        sids: encodeList(first),
        encap_src: value.encapSource ?? "::",
      };
      await api.request("sr_policy_add_v2", input, { signal });
      for (const list of others) await modify(SrPolicyOp.SR_POLICY_OP_API_ADD, value, { list }, signal);
      return { hasOuterHeader: value.encapSource !== undefined };
    },
    async update(_key, _before, value, metadata, { signal }) {
      // Lists are changed by VPP's numbers of them.
      const policies = await api.dump("sr_policies_with_sl_index_dump", {}, { signal });
      const found = (policies.find(({ bsid }) => bsid === value.bsid)?.sid_lists ?? []).map((list) => ({
        number: list.sl_index,
        list: decodeList(list),
      }));
      for (const list of value.lists) {
        const same = found.find((f) => f.list.segments.join() === list.segments.join());
        if (same === undefined) await modify(SrPolicyOp.SR_POLICY_OP_API_ADD, value, { list }, signal);
        else if (same.list.weight !== list.weight) {
          await modify(SrPolicyOp.SR_POLICY_OP_API_MOD, value, { list, number: same.number }, signal);
        }
      }
      for (const gone of found) {
        const isWanted = value.lists.some((list) => list.segments.join() === gone.list.segments.join());
        if (!isWanted) await modify(SrPolicyOp.SR_POLICY_OP_API_DEL, value, gone, signal);
      }
      return metadata;
    },
    updateNeedsRecreate: (_key, a, b) => isOther(a, b),
    async delete(_key, { bsid }, _metadata, { signal }) {
      try {
        await api.request("sr_policy_del", { bsid_addr: bsid, sr_policy_index: NO_NUMBER }, { signal });
      } catch (e) {
        if (!(e instanceof VppApiError && e.retval === NO_POLICY)) throw e;
      }
    },
    async retrieve(_correlate, { signal }) {
      const found: Retrieved<Srv6PolicyValue, Srv6PolicyMetadata>[] = [];
      for (const details of await api.dump("sr_policies_v2_dump", {}, { signal })) {
        if (details.type === SrPolicyType.SR_API_POLICY_TYPE_TEF) continue;
        const value: Srv6PolicyValue = {
          bsid: details.bsid,
          vrf: details.fib_table,
          ...(details.is_encap ? { encapSource: details.encap_src } : {}),
          spray: details.type === SrPolicyType.SR_API_POLICY_TYPE_SPRAY,
          lists: details.sid_lists.map(decodeList),
        };
        found.push({ key: srv6PolicyKey(value.bsid), value, metadata: { hasOuterHeader: details.is_encap } });
      }
      return found;
    },
  };
}

/** What VPP says of a policy that it doesn't have. */
const NO_POLICY = -1;

interface Change {
  readonly list: Srv6SegmentList;
  /** VPP's number of the list, where it has one. */
  readonly number?: number;
}

const isOther = (a: Srv6PolicyValue, b: Srv6PolicyValue): boolean =>
  a.vrf !== b.vrf || a.encapSource !== b.encapSource || a.spray !== b.spray;

const textOf = ({ segments, weight }: Srv6SegmentList): string => `${segments.join(" ")} weight ${weight}`;

function encodeList({ segments, weight }: Srv6SegmentList) {
  const unused = Array.from({ length: 16 - segments.length }, () => "::");
  return { num_sids: segments.length, weight, sids: [...segments, ...unused] };
}

const decodeList = (list: {
  readonly num_sids: number;
  readonly weight: number;
  readonly sids: readonly string[];
}): Srv6SegmentList => ({ segments: list.sids.slice(0, list.num_sids), weight: list.weight });
