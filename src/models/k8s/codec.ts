import { z } from "zod";
import { type IpAddress, tryParseIp } from "../../base/ip/address.ts";
import { checked, decodeVersioned, ModelError } from "../versioned-json.ts";
import { type K8sKind, k8sKey, type ObjectName, parseK8sKey } from "./keys.ts";
import { decodeValue, encodeValue, isJson } from "./proto/value.ts";

/** How one kind of object is kept in the store: as heddle.proto says; values of earlier Heddles, JSON, are read, too. */
export interface K8sCodec<T extends ObjectName> {
  readonly kind: K8sKind;
  key(object: ObjectName): string;
  /**
   * Equal objects have equal bytes, whatever the order in which their members were made. Throws {@link ModelError} BAD_VALUE
   * for a number that its field can't hold.
   */
  encode(object: T): Uint8Array;
  /** Throws {@link ModelError}, naming the key; also for a value that is about another object than its key. */
  decode(key: string, value: Uint8Array): T;
}

/** Of the values that were JSON. */
const JSON_VERSION = 1;

export function k8sCodec<T extends ObjectName>(kind: K8sKind, schema: z.ZodType<T>): K8sCodec<T> {
  return {
    kind,
    key: (object) => k8sKey(kind, object),
    encode: (object) => encodeValue(kind, k8sKey(kind, object), object),
    decode(key, value) {
      const object = isJson(value)
        ? decodeVersioned(key, value, JSON_VERSION, schema)
        : checked(key, decodeValue(kind, key, value), schema);
      const at = parseK8sKey(key);
      if (at.kind === kind && at.namespace === object.namespace && at.name === object.name) return object;
      throw new ModelError("BAD_VALUE", key, `the value is about ${kind} ${[object.namespace, object.name].join("/")}`);
    },
  };
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
