import { z } from "zod";
import { type IpAddress, tryParseIp } from "../../base/ip/address.ts";
import { dnsSchema, macSchema, splitCidr } from "./addresses.ts";
import { CniError } from "./errors.ts";
import { issueText, type JsonObject, pathText, valueAt } from "./json.ts";

/** Below this IPv6 does not work on a link (RFC 8200 section 5), and every pod may get an IPv6 address. */
const MIN_MTU = 1280;
const MAX_MTU = 65_535;
// sun_path has 108 bytes with the closing NUL (include/uapi/linux/un.h).
const MAX_SOCKET_PATH = 107;
const MAX_TIMEOUT_SECONDS = 3600;
// The kernel's shapers count bursts in bytes in 32 bits.
const MAX_BURST_BITS = 0xffff_ffff * 8;

const port = z.int().min(1).max(65_535);

const portMapping = z.strictObject({
  hostPort: port,
  containerPort: port,
  protocol: z
    .string()
    .transform((name) => name.toLowerCase())
    .pipe(z.enum(["tcp", "udp", "sctp"]))
    .default("tcp"),
  hostIP: z.string().nullish().transform(parseHostIp),
});

/** Canonical, so that equal addresses are equal texts; an empty one is as good as none. */
function parseHostIp(text: string | null | undefined, context: z.RefinementCtx): IpAddress | undefined {
  if (text == null || text === "") return undefined;
  const ip = tryParseIp(text);
  if (ip !== undefined) return ip;
  context.addIssue({ code: "custom", message: "must be an IPv4 or IPv6 address" });
  return z.NEVER;
}

const requestedIp = z.string().transform((text, context) => {
  const parts = splitCidr(text);
  if (parts !== undefined) return parts;
  context.addIssue({ code: "custom", message: "must be an address, with or without a prefix, as 10.1.2.3/24" });
  return z.NEVER;
});

const rate = z.int().min(0);
const burst = z.int().min(0).max(MAX_BURST_BITS);

const bandwidth = z
  .strictObject({
    ingressRate: rate.default(0),
    ingressBurst: burst.default(0),
    egressRate: rate.default(0),
    egressBurst: burst.default(0),
  })
  .superRefine((value, context) => {
    for (const direction of ["ingress", "egress"] as const) {
      const missing = onlyOne(value[`${direction}Rate`], value[`${direction}Burst`]);
      if (missing === undefined) continue;
      const message = `must be set, since the ${direction} ${missing === "Burst" ? "rate" : "burst"} is`;
      context.addIssue({ code: "custom", path: [`${direction}${missing}`], message });
    }
  });

function onlyOne(rate: number, burst: number): "Rate" | "Burst" | undefined {
  if (rate > 0 === burst > 0) return undefined;
  return rate > 0 ? "Burst" : "Rate";
}

/** The capability by which containerd (since 1.5) and CRI-O hand over a pod's annotations. */
export const ANNOTATIONS_CAPABILITY = "io.kubernetes.cri.pod-annotations";

const runtimeConfig = z.strictObject({
  portMappings: z.array(portMapping).nullish(),
  bandwidth: bandwidth.nullish(),
  ips: z.array(requestedIp).nullish(),
  mac: z.preprocess((mac) => (mac === "" ? undefined : mac), macSchema.nullish()),
  [ANNOTATIONS_CAPABILITY]: z.record(z.string(), z.string()).nullish(),
});

/** What the executable itself reads of the configuration (json.h), checked here so that a mistake is named. */
const executableKeys = {
  cniSocket: z
    .string()
    .startsWith("/", "must be an absolute path")
    .refine((path) => Buffer.byteLength(path) <= MAX_SOCKET_PATH, `must have at most ${MAX_SOCKET_PATH} bytes`)
    .optional(),
  cniTimeoutSeconds: z.number().positive().max(MAX_TIMEOUT_SECONDS).optional(),
};

