import { z } from "zod";
import { InvalidValueError } from "../kvscheduler/api/errors.ts";
import { isNodeName } from "./node.ts";
import { decodeVersioned, encodeVersioned, ModelError } from "./versioned-json.ts";
import { check, checkInteger, checkIp } from "./vpp/checks.ts";
import { checkWireguardKey } from "./vpp/interface-kinds.ts";

// What a node is to configure, beside what it does by itself:
//   /heddle/config/<node>/wire/<name>  {"v":1,"layer":"l2","ends":[{…},{…}]}  written by people and by controllers

const CONFIG_PREFIX = "/heddle/config/";
const VERSION = 1;

/** Everything that one node is to configure. */
export function configPrefix(node: string): string {
  if (!isNodeName(node)) {
    throw new ModelError("BAD_KEY", CONFIG_PREFIX, `${JSON.stringify(node)} can't be a node's name`);
  }
  return `${CONFIG_PREFIX}${node}/`;
}

export const wirePrefix = (node: string): string => `${configPrefix(node)}wire/`;
export const wireKey = (node: string, name: string): string => `${wirePrefix(node)}${name}`;

/** A further interface of a pod on the node (`heddle.dev/interfaces`). */
export interface PodEnd {
  /** `namespace/name` */
  readonly pod: string;
  readonly interface: string;
  /** L3: what the pod has on the interface, one a family at most; packets of other families do not pass. */
  readonly addresses?: readonly string[] | undefined;
  /** L3: Ethernet address of the pod's end. Needed for memif; of a device of the kernel it is known. */
  readonly mac?: string | undefined;
}

/** Frames in UDP, to and from another machine (RFC 7348). */
export interface VxlanEnd {
  readonly vxlan: {
    readonly remote: string;
    /** 1 to 2²⁴ - 1; both ends have the same, and no other wire between the two machines has it. */
    readonly vni: number;
    /** UDP port of both ends; 4789 if absent. */
    readonly port?: number | undefined;
  };
}

/** Frames in IPv6, along segments (End.DX2, RFC 8986 section 4.9). */
export interface Srv6End {
  readonly srv6: {
    /** What the other end sends to. */
    readonly sid: string;
    /** The way to the other end, whose SID is the last: 1 to 16. */
    readonly segments: readonly string[];
    /** Next hop for the first segment; absent: there is a route to it. */
    readonly via?: string | undefined;
  };
}

/** Packets, encrypted, in UDP. */
export interface WireguardEnd {
  readonly wireguard: {
    /** UDP port of this end. */
    readonly port: number;
    /** Secret: 32 bytes, Base64. */
    readonly privateKey: string;
    /** Of the other end. */
    readonly publicKey: string;
    /** Secret: 32 bytes, Base64. */
    readonly presharedKey?: string | undefined;
    /** Where the other end is. */
    readonly endpoint: { readonly address: string; readonly port: number };
    /** Seconds between packets that keep a NAT open; 0 or absent: none. */
    readonly keepalive?: number | undefined;
  };
}

export type WireEnd = PodEnd | Srv6End | VxlanEnd | WireguardEnd;

/** Two ends that are joined: what comes in by one goes out by the other, and nowhere else. */
export interface Wire {
  readonly name: string;
  /** Ethernet frames as they are; or IP packets, routed from end to end without a look at their destinations. */
  readonly layer: "l2" | "l3";
  readonly ends: readonly [WireEnd, WireEnd];
}

const ip = z.string();
const podEnd = z.strictObject({
  pod: z.string(),
  interface: z.string(),
  addresses: z.array(ip).optional(),
  mac: z.string().optional(),
});
const vxlanEnd = z.strictObject({
  vxlan: z.strictObject({ remote: ip, vni: z.number(), port: z.number().optional() }),
});
const srv6End = z.strictObject({
  srv6: z.strictObject({ sid: ip, segments: z.array(ip), via: ip.optional() }),
});
const wireguardEnd = z.strictObject({
  wireguard: z.strictObject({
    port: z.number(),
    privateKey: z.string(),
    publicKey: z.string(),
    presharedKey: z.string().optional(),
    endpoint: z.strictObject({ address: ip, port: z.number() }),
    keepalive: z.number().optional(),
  }),
});

/** By the member that tells its kind: of a union nobody could say what is wrong. */
const end = z.looseObject({}).transform((value, context): WireEnd => {
  const schema = "vxlan" in value ? vxlanEnd : "srv6" in value ? srv6End : "wireguard" in value ? wireguardEnd : podEnd;
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  for (const { path, message } of parsed.error.issues) context.addIssue({ code: "custom", path: [...path], message });
  return z.NEVER;
});
const record = z.object({ layer: z.enum(["l2", "l3"]), ends: z.tuple([end, end]) });

