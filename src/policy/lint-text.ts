import { refText } from "./api.ts";
import type { Finding } from "./lint.ts";
import { isError } from "./lint-objects.ts";

/** One line each: `error NetworkPolicy shop/web spec.ingress[0].ports[0]: …`. */
export const lintText = (findings: readonly Finding[]): string =>
  findings.length === 0 ? "nothing to complain about" : findings.map(findingText).join("\n");

export function findingText(finding: Finding): string {
  const { policy, kind, at, message } = finding;
  const place = at === "" ? "" : ` ${at}`;
  return `${isError(finding) ? "error" : "warning"} ${refText(policy)}${place}: ${message} (${kind})`;
}
