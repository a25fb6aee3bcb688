import { ifnameProblem, quote } from "./environment.ts";
import { CniError } from "./errors.ts";

/** The annotation of a pod that asks for interfaces beside its first: `memif1/memif, wire0/veth`. */
export const INTERFACES_ANNOTATION = "heddle.dev/interfaces";

/** How a further interface of a pod is made: shared memory, a device of the kernel that VPP made, a pair of the kernel. */
export const FURTHER_KINDS = ["memif", "tap", "veth"] as const;
export type FurtherKind = (typeof FURTHER_KINDS)[number];

/** An interface that a pod asks for. */
export interface RequestedInterface {
  readonly name: string;
  readonly kind: FurtherKind;
}

/** Each is an interface of VPP, with buffers of its own. */
const MAX_INTERFACES = 8;
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;

/**
 * Reads {@link INTERFACES_ANNOTATION}: `NAME/KIND`, separated by commas. `first` is the pod's first interface, whose name is
 * taken.
 *
 * @throws CniError INVALID_CONFIG that names the entry and what is wrong with it.
 */
export function parseInterfaces(text: string, first: string): readonly RequestedInterface[] {
  const found = new Map<string, RequestedInterface>();
  for (const entry of text.split(",").map((part) => part.trim())) {
    if (entry === "") continue;
    const { name, kind } = parseEntry(entry);
    if (name === first) throw refused(entry, `${name} is the pod's first interface`);
    if (found.has(name)) throw refused(entry, `there is another interface ${name} already`);
    found.set(name, { name, kind });
  }
  if (found.size > MAX_INTERFACES) {
    throw refused(text, `${found.size} interfaces, where a pod can have ${MAX_INTERFACES} beside its first`);
  }
  return [...found.values()];
}

function parseEntry(entry: string): RequestedInterface {
  const [name = "", kind, ...more] = entry.split("/");
  if (more.length > 0) throw refused(entry, "it is NAME/KIND; there are no networks to choose from");
  const problem = ifnameProblem(name) ?? (NAME.test(name) ? undefined : "letters, digits, . _ and - are allowed");
  if (problem !== undefined) throw refused(entry, `the name: ${problem}`);
  const known = FURTHER_KINDS.find((k) => k === kind);
  if (known === undefined) {
    throw refused(entry, `the kind is ${kind ?? "missing"}; ${FURTHER_KINDS.join(", ")} are known`);
  }
  return { name, kind: known };
}

const refused = (entry: string, why: string): CniError =>
  new CniError("INVALID_CONFIG", `the pod's annotation ${INTERFACES_ANNOTATION} is wrong`, `${quote(entry)}: ${why}`);
