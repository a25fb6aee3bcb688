import { type AddressParts, macSchema, splitCidr } from "./addresses.ts";
import type { CniArgs } from "./args.ts";
import { ANNOTATIONS_CAPABILITY, type CniConfig, type PortMapping } from "./config.ts";
import { invalid, quote } from "./environment.ts";
import { INTERFACES_ANNOTATION, parseInterfaces, type RequestedInterface } from "./interfaces.ts";
import type { CniDns } from "./result.ts";

/** One direction of the `bandwidth` capability. */
export interface RateLimit {
  /** Bits per second. */
  readonly rate: number;
  /** Bits. */
  readonly burst: number;
}

/** An address the runtime asks for. */
export type RequestedIp = AddressParts;

/** What the runtime and the configuration ask for, over and above a plain interface. */
export interface CniOptions {
  readonly portMappings: readonly PortMapping[];
  /** To the pod. */
  readonly ingress?: RateLimit;
  /** From the pod. */
  readonly egress?: RateLimit;
  readonly ips: readonly RequestedIp[];
  readonly mac?: string;
  readonly mtu?: number;
  readonly ipMasq?: boolean;
  readonly dns: CniDns;
  /** Interfaces beside `ifname`, by the pod's annotation; absent where it asks for none. */
  readonly interfaces?: readonly RequestedInterface[];
}

/**
 * @throws CniError INVALID_ENVIRONMENT for a malformed address in CNI_ARGS, INVALID_CONFIG for a malformed annotation; the
 * configuration was checked before.
 */
export function parseOptions(config: CniConfig, args: CniArgs, ifname: string): CniOptions {
  const runtime = config.runtimeConfig;
  const bandwidth = runtime?.bandwidth;
  const mac = runtime?.mac ?? parseArgMac(args);
  const interfaces = parseInterfaces(runtime?.[ANNOTATIONS_CAPABILITY]?.[INTERFACES_ANNOTATION] ?? "", ifname);
  return {
    portMappings: (runtime?.portMappings ?? []).map(({ hostIP, ...mapping }) =>
      hostIP ? { ...mapping, hostIP } : mapping,
    ),
    ...(bandwidth?.ingressRate ? { ingress: { rate: bandwidth.ingressRate, burst: bandwidth.ingressBurst } } : {}),
    ...(bandwidth?.egressRate ? { egress: { rate: bandwidth.egressRate, burst: bandwidth.egressBurst } } : {}),
    ips: requestedIps(config, args),
    ...(mac ? { mac } : {}),
    ...(config.mtu === undefined ? {} : { mtu: config.mtu }),
    ...(config.ipMasq === undefined ? {} : { ipMasq: config.ipMasq }),
    ...(interfaces.length === 0 ? {} : { interfaces }),
    dns: Object.fromEntries(Object.entries(config.dns ?? {}).filter(([, value]) => value != null)) as CniDns,
  };
}

/** The capability first, then `args`, then CNI_ARGS, which must be ignored where `args` says the same (CONVENTIONS.md). */
function requestedIps(config: CniConfig, args: CniArgs): readonly RequestedIp[] {
  const lists = [config.runtimeConfig?.ips, config.args?.cni?.ips];
  const asked = lists.find((list) => list != null && list.length > 0);
  if (asked != null) return asked;
  if (args.ip === undefined) return [];
  const parts = splitCidr(args.ip);
  if (parts === undefined) {
    throw invalid("CNI_ARGS", quote(`IP=${args.ip}`), "IP must be an address, with or without a prefix");
  }
  return [parts];
}

function parseArgMac(args: CniArgs): string | undefined {
  if (args.mac === undefined) return undefined;
  const parsed = macSchema.safeParse(args.mac);
  if (parsed.success) return parsed.data;
  throw invalid("CNI_ARGS", quote(`MAC=${args.mac}`), `it ${parsed.error.issues[0]?.message ?? "is not one"}`);
}
