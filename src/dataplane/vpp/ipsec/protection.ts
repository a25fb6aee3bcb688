import type { Descriptor, OpContext, Retrieved } from "../../../kvscheduler/api/descriptor.ts";
import { InvalidValueError } from "../../../kvscheduler/api/errors.ts";
import {
  IPSEC_PROTECTION_PREFIX,
  type IpsecProtectionValue,
  ipsecProtectionKey,
  ipsecSaKey,
  validateIpsecProtection,
} from "../../../models/vpp/ipsec.ts";
import { INTERFACES, ifThere, indexOf, NO_INDEX, onInterface, type VppTarget } from "../target.ts";
import type { IpsecSaMetadata } from "./sa.ts";

/** A tunnel between two ends has one protection, for whatever next hop. */
const ANY_NEXT_HOP = "0.0.0.0";

/** VPP's names of devices whose packets can be protected, and whether their SAs have to be in tunnel mode. */
const DEVICES: Readonly<Record<string, boolean>> = {
  "IPIP tunnel device": false,
  "GRE tunnel device": false,
  "IPSEC Tunnel": true,
};

/**
 * Protections of tunnels. SAs are changed in place. What VPP refuses here it does not clean up (SAs stay locked, half a
 * protection stays on the interface), so it is checked before: the interface is a tunnel, the modes of the SAs agree.
 */
export function ipsecProtectionDescriptor(vpp: VppTarget): Descriptor<IpsecProtectionValue, undefined> {
  const { api } = vpp;
  const set = async (value: IpsecProtectionValue, ctx: OpContext): Promise<undefined> => {
    const sw_if_index = indexOf(vpp, value.interface);
    await check(value, sw_if_index, ctx);
    const tunnel = { sw_if_index, nh: ANY_NEXT_HOP, sa_out: value.out, sa_in: value.in };
    await api.request("ipsec_tunnel_protect_update", { tunnel }, { signal: ctx.signal });
    return undefined;
  };
  const check = async (value: IpsecProtectionValue, sw_if_index: number, ctx: OpContext): Promise<void> => {
    const input = { sw_if_index, name_filter_valid: false };
    const [details] = await api.dump("sw_interface_dump", input, { signal: ctx.signal });
    const device = details?.interface_dev_type ?? "";
    const needsTunnel = DEVICES[device];
    if (needsTunnel === undefined) throw refused("interface", `VPP protects no ${device}`);
    const sas = [value.out, ...value.in].map((id) => ctx.metadata<IpsecSaMetadata>(ipsecSaKey(id)));
    for (const [i, sa] of sas.entries()) {
      if (sa === undefined) throw new Error("an SA has gone");
      if ((sa.direction === "out") !== (i === 0)) {
        throw refused(i === 0 ? "out" : "in", "is an SA of the other direction");
      }
      if (sa.isTunnel !== sas[0]?.isTunnel) throw refused("in", "an SA of another mode than that of the way out");
      if (needsTunnel && !sa.isTunnel) throw refused("out", "an IPsec interface needs SAs in tunnel mode");
    }
  };
  return {
    name: "vpp-ipsec-protection",
    keyPrefixes: [IPSEC_PROTECTION_PREFIX],
    retrieveAfter: [INTERFACES, "vpp-ipsec-sa"],
    validate: (_key, value) => validateIpsecProtection(value),
    equivalent: (_key, a, b) => a.out === b.out && inOrder(a) === inOrder(b),
    dependencies: (_key, value) => [
      onInterface(value.interface),
      ...[value.out, ...value.in].map((id) => ({ label: `sa ${id}`, key: ipsecSaKey(id) })),
    ],
    describe: (_key, value) => `out by ${value.out}, in by ${value.in.join(", ")}`,
    create: (_key, value, ctx) => set(value, ctx),
    update: (_key, _before, value, _metadata, ctx) => set(value, ctx),
    async delete(_key, value, _metadata, { signal }) {
      const sw_if_index = vpp.indexOf(value.interface);
      if (sw_if_index === undefined) return;
      await ifThere(() => api.request("ipsec_tunnel_protect_del", { sw_if_index, nh: ANY_NEXT_HOP }, { signal }));
    },
    async retrieve(_correlate, { signal }) {
      const tunnels = await api.dump("ipsec_tunnel_protect_dump", { sw_if_index: NO_INDEX }, { signal });
      return tunnels.flatMap(({ tun }): Retrieved<IpsecProtectionValue, undefined>[] => {
        const name = vpp.nameOf(tun.sw_if_index);
        if (name === undefined) return [];
        const value = { interface: name, out: tun.sa_out, in: tun.sa_in };
        return [{ key: ipsecProtectionKey(name), value, metadata: undefined }];
      });
    },
  };
}

const refused = (field: string, why: string) => new InvalidValueError(`${field}: ${why}`, [field]);
const inOrder = (value: IpsecProtectionValue): string => value.in.toSorted((a, b) => a - b).join();
