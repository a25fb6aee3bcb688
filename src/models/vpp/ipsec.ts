import type { Key } from "../../kvscheduler/api/descriptor.ts";
import { check, checkInteger, checkIp } from "./checks.ts";
import { checkInterfaceName } from "./interface.ts";

/* IPsec (RFC 4301): security associations, and tunnels that all packets of are protected by them. */

/** Encryption algorithms: bytes of the key; whether they check integrity as well; whether they take a salt. */
export const IpsecCrypto = {
  "aes-gcm-128": { key: 16, aead: true, salt: true },
  "aes-gcm-192": { key: 24, aead: true, salt: true },
  "aes-gcm-256": { key: 32, aead: true, salt: true },
  "chacha20-poly1305": { key: 32, aead: true, salt: true },
  "aes-cbc-128": { key: 16, aead: false, salt: false },
  "aes-cbc-192": { key: 24, aead: false, salt: false },
  "aes-cbc-256": { key: 32, aead: false, salt: false },
  "aes-ctr-128": { key: 16, aead: false, salt: true },
  "aes-ctr-192": { key: 24, aead: false, salt: true },
  "aes-ctr-256": { key: 32, aead: false, salt: true },
} as const;
export type IpsecCrypto = keyof typeof IpsecCrypto;

/** Integrity algorithms, with the bytes of their keys (RFC 2404, RFC 4868). */
export const IpsecIntegrity = { "sha1-96": 20, "sha-256-128": 32, "sha-384-192": 48, "sha-512-256": 64 } as const;
export type IpsecIntegrity = keyof typeof IpsecIntegrity;

/** One direction of ESP (RFC 4303). */
export interface IpsecSaValue {
  /** VPP's number of it. */
  readonly id: number;
  /** In every packet; from 256, those below are reserved. */
  readonly spi: number;
  readonly direction: "in" | "out";
  readonly crypto: {
    readonly algorithm: IpsecCrypto;
    /** Secret: hexadecimal. */
    readonly key: string;
    /** Secret: 4 bytes, hexadecimal; what the key exchange gives behind the key. GCM, ChaCha20 and CTR need one. */
    readonly salt?: string;
  };
  /** For CBC and CTR, and only for these. */
  readonly integrity?: {
    readonly algorithm: IpsecIntegrity;
    /** Secret: hexadecimal. */
    readonly key: string;
  };
  /** Sequence numbers of 64 bits. */
  readonly extendedSequence: boolean;
  /** Packets that may come late without being taken for repeated ones: a power of 2 from 64; 0: nothing is checked. */
  readonly replayWindow: number;
  /** Tunnel mode: the outer addresses, as the packets have them. Absent: transport mode. */
  readonly tunnel?: { readonly src: string; readonly dst: string; readonly vrf: number };
  /** UDP ports of the packets, for NAT traversal (RFC 3948); absent: no UDP. */
  readonly udp?: { readonly src: number; readonly dst: number };
}

/** All packets of a tunnel (GRE, IP-in-IP, or an IPsec interface) pass these associations. */
export interface IpsecProtectionValue {
  readonly interface: string;
  /** Number of the SA that packets leave by. */
  readonly out: number;
  /** Numbers of those that packets may come by: more than one while keys are changed. At most 4. */
  readonly in: readonly number[];
}

export const IPSEC_SA_PREFIX = "vpp/ipsec-sa/";
export const IPSEC_PROTECTION_PREFIX = "vpp/ipsec-protection/";

export const ipsecSaKey = (id: number): Key => `${IPSEC_SA_PREFIX}${id}`;
export const ipsecProtectionKey = (name: string): Key => `${IPSEC_PROTECTION_PREFIX}${name}`;

/**
 * VPP 26.06 dies of a key whose length is not the algorithm's (of an outbound tunnel). Throws `InvalidValueError`, which
 * tells no key.
 */
export function validateIpsecSa(value: IpsecSaValue): void {
  const { crypto, integrity, tunnel, udp } = value;
  checkInteger(value.id, "id", 0, 0xffff_fffe);
  checkInteger(value.spi, "spi", 256, 0xffff_ffff);
  const { key: bytes, aead, salt } = IpsecCrypto[crypto.algorithm];
  checkSecret(crypto.key, "crypto.key", bytes);
  check(salt === (crypto.salt !== undefined), "crypto.salt", `${crypto.algorithm} ${salt ? "needs" : "has no"} salt`);
  if (crypto.salt !== undefined) checkSecret(crypto.salt, "crypto.salt", 4);
  check(aead === (integrity === undefined), "integrity", `is for CBC and CTR, not for ${crypto.algorithm}`);
  if (integrity !== undefined) checkSecret(integrity.key, "integrity.key", IpsecIntegrity[integrity.algorithm]);
  const { replayWindow } = value;
  checkInteger(replayWindow, "replayWindow", 0, 1 << 16);
  const isWindow = replayWindow === 0 || (replayWindow >= 64 && Number.isInteger(Math.log2(replayWindow)));
  check(isWindow, "replayWindow", `${replayWindow} is neither 0 nor a power of 2 from 64`);
  if (tunnel !== undefined) {
    checkIp(tunnel.dst, "tunnel.dst", checkIp(tunnel.src, "tunnel.src"));
    check(tunnel.src !== tunnel.dst, "tunnel.dst", "is the source");
    checkInteger(tunnel.vrf, "tunnel.vrf", 0, 0xffff_fffe);
  }
  if (udp !== undefined) {
    checkInteger(udp.src, "udp.src", 1, 0xffff);
    checkInteger(udp.dst, "udp.dst", 1, 0xffff);
  }
}

function checkSecret(text: string, field: string, bytes: number): void {
  check(
    /^[0-9a-f]*$/.test(text) && text.length === 2 * bytes,
    field,
    `is not ${bytes} bytes in lower-case hexadecimal`,
  );
}

/** Throws `InvalidValueError`. */
export function validateIpsecProtection(value: IpsecProtectionValue): void {
  checkInterfaceName(value.interface);
  checkInteger(value.out, "out", 0, 0xffff_fffe);
  check(value.in.length > 0 && value.in.length <= 4, "in", `1 to 4, not ${value.in.length}`);
  check(new Set(value.in).size === value.in.length, "in", "has one twice");
  for (const id of value.in) checkInteger(id, "in", 0, 0xffff_fffe);
  check(!value.in.includes(value.out), "in", "an SA has one direction");
}
