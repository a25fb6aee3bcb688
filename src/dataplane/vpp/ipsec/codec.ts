import { IpsecCrypto, IpsecIntegrity, type IpsecSaValue } from "../../../models/vpp/ipsec.ts";
import {
  type Element,
  IpDscp,
  IpsecCryptoAlg,
  IpsecIntegAlg,
  IpsecProto,
  IpsecSadFlags,
  TunnelMode,
} from "../binapi/index.ts";
import { NO_INDEX } from "../target.ts";

type WireSa = Element<"ipsec_sa_v5_dump">["entry"];

const CRYPTO = {
  "aes-gcm-128": IpsecCryptoAlg.IPSEC_API_CRYPTO_ALG_AES_GCM_128,
  "aes-gcm-192": IpsecCryptoAlg.IPSEC_API_CRYPTO_ALG_AES_GCM_192,
  "aes-gcm-256": IpsecCryptoAlg.IPSEC_API_CRYPTO_ALG_AES_GCM_256,
  "chacha20-poly1305": IpsecCryptoAlg.IPSEC_API_CRYPTO_ALG_CHACHA20_POLY1305,
  "aes-cbc-128": IpsecCryptoAlg.IPSEC_API_CRYPTO_ALG_AES_CBC_128,
  "aes-cbc-192": IpsecCryptoAlg.IPSEC_API_CRYPTO_ALG_AES_CBC_192,
  "aes-cbc-256": IpsecCryptoAlg.IPSEC_API_CRYPTO_ALG_AES_CBC_256,
  "aes-ctr-128": IpsecCryptoAlg.IPSEC_API_CRYPTO_ALG_AES_CTR_128,
  "aes-ctr-192": IpsecCryptoAlg.IPSEC_API_CRYPTO_ALG_AES_CTR_192,
  "aes-ctr-256": IpsecCryptoAlg.IPSEC_API_CRYPTO_ALG_AES_CTR_256,
} as const satisfies Record<IpsecCrypto, IpsecCryptoAlg>;

const INTEGRITY = {
  "sha1-96": IpsecIntegAlg.IPSEC_API_INTEG_ALG_SHA1_96,
  "sha-256-128": IpsecIntegAlg.IPSEC_API_INTEG_ALG_SHA_256_128,
  "sha-384-192": IpsecIntegAlg.IPSEC_API_INTEG_ALG_SHA_384_192,
  "sha-512-256": IpsecIntegAlg.IPSEC_API_INTEG_ALG_SHA_512_256,
} as const satisfies Record<IpsecIntegrity, IpsecIntegAlg>;

const {
  IPSEC_API_SAD_FLAG_USE_ESN: ESN,
  IPSEC_API_SAD_FLAG_USE_ANTI_REPLAY: ANTI_REPLAY,
  IPSEC_API_SAD_FLAG_IS_TUNNEL: TUNNEL,
  IPSEC_API_SAD_FLAG_UDP_ENCAP: UDP,
  IPSEC_API_SAD_FLAG_IS_INBOUND: INBOUND,
} = IpsecSadFlags;

export function encodeSa(value: IpsecSaValue) {
  const { crypto, integrity, tunnel, udp } = value;
  return {
    sad_id: value.id,
    spi: value.spi,
    protocol: IpsecProto.IPSEC_API_PROTO_ESP,
    crypto_algorithm: CRYPTO[crypto.algorithm],
    crypto_key: encodeKey(crypto.key),
    integrity_algorithm:
      integrity === undefined ? IpsecIntegAlg.IPSEC_API_INTEG_ALG_NONE : INTEGRITY[integrity.algorithm],
    integrity_key: encodeKey(integrity?.key ?? ""),
    flags:
      (value.extendedSequence ? ESN : 0) |
      (value.replayWindow > 0 ? ANTI_REPLAY : 0) |
      (tunnel === undefined ? 0 : TUNNEL) |
      (udp === undefined ? 0 : UDP) |
      (value.direction === "in" ? INBOUND : 0),
    tunnel: {
      instance: NO_INDEX,
      src: tunnel?.src ?? "0.0.0.0",
      dst: tunnel?.dst ?? "0.0.0.0",
      sw_if_index: NO_INDEX,
      table_id: tunnel?.vrf ?? 0,
      mode: TunnelMode.TUNNEL_API_MODE_P2P,
      dscp: IpDscp.IP_API_DSCP_CS0,
      hop_limit: 0,
    },
    // VPP copies the four bytes as they come.
    salt: Buffer.from(crypto.salt ?? "00000000", "hex").readUInt32BE(),
    ...(udp === undefined ? {} : { udp_src_port: udp.src, udp_dst_port: udp.dst }),
    anti_replay_window_size: value.replayWindow,
  };
}

/** The inverse of {@link encodeSa}; undefined for what the model has no words for, such as AH. */
export function decodeSa(wire: WireSa): IpsecSaValue | undefined {
  const algorithm = nameIn(CRYPTO, wire.crypto_algorithm);
  const integrity = nameIn(INTEGRITY, wire.integrity_algorithm);
  if (wire.protocol !== IpsecProto.IPSEC_API_PROTO_ESP || algorithm === undefined) return undefined;
  const has = (flag: number) => (wire.flags & flag) !== 0;
  const { src, dst, table_id: vrf } = wire.tunnel;
  const salt = Buffer.alloc(4);
  // It does not copy them as they are when it dumps them, but turned round.
  salt.writeUInt32LE(wire.salt);
  return {
    id: wire.sad_id,
    spi: wire.spi,
    direction: has(INBOUND) ? "in" : "out",
    crypto: {
      algorithm,
      key: decodeKey(wire.crypto_key),
      ...(IpsecCrypto[algorithm].salt ? { salt: salt.toString("hex") } : {}),
    },
    ...(integrity === undefined ? {} : { integrity: { algorithm: integrity, key: decodeKey(wire.integrity_key) } }),
    extendedSequence: has(ESN),
    replayWindow: has(ANTI_REPLAY) ? wire.anti_replay_window_size : 0,
    ...(has(TUNNEL) ? { tunnel: { src, dst, vrf } } : {}),
    ...(has(UDP) ? { udp: { src: wire.udp_src_port, dst: wire.udp_dst_port } } : {}),
  };
}

/** `key` of ipsec_types.api has room for 128 bytes. */
function encodeKey(hex: string): { readonly length: number; readonly data: Uint8Array } {
  const key = Buffer.from(hex, "hex");
  return { length: key.length, data: Buffer.concat([key], 128) };
}

const decodeKey = ({ length, data }: WireSa["crypto_key"]): string =>
  Buffer.from(data.subarray(0, length)).toString("hex");

/** The name of a number. */
function nameIn<N extends string>(names: Readonly<Record<N, number>>, number: number): N | undefined {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the keys of a constant
  return (Object.keys(names) as N[]).find((name) => names[name] === number);
}