/** The keys of a plugin configuration that the spec and the conventions define, and ours. Everything else is refused. */
const configSchema = z.strictObject({
  cniVersion: z.string(),
  cniVersions: z.array(z.string()).nullish(),
  name: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9_.-]*$/, "must start with a letter or digit, then letters, digits, _ . -"),
  type: z.string().regex(/^[^/\\\0]+$/, "must be the file name of the plugin, without / or \\"),
  capabilities: z.record(z.string(), z.boolean()).nullish(),
  runtimeConfig: runtimeConfig.nullish(),
  // "Plugins that don't understand that data should just ignore it" (CONVENTIONS.md): only ips is ours.
  args: z.looseObject({ cni: z.looseObject({ ips: z.array(requestedIp).nullish() }).nullish() }).nullish(),
  ipMasq: z.boolean().optional(),
  ipam: z.strictObject({ type: z.string().optional() }).nullish(),
  dns: dnsSchema.strict().nullish(),
  prevResult: z.record(z.string(), z.unknown()).nullish(),
  disableCheck: z.boolean().optional(),
  disableGC: z.boolean().optional(),
  loadOnlyInlinedPlugins: z.boolean().optional(),
  mtu: z.int().min(MIN_MTU).max(MAX_MTU).optional(),
  ...executableKeys,
});

export type CniConfig = z.output<typeof configSchema>;

/** A port of the node that leads to one of the pod. */
export interface PortMapping {
  readonly hostPort: number;
  readonly containerPort: number;
  readonly protocol: "tcp" | "udp" | "sctp";
  /** Absent: every address of the node. 0.0.0.0 and :: are every address of that family. */
  readonly hostIP?: IpAddress;
}

/**
 * Checks a whole configuration. The reserved `cni.dev/` keys are not looked at (the caller takes those it knows).
 * @throws CniError UNSUPPORTED_FIELD with key and value for a key nobody defines and for an `ipam.type` of another
 * plugin; INVALID_CONFIG naming every field whose value is wrong.
 */
export function parseConfig(json: JsonObject): CniConfig {
  const own = Object.fromEntries(Object.entries(json).filter(([key]) => !key.startsWith("cni.dev/")));
  const parsed = configSchema.safeParse(own);
  if (!parsed.success) {
    for (const issue of parsed.error.issues) {
      if (issue.code !== "unrecognized_keys") continue;
      const path = [...issue.path, issue.keys[0] ?? ""];
      throw unsupportedField(pathText(path), valueAt(own, path), "Heddle does not know this key; remove it");
    }
    throw new CniError("INVALID_CONFIG", "the network configuration is invalid", issueText(parsed.error));
  }
  const config = parsed.data;
  const ipam = config.ipam?.type ?? "";
  if (ipam !== "" && ipam !== "heddle") {
    throw unsupportedField(
      "ipam.type",
      ipam,
      'Heddle manages addresses itself; remove "ipam" or set its type to "heddle"',
    );
  }
  checkPortMappings(config.runtimeConfig?.portMappings ?? []);
  return config;
}

/** A well-formed mapping per (protocol, host address, host port), or none of them could be told from the other. */
function checkPortMappings(mappings: NonNullable<NonNullable<CniConfig["runtimeConfig"]>["portMappings"]>): void {
  const seen = new Map<string, number>();
  for (const [i, { protocol, hostIP, hostPort }] of mappings.entries()) {
    const identity = `${protocol} ${hostIP ?? ""} ${hostPort}`;
    const first = seen.get(identity);
    if (first !== undefined) {
      const details = `runtimeConfig.portMappings[${i}]: the same ${protocol} port ${hostPort} as in [${first}]`;
      throw new CniError("INVALID_CONFIG", "the network configuration is invalid", details);
    }
    seen.set(identity, i);
  }
}

function unsupportedField(key: string, value: unknown, advice: string): CniError {
  const text = JSON.stringify(value) ?? "undefined";
  const shown = text.length <= 200 ? text : `${text.slice(0, 200)}...`;
  return new CniError("UNSUPPORTED_FIELD", `unsupported field in network configuration: ${key} = ${shown}`, advice);
}
