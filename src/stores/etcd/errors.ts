import { StoreError, type StoreErrorCode } from "../api/store.ts";

/** gRPC status codes that matter here (grpc/status.h). */
export const GrpcStatus = {
  CANCELLED: 1,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  OUT_OF_RANGE: 11,
  UNAVAILABLE: 14,
  UNAUTHENTICATED: 16,
} as const;

/** What grpc-js rejects calls with. */
export interface GrpcError extends Error {
  readonly code: number;
  readonly details: string;
}

export const isGrpcError = (e: unknown): e is GrpcError =>
  e instanceof Error && typeof (e as Partial<GrpcError>).code === "number" && "details" in e;

/** Texts of etcd (api/v3rpc/rpctypes/error.go) where one status code means several things. */
const AUTH_STALE = /invalid auth token|revision of auth store is old/;
const AUTH_REFUSED = /authentication failed|user name is empty|permission denied|invalid auth token/;
const AUTH_DISABLED = /authentication is not enabled/;
/** Texts of OpenSSL and Node.js for either side's refusal of a certificate; gRPC calls all of them UNAVAILABLE. */
const TLS_REFUSED = /certificate|altnames|SSL alert|tlsv1 alert|handshake failure|wrong version number/i;

/** The token no longer holds; get another and try again. */
export const isStaleToken = (e: unknown): boolean => isGrpcError(e) && AUTH_STALE.test(e.details);

export const isAuthDisabled = (e: unknown): boolean => isGrpcError(e) && AUTH_DISABLED.test(e.details);

/** The asked revision is compacted away, or (`future`) the store has not come to it. */
export function outOfRange(e: unknown): "compacted" | "future" | undefined {
  const cause = e instanceof StoreError ? e.cause : e;
  if (!isGrpcError(cause) || cause.code !== GrpcStatus.OUT_OF_RANGE) return undefined;
  return cause.details.includes("future") ? "future" : "compacted";
}

export const hasStatus = (e: unknown, code: number): boolean => {
  const cause = e instanceof StoreError ? e.cause : e;
  return isGrpcError(cause) && cause.code === code;
};

/** `what` names the call: "etcd http://10.0.0.1:2379: range /heddle/nodes/". */
export function toStoreError(e: unknown, what: string): unknown {
  if (!isGrpcError(e)) return e;
  return new StoreError(codeOf(e), `${what}: ${e.details}`, { cause: e });
}

function codeOf({ code, details }: GrpcError): StoreErrorCode {
  switch (code) {
    case GrpcStatus.INVALID_ARGUMENT:
      return AUTH_REFUSED.test(details) ? "UNAUTHENTICATED" : "INVALID";
    case GrpcStatus.NOT_FOUND:
      return "LEASE_LOST"; // the only thing that etcd's key-value and lease calls do not find
    case GrpcStatus.PERMISSION_DENIED:
    case GrpcStatus.UNAUTHENTICATED:
      return "UNAUTHENTICATED";
    case GrpcStatus.UNAVAILABLE:
      return TLS_REFUSED.test(details) ? "UNAUTHENTICATED" : "UNAVAILABLE";
    default:
      return "UNAVAILABLE";
  }
}
