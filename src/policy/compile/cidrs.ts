import { type Cidr, networkOf, parseCidr } from "../../base/ip/cidr.ts";
import { IpError } from "../../base/ip/ip-error.ts";
import type { ProblemSink } from "./problems.ts";

/** IPv4 in the clothes of IPv6: no packet carries such an address, but somebody may have meant the IPv4 one. */
const MAPPED = /^::ffff:[0-9.]+$/;

/** The network that `text` lies in; bits behind the prefix are ignored, as Kubernetes does. Undefined if it is none. */
export function compileCidr(text: string, at: string, sink: ProblemSink): Cidr | undefined {
  try {
    const parsed = parseCidr(text);
    if (!MAPPED.test(parsed.address)) return networkOf(parsed);
    sink.bad(at, `${text} is an IPv4 network written as IPv6`);
  } catch (e) {
    if (!(e instanceof IpError)) throw e;
    sink.bad(at, e.message);
  }
  return undefined;
}
