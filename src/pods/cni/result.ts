import { z } from "zod";
import { cidrSchema, dnsSchema, ipSchema } from "./addresses.ts";
import { CniError } from "./errors.ts";
import { issueText } from "./json.ts";
import { type CniVersion, cniVersionHas, isCniVersion } from "./versions.ts";

/** An interface that belongs to an attachment, in the pod or on the host. */
export interface CniInterface {
  readonly name: string;
  readonly mac?: string;
  /** Bytes. */
  readonly mtu?: number;
  /** The pod's namespace as CNI_NETNS gave it; absent for one on the host. */
  readonly sandbox?: string;
  /** The socket of a vhost-user or memif interface. */
  readonly socketPath?: string;
  readonly pciID?: string;
}

export interface CniIp {
  /** With its prefix: "10.1.2.3/32". */
  readonly address: string;
  readonly gateway?: string;
  /** Index into `interfaces`. */
  readonly interface?: number;
}

export interface CniRoute {
  /** With its prefix; "0.0.0.0/0" and "::/0" are the default routes. */
  readonly dst: string;
  readonly gw?: string;
  readonly mtu?: number;
  readonly advmss?: number;
  readonly priority?: number;
  readonly table?: number;
  readonly scope?: number;
}

export interface CniDns {
  readonly nameservers?: readonly string[];
  readonly domain?: string;
  readonly search?: readonly string[];
  readonly options?: readonly string[];
}

/** The result of an ADD whatever the version it is written in (SPEC.md section 5 "ADD Success"). */
export interface CniResult {
  readonly interfaces: readonly CniInterface[];
  readonly ips: readonly CniIp[];
  readonly routes: readonly CniRoute[];
  readonly dns: CniDns;
}

/** The result as JSON in the format of a version. Every key of the spec is present; what a version lacks is left out. */
export function formatResult(result: CniResult, version: CniVersion): Record<string, unknown> {
  const rich = cniVersionHas(version, "richResult");
  const withIpVersion = !cniVersionHas(version, "noIpVersion");
  return {
    cniVersion: version,
    interfaces: result.interfaces.map(({ name, mac, mtu, sandbox, socketPath, pciID }) => ({
      name,
      ...(mac === undefined ? {} : { mac }),
      ...(rich && mtu !== undefined ? { mtu } : {}),
      sandbox: sandbox ?? "",
      ...(rich && socketPath !== undefined ? { socketPath } : {}),
      ...(rich && pciID !== undefined ? { pciID } : {}),
    })),
    ips: result.ips.map((ip) => ({
      ...(withIpVersion ? { version: ip.address.includes(":") ? "6" : "4" } : {}),
      address: ip.address,
      ...(ip.gateway === undefined ? {} : { gateway: ip.gateway }),
      ...(ip.interface === undefined ? {} : { interface: ip.interface }),
    })),
    routes: result.routes.map(({ dst, gw, ...attributes }) => ({
      dst,
      ...(gw === undefined ? {} : { gw }),
      ...(rich ? attributes : {}),
    })),
    dns: result.dns,
  };
}

const uint = z.int().min(0).max(0xffff_ffff);
const text = z.string().nullish();

// Loose: a previous plugin may be of another version than ours and say more than we know. Go's encoders write null for
// an empty list.
const resultSchema = z.object({
  cniVersion: z.string().optional(),
  interfaces: z
    .array(
      z.object({
        name: z.string().min(1, "must not be empty"),
        mac: text,
        mtu: uint.nullish(),
        sandbox: text,
        socketPath: text,
        pciID: text,
      }),
    )
    .nullish(),
  ips: z.array(z.object({ address: cidrSchema, gateway: ipSchema.nullish(), interface: uint.nullish() })).nullish(),
  routes: z
    .array(
      z.object({
        dst: cidrSchema,
        gw: ipSchema.nullish(),
        mtu: uint.nullish(),
        advmss: uint.nullish(),
        priority: uint.nullish(),
        table: uint.nullish(),
        scope: uint.nullish(),
      }),
    )
    .nullish(),
  dns: dnsSchema.nullish(),
});

/**
 * Parses a `prevResult` in any version's format: 0.3.0 to 1.1.0 differ only in fields that were added or dropped.
 * @throws CniError INVALID_CONFIG naming the field, or INCOMPATIBLE_VERSION for a result of a version we don't know
 * (before 0.3.0 results had another shape).
 */
export function parseResult(json: unknown): CniResult {
  const parsed = resultSchema.safeParse(json);
  if (!parsed.success) {
    throw new CniError("INVALID_CONFIG", "prevResult is invalid", issueText(parsed.error, ["prevResult"]));
  }
  const { cniVersion, interfaces, ips, routes, dns } = parsed.data;
  if (cniVersion !== undefined && cniVersion !== "" && !isCniVersion(cniVersion)) {
    const details = `prevResult.cniVersion is ${JSON.stringify(cniVersion)}, which Heddle does not know`;
    throw new CniError("INCOMPATIBLE_VERSION", "prevResult has an unsupported version", details);
  }
  const result: CniResult = {
    interfaces: (interfaces ?? []).map((i) => present(i)),
    ips: (ips ?? []).map((ip) => present(ip)),
    routes: (routes ?? []).map((route) => present(route)),
    dns: present(dns ?? {}),
  };
  for (const [i, ip] of result.ips.entries()) {
    if (ip.interface === undefined || ip.interface < result.interfaces.length) continue;
    const details = `prevResult.ips[${i}].interface is ${ip.interface}, but there are ${result.interfaces.length} interfaces`;
    throw new CniError("INVALID_CONFIG", "prevResult is invalid", details);
  }
  return result;
}

type Present<T> = { [K in keyof T]: Exclude<T[K], null | undefined> };

/** Without the fields that are null, undefined or "": to the reference library all three mean that there is none. */
function present<T extends object>(value: T): Present<T> {
  const entries = Object.entries(value).filter(([, field]) => field != null && field !== "");
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the filter above is what makes it true
  return Object.fromEntries(entries) as Present<T>;
}

/**
 * What a plugin in a later position answers: the previous result with ours appended, the indices of our addresses
 * shifted. Routes that are there already are not repeated, and the DNS settings of earlier plugins win.
 */
export function appendResult(previous: CniResult, ours: CniResult): CniResult {
  const shift = previous.interfaces.length;
  const known = new Set(previous.routes.map(routeIdentity));
  return {
    interfaces: [...previous.interfaces, ...ours.interfaces],
    ips: [
      ...previous.ips,
      ...ours.ips.map((ip) => (ip.interface === undefined ? ip : { ...ip, interface: ip.interface + shift })),
    ],
    routes: [...previous.routes, ...ours.routes.filter((route) => !known.has(routeIdentity(route)))],
    dns: { ...ours.dns, ...previous.dns },
  };
}

function routeIdentity(route: CniRoute): string {
  return [route.dst, route.gw, route.table, route.priority].join(" ");
}

/** A pod's interface within a result, with what belongs to it. */
export interface FoundInterface {
  readonly index: number;
  readonly interface: CniInterface;
  readonly ips: readonly CniIp[];
}

/**
 * The interface of this name inside this pod, if the result lists it. On ADD its presence means that an earlier plugin
 * has made it; on CHECK it is what we must find in the namespace.
 */
export function findInterface(result: CniResult, ifname: string, netns: string): FoundInterface | undefined {
  const index = result.interfaces.findIndex((i) => i.name === ifname && i.sandbox === netns);
  const found = result.interfaces[index];
  return found && { index, interface: found, ips: result.ips.filter((ip) => ip.interface === index) };
}
