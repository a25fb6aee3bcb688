import { fullMessage } from "../../base/errors/errors.ts";
import type { K8sCodec } from "../../models/k8s/codec.ts";
import { K8S_CODECS } from "../../models/k8s/codecs.ts";
import { K8S_KINDS, type K8sKind, k8sKey, type ObjectName } from "../../models/k8s/keys.ts";
import { encodeUnreadable } from "../../models/k8s/proto/value.ts";
import { ModelError } from "../../models/versioned-json.ts";
import { MAX_REQUEST_BYTES } from "../../stores/api/store.ts";
import type { Wish } from "../api.ts";
import { SOURCES } from "./convert.ts";
import { ConvertError, clusterMetaOf, isMapping, metaOf } from "./members.ts";

/** What becomes of an object of the API. */
export type Conversion =
  | { readonly is: "wish"; readonly wish: Wish; readonly problem?: string }
  /** One that is not to be in the store: of a kind that is not reflected (then without key), or of no use to anyone. */
  | { readonly is: "ignored"; readonly kind?: K8sKind; readonly key?: string }
  /** Nothing can be reflected of it: no object, or without a name that a key can hold. */
  | { readonly is: "problem"; readonly problem: string };

/** Room that a store's request needs beside key and value. */
const REQUEST_OVERHEAD = 1024;

/**
 * What the store is to have for an object of the API, in the form of JSON or YAML. Never throws. `id` is its
 * `apiVersion/kind` where the object doesn't say so itself, as the items of the API server's lists.
 */
export function reflect(object: unknown, id = idOf(object)): Conversion {
  if (id === undefined) return { is: "problem", problem: "no Kubernetes object: it has no apiVersion and kind" };
  const source = Object.hasOwn(SOURCES, id) ? SOURCES[id] : undefined;
  if (!source) return { is: "ignored" };
  const { kind } = source;
  try {
    const at = nameOf(kind, object);
    const key = k8sKey(kind, at);
    const converted = source.convert(object);
    return converted ? { is: "wish", ...valueOf(kind, key, converted) } : { is: "ignored", kind, key };
  } catch (e) {
    if (e instanceof ConvertError || e instanceof ModelError) return { is: "problem", problem: fullMessage(e) };
    throw e;
  }
}

/** `apiVersion/kind`; undefined for what has none. */
export function idOf(object: unknown): string | undefined {
  if (!isMapping(object)) return undefined;
  const { apiVersion, kind } = object;
  return typeof apiVersion === "string" && typeof kind === "string" ? `${apiVersion}/${kind}` : undefined;
}

/** Of an object of a known kind. Throws {@link ConvertError} without a name, {@link ModelError} if no key can hold it. */
export function keyOf(kind: K8sKind, object: unknown): string {
  return k8sKey(kind, nameOf(kind, object));
}

const nameOf = (kind: K8sKind, object: unknown): ObjectName => {
  const { namespace, name } = K8S_KINDS[kind].namespaced ? metaOf(object) : clusterMetaOf(object);
  return { namespace, name };
};

function valueOf(kind: K8sKind, key: string, object: ObjectName): { wish: Wish; problem?: string } {
  const codec = K8S_CODECS[kind] as unknown as K8sCodec<ObjectName>;
  const bytes = codec.encode(object);
  if (bytes.length + key.length + REQUEST_OVERHEAD <= MAX_REQUEST_BYTES) {
    return { wish: { kind, key, value: latin1(bytes) } };
  }
  const problem = `${bytes.length} bytes are more than the store takes`;
  // Silence would leave the pods of a policy open. A value that nobody can read makes who reads it fail closed.
  return { wish: { kind, key, value: latin1(encodeUnreadable(problem)) }, problem };
}

/** See {@link Wish.value}. */
export const latin1 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");

/** The inverse of {@link latin1}. */
export const bytesOf = (value: string): Uint8Array => Buffer.from(value, "latin1");
