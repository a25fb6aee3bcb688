import { readFile } from "node:fs/promises";
import type { Clock, Duration } from "../../base/clock/clock.ts";
import { fullMessage } from "../../base/errors/errors.ts";
import { StoreError } from "../api/store.ts";

export interface EtcdStoreOptions {
  /** Client URLs of the members, `http://host:port` or all `https://…`. */
  readonly endpoints: readonly string[];
  /** Files (PEM), read anew for every connection, so that renewed ones are taken up. */
  readonly tls?:
    | { readonly ca?: string | undefined; readonly cert?: string | undefined; readonly key?: string | undefined }
    | undefined;
  readonly auth?: { readonly username: string; readonly passwordFile: string } | undefined;
  /** How long an endpoint may take for its first answer before the next is tried; 2 s if absent. */
  readonly dialTimeout?: Duration;
  /** Deadline of every call; 5 s if absent. */
  readonly requestTimeout?: Duration;
  /** How often a watch's connection is asked for a sign of life; 5 s if absent. It has the time of a request to answer. */
  readonly heartbeat?: Duration;
  /** Put before every key in etcd, and taken off again; nothing if absent. */
  readonly keyPrefix?: string;
  readonly log?: EtcdLog;
  readonly clock?: Clock;
}

/** The part of the log that is used here. */
export interface EtcdLog {
  debug(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

export interface Credentials {
  readonly rootCertificate?: Buffer;
  readonly certChain?: Buffer;
  readonly privateKey?: Buffer;
}

export interface Login {
  readonly username: string;
  readonly password: string;
}

/** @throws StoreError `INVALID` for options that can't be right. */
export function checkOptions({ endpoints, tls }: EtcdStoreOptions): void {
  if (endpoints.length === 0) throw new StoreError("INVALID", "etcd: no endpoints");
  for (const endpoint of endpoints) {
    const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
    if (!url || !/^https?:$/.test(url.protocol) || url.pathname !== "/") {
      throw new StoreError("INVALID", `etcd endpoint ${endpoint} is not of the form http://host:port`);
    }
    if (tls && url.protocol !== "https:") {
      throw new StoreError("INVALID", `etcd endpoint ${endpoint} is not https, but TLS is configured`);
    }
  }
  if (new Set(endpoints.map((e) => new URL(e).protocol)).size > 1) {
    throw new StoreError("INVALID", "etcd endpoints are partly http, partly https");
  }
  if (tls && (tls.cert === undefined) !== (tls.key === undefined)) {
    throw new StoreError("INVALID", "etcd: a client certificate needs both cert and key");
  }
}

export async function readCredentials(tls: EtcdStoreOptions["tls"]): Promise<Credentials | undefined> {
  if (!tls) return undefined;
  const { ca, cert, key } = tls;
  return {
    ...(ca !== undefined && { rootCertificate: await readSecret(ca) }),
    ...(cert !== undefined && { certChain: await readSecret(cert) }),
    ...(key !== undefined && { privateKey: await readSecret(key) }),
  };
}

export async function readLogin(auth: EtcdStoreOptions["auth"]): Promise<Login | undefined> {
  if (!auth) return undefined;
  const password = (await readSecret(auth.passwordFile)).toString().replace(/\r?\n$/, "");
  return { username: auth.username, password };
}

async function readSecret(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (e) {
    throw new StoreError("UNAUTHENTICATED", `etcd: cannot read ${path}: ${fullMessage(e)}`, { cause: e });
  }
}
