import { HeddleError } from "../../base/errors/errors.ts";

export type ConvertErrorCode =
  /** Not a Kubernetes object: no mapping, or no name. Nothing can be reflected of it. */
  "NOT_AN_OBJECT";

/** Something that can't be reflected at all. The message names what is lacking. */
export class ConvertError extends HeddleError<ConvertErrorCode> {}

export type Json = Readonly<Record<string, unknown>>;

/** JSON null is as good as absent, as it is for the API server. */
export const isMapping = (v: unknown): v is Json => typeof v === "object" && v !== null && !Array.isArray(v);

/** A mapping, or an empty one. For what is only read where it is right: statuses and the like. */
export const mapping = (v: unknown): Json => (isMapping(v) ? v : {});
export const list = (v: unknown): readonly unknown[] => (Array.isArray(v) ? v : []);
export const text = (v: unknown): string | undefined => (typeof v === "string" && v !== "" ? v : undefined);
export const texts = (v: unknown): string[] => list(v).flatMap((t) => text(t) ?? []);
export const whole = (v: unknown): number | undefined => (Number.isInteger(v) ? Number(v) : undefined);
export const oneOf = <T extends string>(values: readonly T[], v: unknown): T | undefined => values.find((x) => x === v);

/** Labels or annotations: values that are no strings don't come through an API server. */
export const stringMap = (v: unknown): Record<string, string> =>
  Object.fromEntries(Object.entries(mapping(v)).flatMap(([k, x]) => (typeof x === "string" ? [[k, x]] : [])));

/** How a member is read: undefined if its type is wrong. */
export type Read<T> = (v: unknown) => T | undefined;

export const asText: Read<string> = (v) => (typeof v === "string" ? v : undefined);
export const asNumber: Read<number> = (v) => (typeof v === "number" ? v : undefined);
export const asNumberOrText: Read<number | string> = (v) => asNumber(v) ?? asText(v);
export const asTexts: Read<string[]> = (v) =>
  Array.isArray(v) && v.every((x) => typeof x === "string") ? v : undefined;
export const asStringMap: Read<Record<string, string>> = (v) =>
  isMapping(v) && Object.values(v).every((x) => typeof x === "string") ? stringMap(v) : undefined;
/** Whatever the items are: an item that is no mapping is an item with an unknown member. */
export const asListOf =
  <T>(convert: (members: Members) => T): Read<T[]> =>
  (v) =>
    Array.isArray(v) ? v.map((item) => convert(new Members(item))) : undefined;
export const asMappingOf =
  <T>(convert: (members: Members) => T): Read<T> =>
  (v) =>
    isMapping(v) ? convert(new Members(v)) : undefined;

/**
 * The members of a part of a policy. Takes notice of every member: those that nobody asked for, and those of a wrong type,
 * end up in {@link unknown}, so that no restriction is lost without a trace.
 */
export class Members {
  readonly #json: Json;
  readonly #asked = new Set<string>();
  readonly #wrong = new Set<string>();

  constructor(value: unknown) {
    this.#json = mapping(value);
    if (value != null && !isMapping(value)) this.#wrong.add("(no mapping)");
  }

  get<T>(name: string, read: Read<T>): T | undefined {
    this.#asked.add(name);
    const value = this.#json[name];
    if (value == null) return undefined;
    const result = read(value);
    if (result === undefined) this.#wrong.add(name);
    return result;
  }

  /** To be called last. As a spread: `{}` if there are none. */
  unknown(): { unknown?: string[] } {
    const more = Object.keys(this.#json).filter((k) => this.#json[k] != null && !this.#asked.has(k));
    const all = [...this.#wrong, ...more].sort();
    return all.length === 0 ? {} : { unknown: all };
  }
}

/** Without the members that are undefined. */
export function present<T extends object>(object: T): T {
  return Object.fromEntries(Object.entries(object).filter(([, v]) => v !== undefined)) as T;
}

/** Name, namespace and UID of an object. Throws {@link ConvertError}. */
export function metaOf(object: unknown): { namespace: string; name: string; uid: string; meta: Json } {
  const meta = mapping(mapping(object)["metadata"]);
  const name = text(meta["name"]);
  if (name === undefined) throw new ConvertError("NOT_AN_OBJECT", "the object has no metadata.name");
  return { namespace: text(meta["namespace"]) ?? "default", name, uid: text(meta["uid"]) ?? "", meta };
}

/** The same for kinds without namespaces. */
export function clusterMetaOf(object: unknown): { namespace: ""; name: string; uid: string; meta: Json } {
  return { ...metaOf(object), namespace: "" };
}