export const encodeWire = ({ layer, ends }: Wire): Uint8Array => encodeVersioned(VERSION, { layer, ends });

/** Throws {@link ModelError} that names the key, for keys and values that make no wire. Secrets are in no message. */
export function decodeWire(prefix: string, key: string, value: Uint8Array): Wire {
  const name = key.slice(prefix.length);
  if (!isWireName(name)) throw new ModelError("BAD_KEY", key, "the name of a wire has 1 to 30 of a-z, 0-9, - and .");
  const wire = { name, ...decodeVersioned(key, value, VERSION, record) };
  try {
    validateWire(wire);
  } catch (e) {
    if (e instanceof InvalidValueError) throw new ModelError("BAD_VALUE", key, e.message, { cause: e });
    throw e;
  }
  return wire;
}

/** It is part of names of VPP's interfaces. */
export const isWireName = (name: string): boolean => /^[a-z0-9]([a-z0-9.-]{0,28}[a-z0-9])?$/.test(name);

/** What the shape does not say. Throws `InvalidValueError`. */
export function validateWire({ layer, ends }: Wire): void {
  for (const [i, one] of ends.entries()) {
    const field = `ends[${i}]`;
    if ("pod" in one) validatePodEnd(one, layer, field);
    else if ("vxlan" in one) {
      carries("l2", layer, `${field}.vxlan`);
      checkIp(one.vxlan.remote, `${field}.vxlan.remote`);
      checkInteger(one.vxlan.vni, `${field}.vxlan.vni`, 1, 0xff_ffff);
      if (one.vxlan.port !== undefined) checkInteger(one.vxlan.port, `${field}.vxlan.port`, 1, 0xffff);
    } else if ("srv6" in one) {
      carries("l2", layer, `${field}.srv6`);
      validateSrv6End(one, `${field}.srv6`);
    } else {
      carries("l3", layer, `${field}.wireguard`);
      validateWireguardEnd(one, `${field}.wireguard`);
    }
  }
  const [first, second] = ends;
  const same = "pod" in first && "pod" in second && first.pod === second.pod && first.interface === second.interface;
  check(!same, "ends[1]", "is the same interface as ends[0]");
}

const carries = (what: Wire["layer"], layer: Wire["layer"], field: string): void =>
  check(what === layer, field, what === "l2" ? "carries frames: layer is l2" : "carries packets: layer is l3");

function validatePodEnd(end: PodEnd, layer: Wire["layer"], field: string): void {
  check(/^[a-z0-9.-]+\/[a-z0-9.-]+$/.test(end.pod), `${field}.pod`, `${JSON.stringify(end.pod)} is not namespace/name`);
  check(end.interface !== "", `${field}.interface`, "is empty");
  if (layer === "l3") return checkAddresses(end.addresses ?? [], `${field}.addresses`);
  check(end.addresses === undefined, `${field}.addresses`, "is for layer l3");
  check(end.mac === undefined, `${field}.mac`, "is for layer l3");
}

function validateSrv6End({ srv6 }: Srv6End, field: string): void {
  const { length } = srv6.segments;
  check(length > 0 && length <= 16, `${field}.segments`, `1 to 16, not ${length}`);
  for (const segment of srv6.segments) checkIp(segment, `${field}.segments`, 6);
  checkIp(srv6.sid, `${field}.sid`, 6);
  check(!srv6.segments.includes(srv6.sid), `${field}.segments`, "has this end's own SID");
  if (srv6.via !== undefined) checkIp(srv6.via, `${field}.via`, 6);
}

function validateWireguardEnd({ wireguard }: WireguardEnd, field: string): void {
  checkInteger(wireguard.port, `${field}.port`, 1, 0xffff);
  checkWireguardKey(wireguard.privateKey, `${field}.privateKey`);
  checkWireguardKey(wireguard.publicKey, `${field}.publicKey`);
  if (wireguard.presharedKey !== undefined) checkWireguardKey(wireguard.presharedKey, `${field}.presharedKey`);
  checkIp(wireguard.endpoint.address, `${field}.endpoint.address`);
  checkInteger(wireguard.endpoint.port, `${field}.endpoint.port`, 1, 0xffff);
  checkInteger(wireguard.keepalive ?? 0, `${field}.keepalive`, 0, 0xffff);
}

function checkAddresses(addresses: readonly string[], field: string): void {
  const families = addresses.map((address) => checkIp(address, field));
  check(families.length > 0 && new Set(families).size === families.length, field, "one address a family, one at least");
}
