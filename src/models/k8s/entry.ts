import { ModelError } from "../versioned-json.ts";
import type { K8sCodec } from "./codec.ts";
import type { ObjectName } from "./keys.ts";

/** An object that exists but can't be read: damaged, or written by a newer Heddle. What depends on it fails closed. */
export interface Unreadable {
  readonly unreadable: string;
}

/** What is known of an object; `undefined`: it is no more. */
export type Entry<T> = T | Unreadable | undefined;

export const isUnreadable = (o: object | undefined): o is Unreadable => o !== undefined && "unreadable" in o;

export const readable = <T extends object>(o: Entry<T>): T | undefined =>
  o === undefined || isUnreadable(o) ? undefined : o;

/** A value of the store, `undefined` if there is none. One that can't be read becomes {@link Unreadable}. */
export function readEntry<T extends ObjectName>(
  codec: K8sCodec<T>,
  key: string,
  value: Uint8Array | undefined,
): Entry<T> {
  if (value === undefined) return undefined;
  try {
    return codec.decode(key, value);
  } catch (e) {
    if (e instanceof ModelError) return { unreadable: e.message };
    throw e;
  }
}
