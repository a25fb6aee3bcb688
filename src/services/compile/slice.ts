import { familyOf } from "../../base/ip/address.ts";
import type { EndpointSlice } from "../../models/k8s/endpoint-slice.ts";
import type { ServiceProblem } from "../problems.ts";
import { addressUse } from "./candidates.ts";

/** What is wrong with a slice. `isServed`: of a service that gets its endpoints from slices. */
export function sliceProblems(
  slice: EndpointSlice,
  { exists, isServed }: { readonly exists: boolean; readonly isServed: boolean },
): ServiceProblem[] {
  if (!exists) {
    const message = `there is no service ${slice.namespace}/${slice.service}`;
    return [{ code: "NO_SERVICE", at: "metadata.labels", message, effect: "ignored" }];
  }
  const problems = addressProblems(slice);
  // Headless services, and they alone, may do without ports; slices without endpoints say that there are none.
  if (isServed && slice.ports.length === 0 && slice.endpoints.length > 0) {
    problems.push({ code: "NO_PORTS", at: "ports", message: "endpoints without ports", effect: "ignored" });
  }
  for (const [i, { port, name }] of slice.ports.entries()) {
    if (port !== undefined || !isServed) continue;
    const message = `port ${JSON.stringify(name)} has no number`;
    problems.push({ code: "NO_PORT_NUMBER", at: `ports[${i}]`, message, effect: "part-ignored" });
  }
  return problems;
}

function addressProblems(slice: EndpointSlice): ServiceProblem[] {
  const problems: ServiceProblem[] = [];
  const seen = new Set<string>();
  for (const [i, endpoint] of slice.endpoints.entries()) {
    const at = `endpoints[${i}].addresses`;
    const add = (code: ServiceProblem["code"], message: string): void =>
      void problems.push({ code, at, message, effect: "part-ignored" });
    const [address, ...more] = endpoint.addresses;
    const use = addressUse(slice, endpoint);
    if (address === undefined) continue;
    if (more.length > 0) add("SEVERAL_ADDRESSES", `of ${address}, ${more.join(", ")} only the first counts`);
    if (use === "foreign-family") {
      add("FOREIGN_FAMILY", `${address} is IPv${familyOf(address)}, the slice is of ${slice.addressType}`);
    } else if (use === "special") {
      add("SPECIAL_ADDRESS", `${address} can't be the address of an endpoint`);
    } else if (seen.has(address)) {
      add("DUPLICATE_ADDRESS", `${address} is in the slice more than once`);
    }
    seen.add(address);
  }
  return problems;
}
