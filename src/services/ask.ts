import { HeddleError } from "../base/errors/errors.ts";
import { type IpAddress, tryParseIp } from "../base/ip/address.ts";
import { PORT_PROTOCOLS, type PortProtocol } from "../models/k8s/pod.ts";
import type { ObjectName } from "./api.ts";
import type { ServiceEngine } from "./engine.ts";
import { objectKey } from "./names.ts";

export type ServiceAskErrorCode =
  /** No such service; the message says where there is one of the name. */
  | "NO_SERVICE"
  /** It can't be told what is meant; the message says what would be clear. */
  | "BAD_QUESTION";

/** What somebody asks about services has no answer as it is put. */
export class ServiceAskError extends HeddleError<ServiceAskErrorCode> {}

/** An address and port of a service, as clients use it. */
export interface Socket {
  readonly to: IpAddress;
  readonly protocol: PortProtocol;
  readonly port: number;
}

const FORMS = "ADDRESS:PORT, [IPV6]:PORT, or one of these with /tcp, /udp or /sctp behind it";

/** `10.96.0.1:443`, `[fd00::1]:53/udp`. Of TCP if nothing is said. @throws ServiceAskError BAD_QUESTION */
export function parseSocket(text: string): Socket {
  const bad = (why: string): ServiceAskError =>
    new ServiceAskError("BAD_QUESTION", `${JSON.stringify(text)}: ${why}; it is ${FORMS}`);
  const match = /^(?:\[([^\]]*)\]|([^:/]*)):(\d{1,5})(?:\/(\w+))?$/.exec(text);
  if (!match) throw bad("no address and port");
  const to = tryParseIp(match[1] ?? match[2] ?? "");
  if (to === undefined || to.includes(":") !== (match[1] !== undefined)) throw bad("no address");
  const port = Number(match[3]);
  if (port < 1 || port > 65_535) throw bad("ports are from 1 to 65535");
  const protocol = PORT_PROTOCOLS.find((p) => p === (match[4] ?? "TCP").toUpperCase());
  if (!protocol) throw bad(`${JSON.stringify(match[4])} has no ports`);
  return { to, protocol, port };
}

/** `NAMESPACE/NAME`, or a name that only one service has. @throws ServiceAskError */
export function findService({ records }: ServiceEngine, text: string): ObjectName {
  const all = [...records.services.values()].filter((r) => r.object !== undefined);
  const found = all.filter((r) => (text.includes("/") ? objectKey(r) === text : r.name === text));
  const [first, second] = found;
  if (first && !second) return { namespace: first.namespace, name: first.name };
  if (second) {
    const names = found.map(objectKey).sort().join(", ");
    throw new ServiceAskError("BAD_QUESTION", `several services have the name ${text}: ${names}; say which`);
  }
  const name = text.slice(text.lastIndexOf("/") + 1);
  const alike = all.filter((r) => r.name === name).map(objectKey);
  const hint = alike.length === 0 ? "" : `; is it ${alike.sort().join(", ")}?`;
  throw new ServiceAskError("NO_SERVICE", `there is no service ${text}${hint}`);
}
