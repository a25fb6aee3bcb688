import { familyOf, parseIp } from "../../../base/ip/address.ts";
import type { Descriptor, Retrieved } from "../../../kvscheduler/api/descriptor.ts";
import {
  CNAT_TRANSLATION_PREFIX,
  type CnatBackend,
  CnatProto,
  type CnatTranslationValue,
  cnatTranslationKey,
  validateCnatTranslation,
} from "../../../models/vpp/cnat.ts";
import { AddressFamily, CnatLbType, type CnatTranslation, type CnatTranslationInput } from "../binapi/index.ts";
import { ifThere, NO_INDEX, type VppTarget } from "../target.ts";
import { parseExclusive, parseFlowHashes } from "./parse.ts";

/** IP_API_V2_FLOW_HASH_SRC_IP: the source address alone. */
const SOURCE_ONLY = 1;

/**
 * CNAT_TRANSLATION_NO_CLIENT: nothing of it in VPP's routes. One that stands beside the routes of an address would take what was
 * translated to that address for a connection of its own (ip4-cnat-tx looks again).
 */
const NO_CLIENT = 8;

/**
 * Flags of a path that VPP has no use for (cnat_types.h) and tells of, as it does not of what they say: that the rest is
 * said here, the hash of sources alone, an address of an interface. Its CLI would tell, but VPP ends itself when the text of
 * ten thousand translations does not fit into its 16 MiB for messages.
 */
const MARK = { said: 0x40, client: 0x10, real: 0x20 } as const;

/** Services. Metadata: VPP's number of the translation. */
export function cnatTranslationDescriptor({ api }: VppTarget): Descriptor<CnatTranslationValue, number> {
  const set = async (value: CnatTranslationValue, signal: AbortSignal): Promise<number> => {
    const { id } = await api.request("cnat_translation_update", { translation: encodeTranslation(value) }, { signal });
    return id;
  };
  return {
    name: "vpp-cnat-translation",
    keyPrefixes: [CNAT_TRANSLATION_PREFIX],
    concurrency: 256,
    validate: (_key, value) => validateCnatTranslation(value),
    // The order of the backends says nothing.
    equivalent: (_key, a, b) =>
      a.real === b.real && a.balance === b.balance && a.hash === b.hash && sorted(a.backends) === sorted(b.backends),
    describe: (_key, { address, port, backends }) =>
      `${address}:${port} to ${backends.map((b) => `${b.address}:${b.port}`).join(", ")}`,
    create: (_key, value, { signal }) => set(value, signal),
    update: (_key, _before, value, _metadata, { signal }) => set(value, signal),
    // VPP looks at these only when it makes a translation.
    updateNeedsRecreate: (_key, a, b) => a.real !== b.real || a.balance !== b.balance || a.hash !== b.hash,
    async delete(_key, _value, id, { signal }) {
      await ifThere(() => api.request("cnat_translation_del", { id }, { signal }));
    },
    async retrieve(_correlate, { signal }) {
      const dump = await api.dump("cnat_translation_dump", {}, { signal });
      const isSaid = dump.every(({ translation }) => isMarked(translation));
      const [translations, clients] = isSaid
        ? ["", ""]
        : await Promise.all([api.cli("show cnat translation", { signal }), api.cli("show cnat client", { signal })]);
      const hashes = parseFlowHashes(translations);
      const exclusive = parseExclusive(clients);
      return dump.flatMap(({ translation }): Retrieved<CnatTranslationValue, number>[] => {
        const value = decodeTranslation(translation, hashes, exclusive);
        return value === undefined ? [] : [{ key: cnatTranslationKey(value), value, metadata: translation.id }];
      });
    },
  };
}

export function encodeTranslation(value: CnatTranslationValue): CnatTranslationInput {
  const six = familyOf(parseIp(value.address)) === 6;
  const endpoint = (addr: string, port: number) => ({
    addr,
    sw_if_index: NO_INDEX,
    if_af: six ? AddressFamily.ADDRESS_IP6 : AddressFamily.ADDRESS_IP4,
    port,
  });
  const anySource = endpoint(six ? "::" : "0.0.0.0", 0);
  const flags = MARK.said | (value.hash === "client" ? MARK.client : 0) | (value.real ? MARK.real : 0);
  return {
    vip: endpoint(value.address, value.port),
    id: NO_INDEX,
    ip_proto: CnatProto[value.proto],
    is_real_ip: value.real ? 1 : 0,
    flags: value.real ? NO_CLIENT : 0,
    lb_type: value.balance === "maglev" ? CnatLbType.CNAT_LB_TYPE_MAGLEV : CnatLbType.CNAT_LB_TYPE_DEFAULT,
    flow_hash_config: value.hash === "client" ? SOURCE_ONLY : 0,
    paths: value.backends.map(({ address, port }) => ({
      dst_ep: endpoint(address, port),
      src_ep: anySource,
      flags,
    })),
  };
}

/** The inverse of {@link encodeTranslation}, of others' with what the CLI adds; undefined for what the model can't have. */
export function decodeTranslation(
  wire: CnatTranslation,
  hashes: ReadonlyMap<number, number>,
  exclusive: ReadonlySet<string>,
): CnatTranslationValue | undefined {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the keys of a constant
  const proto = (Object.keys(CnatProto) as CnatProto[]).find((name) => CnatProto[name] === wire.ip_proto);
  if (proto === undefined || wire.vip.sw_if_index !== NO_INDEX) return undefined;
  const said = isMarked(wire) ? (wire.paths[0]?.flags ?? 0) : undefined;
  const real = said === undefined ? !exclusive.has(wire.vip.addr) : (said & MARK.real) !== 0;
  const byClient = said === undefined ? hashes.get(wire.id) === SOURCE_ONLY : (said & MARK.client) !== 0;
  return {
    address: wire.vip.addr,
    port: wire.vip.port,
    proto,
    real,
    balance: wire.lb_type === CnatLbType.CNAT_LB_TYPE_MAGLEV ? "maglev" : "default",
    hash: byClient ? "client" : "connection",
    backends: wire.paths.map(({ dst_ep }) => ({ address: dst_ep.addr, port: dst_ep.port })),
  };
}

const isMarked = ({ paths: [first] }: CnatTranslation): boolean =>
  first !== undefined && (first.flags & MARK.said) !== 0;

const sorted = (backends: readonly CnatBackend[]): string =>
  backends
    .map(({ address, port }) => `${address} ${port}`)
    .toSorted()
    .join(",");
