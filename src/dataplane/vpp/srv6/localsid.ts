import type { Dependency, Descriptor, Retrieved } from "../../../kvscheduler/api/descriptor.ts";
import { vrfKey } from "../../../models/vpp/l3.ts";
import {
  SRV6_LOCALSID_PREFIX,
  type Srv6Behavior,
  type Srv6LocalSidValue,
  srv6LocalSidKey,
  validateSrv6LocalSid,
} from "../../../models/vpp/srv6.ts";
import { type Element, SrBehavior } from "../binapi/index.ts";
import { INTERFACES, ifThere, indexOf, NO_INDEX, onInterface, type VppTarget } from "../target.ts";

const NUMBERS = {
  end: SrBehavior.SR_BEHAVIOR_API_END,
  "end.x": SrBehavior.SR_BEHAVIOR_API_X,
  "end.t": SrBehavior.SR_BEHAVIOR_API_T,
  "end.dx2": SrBehavior.SR_BEHAVIOR_API_DX2,
  "end.dx4": SrBehavior.SR_BEHAVIOR_API_DX4,
  "end.dx6": SrBehavior.SR_BEHAVIOR_API_DX6,
  "end.dt4": SrBehavior.SR_BEHAVIOR_API_DT4,
  "end.dt6": SrBehavior.SR_BEHAVIOR_API_DT6,
} as const satisfies Record<Srv6Behavior["type"], SrBehavior>;

/**
 * Local SIDs. VPP looks for tables when it makes one, and dies of a missing one later, when it dumps the SID: the tables
 * are dependencies.
 */
export function srv6LocalSidDescriptor(vpp: VppTarget): Descriptor<Srv6LocalSidValue, undefined> {
  const { api } = vpp;
  const request = async (is_del: boolean, { sid, vrf, behavior }: Srv6LocalSidValue, signal: AbortSignal) => {
    const index = "interface" in behavior ? vpp.indexOf(behavior.interface) : undefined;
    const input = {
      is_del,
      localsid: sid,
      end_psp: "psp" in behavior && behavior.psp,
      behavior: NUMBERS[behavior.type],
      // An interface, or the number of a table. Removed is what has this SID, whatever is said here.
      sw_if_index: "vrf" in behavior ? behavior.vrf : (index ?? NO_INDEX),
      vlan_index: 0,
      fib_table: vrf,
      nh_addr: "nextHop" in behavior ? behavior.nextHop : "::",
    };
    await api.request("sr_localsid_add_del", input, { signal });
    return undefined;
  };
  return {
    name: "vpp-srv6-localsid",
    keyPrefixes: [SRV6_LOCALSID_PREFIX],
    retrieveAfter: [INTERFACES],
    validate: (_key, value) => validateSrv6LocalSid(value),
    dependencies: (_key, value) => dependencies(value),
    describe: (_key, { behavior }) => JSON.stringify(behavior),
    create(_key, value, { signal }) {
      if ("interface" in value.behavior) indexOf(vpp, value.behavior.interface);
      return request(false, value, signal);
    },
    async delete(_key, value, _metadata, { signal }) {
      // VPP looks at the interface of a removal, too, where the behavior has one.
      if ("interface" in value.behavior && vpp.indexOf(value.behavior.interface) === undefined) return;
      await ifThere(() => request(true, value, signal));
    },
    async retrieve(_correlate, { signal }) {
      const sids = await api.dump("sr_localsids_dump", {}, { signal });
      return sids.flatMap((details): Retrieved<Srv6LocalSidValue, undefined>[] => {
        const behavior = decode(vpp, details);
        if (behavior === undefined) return [];
        const value = { sid: details.addr, vrf: details.fib_table, behavior };
        return [{ key: srv6LocalSidKey(value.sid), value, metadata: undefined }];
      });
    },
  };
}

/** Undefined for behaviors of other kinds, and for interfaces that are not ours. */
function decode(vpp: VppTarget, details: Element<"sr_localsids_dump">): Srv6Behavior | undefined {
  const { end_psp: psp, xconnect_iface_or_vrf_table: number, xconnect_nh_addr: nextHop } = details;
  const name = vpp.nameOf(number);
  switch (details.behavior) {
    case NUMBERS.end:
      return { type: "end", psp };
    case NUMBERS["end.x"]:
      return name === undefined ? undefined : { type: "end.x", psp, interface: name, nextHop };
    case NUMBERS["end.t"]:
      return { type: "end.t", psp, vrf: number };
    case NUMBERS["end.dx2"]:
      return name === undefined ? undefined : { type: "end.dx2", interface: name };
    case NUMBERS["end.dx4"]:
      return name === undefined ? undefined : { type: "end.dx4", interface: name, nextHop };
    case NUMBERS["end.dx6"]:
      return name === undefined ? undefined : { type: "end.dx6", interface: name, nextHop };
    case NUMBERS["end.dt4"]:
      return { type: "end.dt4", vrf: number };
    case NUMBERS["end.dt6"]:
      return { type: "end.dt6", vrf: number };
    default:
      return undefined;
  }
}

function dependencies({ vrf, behavior }: Srv6LocalSidValue): readonly Dependency[] {
  const tables = new Map([["vrf", vrfKey({ family: 6, id: vrf })]]);
  if (vrf === 0) tables.clear();
  if ("vrf" in behavior && behavior.vrf !== 0) {
    const key = vrfKey({ family: behavior.type === "end.dt4" ? 4 : 6, id: behavior.vrf });
    tables.set("vrf to look up in", key);
  }
  const found = [...tables].map(([label, key]) => ({ label, key }));
  return "interface" in behavior ? [...found, onInterface(behavior.interface)] : found;
}
