import { invalid, isSet, quote } from "./environment.ts";

/** CNI_ARGS as far as we know its keys. `ip` and `mac` are those of CONVENTIONS.md, not yet checked as addresses. */
export interface CniArgs {
  readonly podNamespace?: string;
  readonly podName?: string;
  readonly podUid?: string;
  readonly podInfraContainerId?: string;
  readonly ip?: string;
  readonly mac?: string;
}

type Key = keyof CniArgs;

const KEYS: ReadonlyMap<string, Key> = new Map([
  ["K8S_POD_NAMESPACE", "podNamespace"],
  ["K8S_POD_NAME", "podName"],
  ["K8S_POD_UID", "podUid"],
  ["K8S_POD_INFRA_CONTAINER_ID", "podInfraContainerId"],
  ["IP", "ip"],
  ["MAC", "mac"],
]);

/**
 * Parses `K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0;IgnoreUnknown=1`. As in the reference library (types.LoadArgs), a
 * key we do not know is an error unless `IgnoreUnknown` is 1 or true; a repeated key takes its last value.
 * @param lenient DEL: whatever can't be read is left out, since a pod must always be removable.
 * @throws CniError INVALID_ENVIRONMENT naming CNI_ARGS and the pair.
 */
export function parseCniArgs(text: string | undefined, lenient = false): CniArgs {
  if (!isSet(text)) return {};
  const args: { -readonly [K in Key]?: string } = {};
  const unknown: string[] = [];
  let ignoreUnknown = lenient;

  for (const pair of text.split(";")) {
    // Empty pairs come from a closing semicolon, which several runtimes write.
    if (pair === "") continue;
    const [name, value, ...rest] = pair.split("=");
    if (name === undefined || name === "" || value === undefined || rest.length > 0) {
      if (lenient) continue;
      throw invalid("CNI_ARGS", quote(pair), "its parts must be KEY=VALUE, separated by ;");
    }
    const key = KEYS.get(name);
    if (key !== undefined) {
      if (value === "") delete args[key];
      else args[key] = value;
    } else if (name === "IgnoreUnknown") {
      ignoreUnknown ||= parseBool(value, pair);
    } else {
      unknown.push(pair);
    }
  }
  if (unknown.length > 0 && !ignoreUnknown) {
    const keys = [...KEYS.keys()].join(", ");
    throw invalid("CNI_ARGS", quote(unknown.join(";")), `only ${keys} are known; IgnoreUnknown=1 lets others pass`);
  }
  return args;
}

function parseBool(value: string, pair: string): boolean {
  const lower = value.toLowerCase();
  if (lower === "1" || lower === "true") return true;
  if (lower === "0" || lower === "false") return false;
  throw invalid("CNI_ARGS", quote(pair), "IgnoreUnknown must be 1, true, 0 or false");
}
