import type { IKeyValue } from "etcd3";
import type { Entry } from "../api/store.ts";

/** An etcd range: all keys from `key` up to, not including, `range_end`. */
export interface Range {
  readonly key: Buffer;
  readonly range_end: Buffer;
}

const ZERO = Buffer.of(0);

/** All keys with a prefix. In etcd a `range_end` of one zero byte means "to the end" (rpc.proto, RangeRequest). */
export function prefixRange(prefix: string): Range {
  const key = Buffer.from(prefix);
  const end = Buffer.from(prefix);
  for (let i = end.length - 1; i >= 0; i--) {
    const byte = end[i] as number;
    if (byte === 0xff) continue; // never in UTF-8, but then its predecessor counts
    end[i] = byte + 1;
    return { key, range_end: end.subarray(0, i + 1) };
  }
  return { key: key.length > 0 ? key : ZERO, range_end: ZERO };
}

/** The least key after `key`. */
export const after = (key: Buffer): Buffer => Buffer.concat([key, ZERO]);

/** Between the keys of callers and those in etcd. */
export class KeyMapper {
  readonly #prefix: string;

  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  toEtcd(key: string): Buffer {
    return Buffer.from(this.#prefix + key);
  }

  range(prefix: string): Range {
    return prefixRange(this.#prefix + prefix);
  }

  fromEtcd(key: Buffer): string {
    return key.toString().slice(this.#prefix.length);
  }

  entry(kv: IKeyValue): Entry {
    return { key: this.fromEtcd(kv.key), value: kv.value, revision: kv.mod_revision };
  }
}
