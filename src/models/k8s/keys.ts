import { ModelError } from "../versioned-json.ts";

// Kubernetes objects as the reflector keeps them, only the fields that are used:
//   /heddle/k8s/<kind>/<namespace>/<name>   objects of a namespace
//   /heddle/k8s/<kind>/<name>               the others

export const K8S_PREFIX = "/heddle/k8s/";

/** What is reflected, and whether its objects live in namespaces. */
export const K8S_KINDS = {
  namespace: { namespaced: false },
  node: { namespaced: false },
  pod: { namespaced: true },
  networkpolicy: { namespaced: true },
  clusternetworkpolicy: { namespaced: false },
  service: { namespaced: true },
  endpointslice: { namespaced: true },
  servicecidr: { namespaced: false },
} as const;
export type K8sKind = keyof typeof K8S_KINDS;

/** Which object: `namespace` is "" for kinds without namespaces. */
export interface ObjectName {
  readonly namespace: string;
  readonly name: string;
}

export interface K8sKey extends ObjectName {
  readonly kind: K8sKind;
}

/** What can be a part of a key. Wider than Kubernetes' names, but always a single part. */
const isPart = (text: string): boolean => /^[A-Za-z0-9]([A-Za-z0-9._-]{0,252})$/.test(text);

const isKind = (text: string): text is K8sKind => Object.hasOwn(K8S_KINDS, text);

/** Everything of one kind lies below this. */
export const k8sKindPrefix = (kind: K8sKind): string => `${K8S_PREFIX}${kind}/`;

/** Throws {@link ModelError} BAD_KEY if a name can't be part of a key, or a namespace is lacking or too many. */
export function k8sKey(kind: K8sKind, { namespace, name }: ObjectName): string {
  const { namespaced } = K8S_KINDS[kind];
  if (!isPart(name) || (namespaced ? !isPart(namespace) : namespace !== "")) {
    throw new ModelError("BAD_KEY", k8sKindPrefix(kind), `${JSON.stringify([namespace, name])} can't name a ${kind}`);
  }
  return namespaced ? `${k8sKindPrefix(kind)}${namespace}/${name}` : k8sKindPrefix(kind) + name;
}

/** The inverse of {@link k8sKey}. Throws {@link ModelError} BAD_KEY for keys that mean nothing to us. */
export function parseK8sKey(key: string): K8sKey {
  const [kind, ...parts] = key.startsWith(K8S_PREFIX) ? key.slice(K8S_PREFIX.length).split("/") : [];
  if (kind !== undefined && isKind(kind) && parts.every(isPart)) {
    const [a, b, c] = parts;
    if (K8S_KINDS[kind].namespaced) {
      if (a !== undefined && b !== undefined && c === undefined) return { kind, namespace: a, name: b };
    } else if (a !== undefined && b === undefined) {
      return { kind, namespace: "", name: a };
    }
  }
  throw new ModelError("BAD_KEY", key, "unknown key");
}
