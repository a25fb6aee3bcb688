import { z } from "zod";
import { toError } from "../../base/errors/errors.ts";
import { type CniArgs, parseCniArgs } from "./args.ts";
import { parseConfig } from "./config.ts";
import {
  type CniAttachment,
  type CniCommand,
  type CniEnvironment,
  ifnameProblem,
  isSet,
  parseCommand,
  parseContainerId,
  parseIfname,
  parseNetns,
  quote,
  required,
} from "./environment.ts";
import { CniError } from "./errors.ts";
import { isJsonObject, issueText, type JsonObject } from "./json.ts";
import { type CniOptions, parseOptions } from "./options.ts";
import { type CniResult, parseResult } from "./result.ts";
import {
  CNI_VERSIONS,
  type CniFeature,
  type CniVersion,
  cniFeatureSince,
  cniVersionHas,
  IMPLIED_CNI_VERSION,
  isCniVersion,
} from "./versions.ts";

interface Base {
  readonly cniVersion: CniVersion;
  /** `name` of the network configuration. */
  readonly network: string;
}

export interface CniAddRequest extends Base, CniAttachment {
  readonly command: "ADD";
  readonly netns: string;
  readonly args: CniArgs;
  readonly options: CniOptions;
  /** Present in a later position of a chain. */
  readonly prevResult?: CniResult;
}

export interface CniCheckRequest extends Base, CniAttachment {
  readonly command: "CHECK";
  readonly netns: string;
  readonly args: CniArgs;
  readonly options: CniOptions;
  /** The final result of the ADD, after every plugin of the chain. */
  readonly prevResult: CniResult;
}

/** Holds only what a removal needs: a pod must go away even when the configuration has since been broken. */
export interface CniDelRequest extends Base, CniAttachment {
  readonly command: "DEL";
  /** Absent once the namespace is gone. */
  readonly netns?: string;
  readonly args: CniArgs;
}

export interface CniStatusRequest extends Base {
  readonly command: "STATUS";
}

export interface CniGcRequest extends Base {
  readonly command: "GC";
  /** All others of this network are stale. */
  readonly validAttachments: readonly CniAttachment[];
}

/** The executable answers VERSION itself; it is here so that every command has its type. */
export interface CniVersionRequest {
  readonly command: "VERSION";
  /** As asked, or absent. */
  readonly cniVersion?: string;
}

export type CniRequest =
  | CniAddRequest
  | CniCheckRequest
  | CniDelRequest
  | CniStatusRequest
  | CniGcRequest
  | CniVersionRequest;

/**
 * A request as the executable hands it over, checked. Pure: whether the namespace exists is not looked at.
 * @param body the network configuration the runtime wrote to the plugin's standard input.
 * @throws CniError naming the variable or field, and what to do.
 */
export function parseCniRequest(environment: CniEnvironment, body: Uint8Array): CniRequest {
  const command = parseCommand(environment.command);
  switch (command) {
    case "ADD":
    case "CHECK":
      return parseAttachment(command, environment, body);
    case "DEL":
      return parseDel(environment, body);
    case "GC":
      return parseGc(environment, body);
    case "STATUS": {
      const json = parseJson(body);
      const base = parseBase(json, command);
      parseConfig(json);
      return { command, ...base };
    }
    default:
      command satisfies "VERSION";
      return parseVersionRequest(body);
  }
}

function parseDel(environment: CniEnvironment, body: Uint8Array): CniDelRequest {
  const identity = parseIdentity(environment);
  // A namespace that can't be a path is one that is gone.
  const netns = isUsableNetns(environment.netns) ? { netns: environment.netns } : {};
  const args = parseCniArgs(environment.args, true);
  return { command: "DEL", ...parseBase(parseJson(body), "DEL"), ...identity, ...netns, args };
}

function parseGc(environment: CniEnvironment, body: Uint8Array): CniGcRequest {
  // Required by the spec; we delegate to nobody and do not use it.
  required(environment.path, "CNI_PATH");
  const json = parseJson(body);
  return { command: "GC", ...parseBase(json, "GC"), validAttachments: parseValidAttachments(json) };
}

function parseBase(json: JsonObject, command: CniCommand): Base {
  return { cniVersion: parseVersion(json, command), network: parseNetworkName(json) };
}

function parseJson(body: Uint8Array): JsonObject {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch (cause) {
    const details = `${body.length} bytes on standard input: ${toError(cause).message}`;
    throw new CniError("DECODING_FAILURE", "the network configuration is not JSON", details, { cause });
  }
  if (isJsonObject(json)) return json;
  const details = `standard input holds ${quote(JSON.stringify(json))}`;
  throw new CniError("DECODING_FAILURE", "the network configuration is not a JSON object", details);
}

