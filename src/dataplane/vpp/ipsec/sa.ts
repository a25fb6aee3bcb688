import type { Dependency, Descriptor, Retrieved } from "../../../kvscheduler/api/descriptor.ts";
import { IPSEC_SA_PREFIX, type IpsecSaValue, ipsecSaKey, validateIpsecSa } from "../../../models/vpp/ipsec.ts";
import { vrfKey } from "../../../models/vpp/l3.ts";
import { ifThere, type VppTarget } from "../target.ts";
import { decodeSa, encodeSa } from "./codec.ts";

/** What protections need to know of an SA. */
export interface IpsecSaMetadata {
  readonly direction: "in" | "out";
  readonly isTunnel: boolean;
}

/** Security associations. VPP changes none: a change makes it anew, and what is protected by it before and after it. */
export function ipsecSaDescriptor({ api }: VppTarget): Descriptor<IpsecSaValue, IpsecSaMetadata> {
  return {
    name: "vpp-ipsec-sa",
    keyPrefixes: [IPSEC_SA_PREFIX],
    validate: (_key, value) => validateIpsecSa(value),
    dependencies: (_key, { tunnel }): Dependency[] => {
      if (tunnel === undefined || tunnel.vrf === 0) return [];
      return [{ label: "vrf", key: vrfKey({ family: tunnel.src.includes(":") ? 6 : 4, id: tunnel.vrf }) }];
    },
    // Keys and salt stay out of records.
    describe: (_key, { spi, direction, crypto, tunnel }) =>
      `${direction}, SPI ${spi}, ${crypto.algorithm}${tunnel === undefined ? "" : `, ${tunnel.src} to ${tunnel.dst}`}`,
    async create(_key, value, { signal }) {
      await api.request("ipsec_sad_entry_add_v2", { entry: encodeSa(value) }, { signal });
      return metadataOf(value);
    },
    async delete(_key, { id }, _metadata, { signal }) {
      await ifThere(() => api.request("ipsec_sad_entry_del", { id }, { signal }));
    },
    async retrieve(_correlate, { signal }) {
      const found: Retrieved<IpsecSaValue, IpsecSaMetadata>[] = [];
      for (const { entry } of await api.dump("ipsec_sa_v5_dump", { sa_id: ALL }, { signal })) {
        const value = decodeSa(entry);
        if (value) found.push({ key: ipsecSaKey(value.id), value, metadata: metadataOf(value) });
      }
      return found;
    },
  };
}

/** VPP dumps all of them, whatever is asked for. */
const ALL = 0xffff_ffff;

const metadataOf = ({ direction, tunnel }: IpsecSaValue): IpsecSaMetadata => ({
  direction,
  isTunnel: tunnel !== undefined,
});
