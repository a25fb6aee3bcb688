import type { Descriptor } from "../../../kvscheduler/api/descriptor.ts";
import { vrfKey } from "../../../models/vpp/l3.ts";
import {
  SOURCE_CHECK_PREFIX,
  type SourceCheckValue,
  sourceCheckKey,
  validateSourceCheck,
} from "../../../models/vpp/urpf.ts";
import { AddressFamily, type Element, UrpfMode } from "../binapi/index.ts";
import { FoundOnInterfaces } from "../found.ts";
import { INTERFACES, ifThere, indexOf, NO_INDEX, onInterface, type VppTarget } from "../target.ts";

const FAMILIES = { 4: AddressFamily.ADDRESS_IP4, 6: AddressFamily.ADDRESS_IP6 } as const;

/** Strict reverse path checks (uRPF) of what interfaces receive, in a table of choice. */
export function sourceCheckDescriptor(vpp: VppTarget): Descriptor<SourceCheckValue, undefined> {
  const { api } = vpp;
  const strict = async (
    { interface: name, family, vrf }: SourceCheckValue,
    signal: AbortSignal,
  ): Promise<undefined> => {
    const place = { is_input: true, af: FAMILIES[family], sw_if_index: indexOf(vpp, name) };
    const input = { ...place, mode: UrpfMode.URPF_API_MODE_STRICT, table_id: vrf };
    await api.request("urpf_update_v2", input, { signal });
    return undefined;
  };
  /** Without a table: VPP would name it in its dump when it is gone already. */
  const off = async ({ interface: name, family }: SourceCheckValue, signal: AbortSignal): Promise<void> => {
    const sw_if_index = vpp.indexOf(name);
    if (sw_if_index === undefined) return;
    const place = { is_input: true, af: FAMILIES[family], sw_if_index };
    const input = { ...place, mode: UrpfMode.URPF_API_MODE_OFF, table_id: NO_INDEX };
    await ifThere(() => api.request("urpf_update_v2", input, { signal }));
  };
  const found = new FoundOnInterfaces<Element<"urpf_interface_dump">, SourceCheckValue>(vpp, (element) => element);
  return {
    name: "vpp-source-check",
    keyPrefixes: [SOURCE_CHECK_PREFIX],
    retrieveAfter: [INTERFACES],
    concurrency: 64,
    validate: (_key, value) => validateSourceCheck(value),
    equivalent: (_key, a, b) => a.interface === b.interface && a.family === b.family && a.vrf === b.vrf,
    dependencies: (_key, value) => [
      onInterface(value.interface),
      ...(value.vrf === 0 ? [] : [{ label: "table", key: vrfKey({ family: value.family, id: value.vrf }) }]),
      ...(value.requires ?? []).map((key) => ({ label: key, key })),
    ],
    describe: (_key, { family, vrf }) => `IPv${family}, by table ${vrf}`,
    async create(_key, value, { signal }) {
      // What an interface of the same number has left: VPP would take it for done. It does what it is asked in order.
      await Promise.all([off(value, signal), strict(value, signal)]);
      return undefined;
    },
    // VPP puts one table in the place of the other.
    update: (_key, _before, value, _metadata, { signal }) => strict(value, signal),
    delete: (_key, value, _metadata, { signal }) => off(value, signal),
    async retrieve(_correlate, { signal }) {
      const elements = await api.dump("urpf_interface_dump", { sw_if_index: NO_INDEX }, { signal });
      return found.of(elements, (one, name, former) => {
        if (former) return former;
        if (!one.is_input || one.mode !== UrpfMode.URPF_API_MODE_STRICT) return undefined;
        const family = one.af === AddressFamily.ADDRESS_IP4 ? 4 : 6;
        const value: SourceCheckValue = { interface: name, family, vrf: one.table_id };
        return { key: sourceCheckKey(value), value, metadata: undefined };
      });
    },
  };
}
