import { CniError } from "./errors.ts";

/** The CNI_* variables as the runtime set them; absent means unset. */
export interface CniEnvironment {
  readonly command?: string | undefined;
  readonly containerId?: string | undefined;
  readonly netns?: string | undefined;
  readonly ifname?: string | undefined;
  readonly args?: string | undefined;
  readonly path?: string | undefined;
}

export const CniCommand = ["ADD", "DEL", "CHECK", "STATUS", "GC", "VERSION"] as const;
export type CniCommand = (typeof CniCommand)[number];

/** The headers by which the executable hands the variables over; values are percent-encoded (agent.cpp). */
const HEADERS = [
  ["command", "x-cni-command", "CNI_COMMAND"],
  ["containerId", "x-cni-containerid", "CNI_CONTAINERID"],
  ["netns", "x-cni-netns", "CNI_NETNS"],
  ["ifname", "x-cni-ifname", "CNI_IFNAME"],
  ["args", "x-cni-args", "CNI_ARGS"],
  ["path", "x-cni-path", "CNI_PATH"],
] as const satisfies readonly (readonly [field: keyof CniEnvironment, header: string, variable: string])[];

/**
 * The environment out of a request's headers (names in lower case, as node:http gives them).
 * @throws CniError INVALID_ENVIRONMENT for a value that is not UTF-8.
 */
export function environmentFromHeaders(
  headers: Readonly<Record<string, string | string[] | undefined>>,
): CniEnvironment {
  const environment: { -readonly [K in keyof CniEnvironment]: string } = {};
  for (const [field, header, variable] of HEADERS) {
    const value = headers[header];
    if (typeof value !== "string") continue;
    try {
      environment[field] = decodeURIComponent(value);
    } catch (cause) {
      throw new CniError("INVALID_ENVIRONMENT", `${variable} is not UTF-8`, `its bytes are ${value}`, { cause });
    }
  }
  return environment;
}

/** A pod's interface; `(containerId, ifname)` identifies an attachment (SPEC.md section 3). */
export interface CniAttachment {
  readonly containerId: string;
  readonly ifname: string;
}

// SPEC.md section 2 "Parameters". libcni sets no bound on the length; ours keeps what is stored and shown small: the
// runtimes' IDs have 64 characters, a file name ends at 255.
const CONTAINER_ID = /^[A-Za-z0-9][A-Za-z0-9_.-]*$/;
const MAX_CONTAINER_ID = 255;
// IFNAMSIZ (include/uapi/linux/if.h) is 16 with the closing NUL.
const MAX_IFNAME = 15;
const MAX_PATH = 4095;

export function parseContainerId(value: string | undefined): string {
  const id = required(value, "CNI_CONTAINERID");
  if (id.length > MAX_CONTAINER_ID) {
    throw invalid("CNI_CONTAINERID", `${id.length} characters long`, `at most ${MAX_CONTAINER_ID} are allowed`);
  }
  if (!CONTAINER_ID.test(id)) {
    throw invalid("CNI_CONTAINERID", quote(id), "it must start with a letter or digit, then letters, digits, _ . or -");
  }
  return id;
}

/** The kernel's rules (dev_valid_name in net/core/dev.c) and, for names that end in logs and files, no control characters. */
export function ifnameProblem(name: string): string | undefined {
  if (name === "") return "it must not be empty";
  if (Buffer.byteLength(name) > MAX_IFNAME) return `it must have at most ${MAX_IFNAME} bytes`;
  if (name === "." || name === "..") return "it must not be . or ..";
  if (/[/:\s\p{Cc}]/u.test(name)) {
    return "it must not contain / or : or white space or control characters";
  }
  return undefined;
}

export function parseIfname(value: string | undefined): string {
  const name = required(value, "CNI_IFNAME");
  const problem = ifnameProblem(name);
  if (problem !== undefined) throw invalid("CNI_IFNAME", quote(name), problem);
  return name;
}

/** Whether the path leads to a namespace is for the agent to find out. */
export function parseNetns(value: string | undefined): string {
  const path = required(value, "CNI_NETNS");
  if (!path.startsWith("/")) throw invalid("CNI_NETNS", quote(path), "it must be an absolute path");
  if (path.includes("\0")) throw invalid("CNI_NETNS", quote(path), "it must not contain a NUL character");
  if (Buffer.byteLength(path) > MAX_PATH) {
    throw invalid("CNI_NETNS", `${Buffer.byteLength(path)} bytes long`, `a path has at most ${MAX_PATH}`);
  }
  return path;
}

export function parseCommand(value: string | undefined): CniCommand {
  const name = required(value, "CNI_COMMAND");
  const command = CniCommand.find((known) => known === name);
  if (command === undefined) throw invalid("CNI_COMMAND", quote(name), `it must be one of ${CniCommand.join(", ")}`);
  return command;
}

/** libcni sets every variable, to an empty value when it has none. */
export function isSet(value: string | undefined): value is string {
  return value !== undefined && value !== "";
}

export function required(value: string | undefined, variable: string): string {
  if (!isSet(value)) {
    throw new CniError("INVALID_ENVIRONMENT", `${variable} is missing`, "the runtime must set it for this command");
  }
  return value;
}

export function invalid(variable: string, found: string, rule: string): CniError {
  return new CniError("INVALID_ENVIRONMENT", `${variable} is invalid`, `it is ${found}, but ${rule}`);
}

/** As a JSON string, so that control characters are seen, and no longer than a line. */
export function quote(value: string): string {
  const text = JSON.stringify(value);
  return text.length <= 100 ? text : `${text.slice(0, 96)}..."`;
}
