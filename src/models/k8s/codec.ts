import { z } from "zod";
import { type IpAddress, tryParseIp } from "../../base/ip/address.ts";
import { decodeVersioned, encodeVersioned, ModelError } from "../versioned-json.ts";
import { type K8sKind, k8sKey, type ObjectName } from "./keys.ts";

/** How one kind of object is kept in the store. */
export interface K8sCodec<T extends ObjectName> {
  readonly kind: K8sKind;
  readonly version: number;
  key(object: ObjectName): string;
  /** Equal objects have equal bytes, whatever the order in which their members were made. */
  encode(object: T): Uint8Array;
  /** Throws {@link ModelError}, naming the key; also for a value that is about another object than its key. */
  decode(key: string, value: Uint8Array): T;
}

export function k8sCodec<T extends ObjectName>(kind: K8sKind, version: number, schema: z.ZodType<T>): K8sCodec<T> {
  return {
    kind,
    version,
    key: (object) => k8sKey(kind, object),
    encode: (object) => encodeVersioned(version, sorted(object) as Record<string, unknown>),
    decode(key, value) {
      const object = decodeVersioned(key, value, version, schema);
      if (k8sKey(kind, object) === key) return object;
      throw new ModelError("BAD_VALUE", key, `the value is about ${kind} ${[object.namespace, object.name].join("/")}`);
    },
  };
}

/** Members in alphabetical order at every depth; undefined ones and empty `unknown` lists are left out. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).filter(([, v]) => v !== undefined);
  entries.sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([k, v]) => [k, sorted(v)]));
}

/**
 * A part of a policy. Members that this Heddle doesn't know are not dropped silently, their names come to stand in `unknown`:
 * who evaluates a policy must know that there is more to it (an unknown field fails closed).
 */
export function openObject<S extends z.core.$ZodLooseShape>(shape: S, dropped: readonly string[] = []) {
  const known = new Set([...Object.keys(shape), "unknown"]);
  return z
    .looseObject({ ...shape, unknown: z.array(z.string()).optional() })
    .transform((object): z.output<z.ZodObject<S>> & { unknown?: string[] } => {
      const names = Object.keys(object);
      if (names.every((k) => known.has(k))) return object as never;
      const kept = Object.fromEntries(Object.entries(object).filter(([k]) => known.has(k)));
      const more = names.filter((k) => !known.has(k) && !dropped.includes(k));
      if (more.length === 0) return kept as never;
      const listed: readonly string[] = Array.isArray(object["unknown"]) ? object["unknown"] : [];
      const unknown: string[] = [...new Set([...listed, ...more])].sort();
      return { ...kept, unknown } as never;
    });
}

/** A whole policy: as {@link openObject}, its version is a matter of the codec. */
export const openRecord = <S extends z.core.$ZodLooseShape>(shape: S) => openObject(shape, ["v"]);

export const labelMap = z.record(z.string(), z.string());

export const ip = z.string().transform((text, context): IpAddress => {
  const parsed = tryParseIp(text);
  if (parsed !== undefined) return parsed;
  context.addIssue({ code: "custom", message: `${JSON.stringify(text)} is not an IP address` });
  return z.NEVER;
});

/** The members that every object has. */
export const namespacedMeta = { namespace: z.string().min(1), name: z.string().min(1), uid: z.string() };
export const clusterMeta = { namespace: z.literal(""), name: z.string().min(1), uid: z.string() };

/** Port 0 is none. */
export const portNumber = z.int().min(1).max(65_535);