function parseVersionRequest(body: Uint8Array): CniVersionRequest {
  // Older runtimes, and people, ask without input.
  const asked = body.length === 0 ? undefined : parseJson(body)["cniVersion"];
  return { command: "VERSION", ...(asked === undefined ? {} : { cniVersion: versionText(asked) }) };
}

function versionText(asked: unknown): string {
  if (typeof asked === "string") return asked;
  const details = `it is ${quote(JSON.stringify(asked))}`;
  throw new CniError("DECODING_FAILURE", "cniVersion is not a string", details);
}

function parseVersion(json: JsonObject, command: CniCommand): CniVersion {
  const asked = json["cniVersion"];
  const version = asked === undefined || asked === "" ? IMPLIED_CNI_VERSION : versionText(asked);
  if (!isCniVersion(version)) {
    const found = asked === undefined ? `absent, which means ${version}` : quote(version);
    const details = `cniVersion is ${found}; Heddle supports ${CNI_VERSIONS.join(", ")}`;
    throw new CniError("INCOMPATIBLE_VERSION", "incompatible CNI version", details);
  }
  const feature = COMMAND_FEATURE[command];
  if (feature !== undefined && !cniVersionHas(version, feature)) {
    const details = `cniVersion is ${version}; ${command} exists since ${cniFeatureSince(feature)}`;
    throw new CniError("INCOMPATIBLE_VERSION", `the configuration's version does not allow ${command}`, details);
  }
  return version;
}

const COMMAND_FEATURE: Partial<Record<CniCommand, CniFeature>> = { CHECK: "check", STATUS: "status", GC: "gc" };

function parseNetworkName(json: JsonObject): string {
  const name = json["name"];
  if (typeof name === "string" && /^[A-Za-z0-9][A-Za-z0-9_.-]*$/.test(name)) return name;
  const found = name === undefined ? "missing" : quote(typeof name === "string" ? name : JSON.stringify(name));
  const details = `name is ${found}; it must start with a letter or digit, then letters, digits, _ . or -`;
  throw new CniError("INVALID_CONFIG", "the network has no valid name", details);
}

function parseIdentity(environment: CniEnvironment): CniAttachment {
  return { containerId: parseContainerId(environment.containerId), ifname: parseIfname(environment.ifname) };
}

function isUsableNetns(netns: string | undefined): netns is string {
  return isSet(netns) && netns.startsWith("/") && !netns.includes("\0");
}

function parseAttachment(
  command: "ADD" | "CHECK",
  environment: CniEnvironment,
  body: Uint8Array,
): CniAddRequest | CniCheckRequest {
  const identity = parseIdentity(environment);
  const netns = parseNetns(environment.netns);
  const args = parseCniArgs(environment.args);
  const json = parseJson(body);
  const base = parseBase(json, command);
  const config = parseConfig(json);
  const prevResult = config.prevResult == null ? undefined : parseResult(config.prevResult);
  const common = { ...base, ...identity, netns, args, options: parseOptions(config, args, identity.ifname) };

  if (command === "ADD") return { command, ...common, ...(prevResult === undefined ? {} : { prevResult }) };
  if (prevResult === undefined) {
    const details = "prevResult is missing; the runtime must give the result of the ADD";
    throw new CniError("INVALID_CONFIG", "CHECK without the result of the ADD", details);
  }
  return { command, ...common, prevResult };
}

const attachmentsSchema = z.array(
  z.object({
    containerID: z.string().min(1, "must not be empty"),
    ifname: z.string().refine((name) => ifnameProblem(name) === undefined, "must be an interface name"),
  }),
);

/**
 * The list under its name in the spec, or under the one the spec had by mistake (libcni sends both). A missing list is
 * an error, not an empty one: taken as empty, it would remove every pod's network.
 */
function parseValidAttachments(json: JsonObject): readonly CniAttachment[] {
  const { "cni.dev/valid-attachments": current, "cni.dev/attachments": legacy } = json;
  const key = current === undefined && legacy !== undefined ? "cni.dev/attachments" : "cni.dev/valid-attachments";
  // Go's encoder writes null for an empty list.
  const list = json[key] === null ? [] : json[key];
  const parsed = attachmentsSchema.safeParse(list);
  if (!parsed.success) {
    throw new CniError("INVALID_CONFIG", "GC without a valid list of attachments", issueText(parsed.error, [key]));
  }
  return parsed.data.map(({ containerID, ifname }) => ({ containerId: containerID, ifname }));
}
