import { z } from "zod";
import { type IpAddress, tryParseIp } from "../base/ip/address.ts";
import { formatCidr, parseNetwork } from "../base/ip/cidr.ts";
import { type MacAddress, parseMac } from "../base/ip/mac.ts";
import { decodeVersioned, encodeVersioned, ModelError } from "./versioned-json.ts";

// What the store knows of nodes:
//   /heddle/nodes/ids/<id>     {"v":1,"name":"n1","uid":"…"}   the ID is taken; made by compare-and-swap
//   /heddle/nodes/names/<name> {"v":1,"id":1,"uid":"…"}        the same from the other side, in the same transaction: one
//                                                              name can't come to hold two IDs
//   /heddle/nodes/info/<name>  {"v":1,"name":"n1","id":1,…}    what peers need to reach the node; written by its agent

export const NODES_PREFIX = "/heddle/nodes/";
export const NODE_IDS_PREFIX = `${NODES_PREFIX}ids/`;
export const NODE_NAMES_PREFIX = `${NODES_PREFIX}names/`;
export const NODE_INFO_PREFIX = `${NODES_PREFIX}info/`;

const VERSION = 1;

/** How a node's pods reach those of other nodes. */
export type Overlay = "none" | "vxlan";

/** A node as its peers see it. */
export interface NodeInfo {
  readonly name: string;
  readonly id: number;
  /** Addresses on the network between nodes, at most a few; empty while not known. */
  readonly underlayIps: readonly IpAddress[];
  /** Networks of the node's pods as canonical text. */
  readonly podCIDRs: readonly string[];
  /** Of the node's end of the overlay. */
  readonly vtepMac: MacAddress;
  readonly overlay: Overlay;
  /** Of the agent that wrote this. */
  readonly version: string;
  /** UID of the Kubernetes Node: tells a node from a later one of the same name. */
  readonly uid?: string | undefined;
  /** Egress addresses of namespaces that the node has; absent if none. */
  readonly egress?: readonly EgressClaim[] | undefined;
}

/** An address that a namespace asks for, and that is one of the node's own. */
export interface EgressClaim {
  readonly ip: IpAddress;
  /** When the node got it, by its clock: milliseconds since 1970. The last one to get an address has it. */
  readonly since: number;
}

/** Who has an ID. */
export interface NodeIdRecord {
  readonly name: string;
  readonly uid?: string | undefined;
}

/** Which ID a name has. */
export interface NodeNameRecord {
  readonly id: number;
  readonly uid?: string | undefined;
}

/** A parsed key below {@link NODES_PREFIX}. */
export type NodeKey =
  | { readonly kind: "id"; readonly id: number }
  | { readonly kind: "info"; readonly name: string }
  | { readonly kind: "name"; readonly name: string };

export const nodeIdKey = (id: number): string => `${NODE_IDS_PREFIX}${id}`;
export const nodeNameKey = (name: string): string => `${NODE_NAMES_PREFIX}${checkName(name)}`;
export const nodeInfoKey = (name: string): string => `${NODE_INFO_PREFIX}${checkName(name)}`;

/** Throws {@link ModelError} BAD_KEY for keys below {@link NODES_PREFIX} that mean nothing to us. */
export function parseNodeKey(key: string): NodeKey {
  if (key.startsWith(NODE_IDS_PREFIX)) {
    const text = key.slice(NODE_IDS_PREFIX.length);
    if (/^[1-9][0-9]{0,9}$/.test(text)) return { kind: "id", id: Number(text) };
  } else {
    for (const [kind, prefix] of [
      ["name", NODE_NAMES_PREFIX],
      ["info", NODE_INFO_PREFIX],
    ] as const) {
      const name = key.slice(prefix.length);
      if (key.startsWith(prefix) && isNodeName(name)) return { kind, name };
    }
  }
  throw new ModelError("BAD_KEY", key, "unknown key");
}

/**
 * What can be a node's name: letters, digits, `-`, `_` and `.`, 253 characters at most. Wider than Kubernetes allows, but
 * always a single part of a key.
 */
export const isNodeName = (name: string): boolean => /^[A-Za-z0-9]([A-Za-z0-9._-]{0,252})$/.test(name);

function checkName(name: string): string {
  if (isNodeName(name)) return name;
  throw new ModelError("BAD_KEY", NODES_PREFIX, `${JSON.stringify(name)} can't be a node's name`);
}

/** Of one node. */
export const MAX_CLAIMS = 256;

const id = z.int().min(1).max(0xffff_ffff);
const name = z.string().refine(isNodeName, "not a node's name");
const uid = z.string().min(1).optional();

/** A string that `parse` accepts, as `parse` returns it. */
const parsedBy = <T>(parse: (text: string) => T) =>
  z.string().transform((text, context): T => {
    try {
      return parse(text);
    } catch (e) {
      context.addIssue({ code: "custom", message: e instanceof Error ? e.message : String(e) });
      return z.NEVER;
    }
  });

const ip = parsedBy((text) => {
  const parsed = tryParseIp(text);
  if (parsed === undefined) throw new Error(`${JSON.stringify(text)} is not an IP address`);
  return parsed;
});

const idRecord = z.object({ name, uid });
const nameRecord = z.object({ id, uid });
const infoRecord = z.object({
  name,
  id,
  underlayIps: z.array(ip).max(16),
  podCIDRs: z.array(parsedBy((text) => formatCidr(parseNetwork(text)))).max(64),
  vtepMac: parsedBy(parseMac),
  overlay: z.enum(["vxlan", "none"]),
  version: z.string(),
  uid,
  egress: z
    .array(z.object({ ip, since: z.number() }))
    .max(MAX_CLAIMS)
    .optional(),
});

export const encodeNodeId = (r: NodeIdRecord): Uint8Array => encodeVersioned(VERSION, { name: r.name, uid: r.uid });
export const encodeNodeName = (r: NodeNameRecord): Uint8Array => encodeVersioned(VERSION, { id: r.id, uid: r.uid });

export function encodeNodeInfo(info: NodeInfo): Uint8Array {
  const { name, id, underlayIps, podCIDRs, vtepMac, overlay, version, uid, egress } = info;
  return encodeVersioned(VERSION, { name, id, underlayIps, podCIDRs, vtepMac, overlay, version, uid, egress });
}

/** Throws {@link ModelError}, naming the key. So do the other two. */
export const decodeNodeId = (key: string, value: Uint8Array): NodeIdRecord =>
  decodeVersioned(key, value, VERSION, idRecord);

export const decodeNodeName = (key: string, value: Uint8Array): NodeNameRecord =>
  decodeVersioned(key, value, VERSION, nameRecord);

/** Also refuses an info that lies under another node's name. */
export function decodeNodeInfo(key: string, value: Uint8Array): NodeInfo {
  const info = decodeVersioned(key, value, VERSION, infoRecord);
  if (nodeInfoKey(info.name) !== key) throw new ModelError("BAD_VALUE", key, `the value is about node ${info.name}`);
  return info;
}
