import { fullMessage, HeddleError } from "../../base/errors/errors.ts";
import { isJsonObject } from "./json.ts";
import { type CniVersion, isCniVersion, NEWEST_CNI_VERSION } from "./versions.ts";

/**
 * Error codes of SPEC.md section 5 "Error"; 8 and 999 are those of the reference library (pkg/types/types.go), which
 * the spec leaves out. From 100 on they are ours.
 */
export const CniErrorCode = {
  INCOMPATIBLE_VERSION: 1,
  /** The message must contain key and value of the field. */
  UNSUPPORTED_FIELD: 2,
  /** Tells the runtime that nothing needs to be cleaned up: never on a failed ADD that left something behind. */
  UNKNOWN_CONTAINER: 3,
  /** The message must contain the names of the variables. */
  INVALID_ENVIRONMENT: 4,
  IO_FAILURE: 5,
  DECODING_FAILURE: 6,
  INVALID_CONFIG: 7,
  INVALID_NETNS: 8,
  /** Transient: the runtime should repeat the same operation. */
  TRY_AGAIN_LATER: 11,
  /** STATUS: no ADD can be served. */
  NOT_AVAILABLE: 50,
  /** STATUS: no ADD can be served, and existing pods may be cut off. */
  LIMITED_CONNECTIVITY: 51,
  /** ADD: an interface of the asked name is in the namespace already and isn't ours. */
  INTERFACE_EXISTS: 100,
  /** ADD: the same container and interface were added before with different data; DEL first. */
  ALREADY_ADDED: 101,
  /** CHECK: something that ADD made is missing or changed; `details` names it. */
  CHECK_FAILED: 102,
  /** ADD: no address is left, or the asked one is taken; `details` names the pool. */
  NO_ADDRESS: 103,
  /** A defect of ours. */
  INTERNAL: 999,
} as const;

export type CniErrorName = keyof typeof CniErrorCode;
export type CniErrorCode = (typeof CniErrorCode)[CniErrorName];

/**
 * An operation that ends in an error answer to the runtime. `msg` says in a line what is wrong and where; `details`
 * what was found and what to do about it. The runtime shows both to the person who deploys the pod.
 */
export class CniError extends HeddleError<CniErrorName> {
  readonly msg: string;
  readonly details: string;

  constructor(code: CniErrorName, msg: string, details = "", options?: ErrorOptions) {
    super(code, details === "" ? msg : `${msg}: ${details}`, options);
    this.msg = msg;
    this.details = details;
  }

  /** The number that goes on the wire. */
  get cniCode(): CniErrorCode {
    return CniErrorCode[this.code];
  }
}

/** What a plugin prints on stdout when it fails (SPEC.md section 5 "Error"). */
export interface CniErrorBody {
  readonly cniVersion: string;
  readonly code: number;
  readonly msg: string;
  readonly details: string;
}

/** The error as the runtime reads it. Whatever is not a CniError is a defect of ours, and is told as such. */
export function toErrorBody(thrown: unknown, cniVersion: CniVersion = NEWEST_CNI_VERSION): CniErrorBody {
  if (thrown instanceof CniError) {
    return { cniVersion, code: thrown.cniCode, msg: thrown.msg, details: thrown.details };
  }
  const msg = "internal error of the Heddle agent; see its log";
  return { cniVersion, code: CniErrorCode.INTERNAL, msg, details: fullMessage(thrown) };
}

/**
 * The version in which to answer a request that could not be parsed: its own if it names one we speak, else the newest.
 * Never throws.
 */
export function errorVersion(body: Uint8Array): CniVersion {
  try {
    const config: unknown = JSON.parse(Buffer.from(body).toString("utf8"));
    const version = isJsonObject(config) ? config["cniVersion"] : undefined;
    return isCniVersion(version) ? version : NEWEST_CNI_VERSION;
  } catch {
    return NEWEST_CNI_VERSION;
  }
}
