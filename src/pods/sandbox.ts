import { createHash } from "node:crypto";
import { z } from "zod";
import { HeddleError } from "../base/errors/errors.ts";
import type { PodRow } from "./api.ts";
import { type SandboxId, sandboxId } from "./api.ts";
import { FURTHER_KINDS } from "./cni/interfaces.ts";

/** Who the pod is, from CNI_ARGS; absent when the runtime is not Kubernetes'. */
export interface PodName {
  readonly namespace: string;
  readonly name: string;
  readonly uid?: string | undefined;
}

/** What an ADD answered, and must hold until DEL. Kept in the local database. */
export interface Sandbox {
  readonly row: PodRow;
  readonly containerId: string;
  /** `name` of the network configuration; a GC is about one network. */
  readonly network: string;
  readonly pod: PodName | undefined;
  /** Digest of what was asked; an ADD with the same one is the same ADD. */
  readonly asked: string;
  /** Wall-clock milliseconds. */
  readonly addedAt: number;
}

export const SANDBOX_PREFIX = "sandbox/";
export const sandboxKey = (id: SandboxId): string => `${SANDBOX_PREFIX}${id}`;

/** A record of the local database that cannot be read. The pod keeps running; it cannot be managed until it is deleted. */
export class SandboxRecordError extends HeddleError<"BAD_RECORD" | "NEWER_RECORD"> {}

const VERSION = 1;

const record = z.object({
  v: z.literal(VERSION),
  containerId: z.string().min(1),
  ifName: z.string().min(1),
  netns: z.string(),
  network: z.string(),
  netnsId: z.string(),
  hostIf: z.string().min(1).max(15),
  link: z.enum(["tap", "veth"]).optional(),
  ips: z.array(z.string()).min(1),
  mac: z.string(),
  mtu: z.number(),
  routeMetric: z.number().optional(),
  hostPorts: z.array(
    z.object({
      protocol: z.enum(["tcp", "udp", "sctp"]),
      hostPort: z.number(),
      containerPort: z.number(),
      hostIp: z.string().optional(),
    }),
  ),
  bandwidth: z
    .object({ ingressRate: z.number(), ingressBurst: z.number(), egressRate: z.number(), egressBurst: z.number() })
    .optional(),
  further: z
    .array(
      z.object({
        name: z.string().min(1),
        kind: z.enum(FURTHER_KINDS),
        hostIf: z.string().min(1).max(15),
        mac: z.string(),
        number: z.int().min(1),
      }),
    )
    .optional(),
  pod: z.object({ namespace: z.string(), name: z.string(), uid: z.string().optional() }).optional(),
  asked: z.string(),
  addedAt: z.number(),
});

export function encodeSandbox(sandbox: Sandbox): string {
  const { row } = sandbox;
  const value: z.infer<typeof record> = {
    v: VERSION,
    containerId: sandbox.containerId,
    ifName: row.ifName,
    netns: row.netns,
    network: sandbox.network,
    netnsId: row.netnsId,
    hostIf: row.hostIf,
    link: row.link,
    ips: [...row.ips],
    mac: row.mac,
    mtu: row.mtu,
    routeMetric: row.routeMetric,
    hostPorts: row.hostPorts.map((p) => ({ ...p })),
    bandwidth: row.bandwidth && { ...row.bandwidth },
    further: row.further?.map((f) => ({ ...f })),
    pod: sandbox.pod && { ...sandbox.pod },
    asked: sandbox.asked,
    addedAt: sandbox.addedAt,
  };
  return JSON.stringify(value);
}

/** @throws SandboxRecordError naming the key. */
export function decodeSandbox(key: string, text: string): Sandbox {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (e) {
    throw new SandboxRecordError("BAD_RECORD", `local database, ${key}: not JSON`, { cause: e });
  }
  const version = (json as { v?: unknown } | null)?.v;
  if (typeof version === "number" && version > VERSION) {
    throw new SandboxRecordError(
      "NEWER_RECORD",
      `local database, ${key}: version ${version}, this agent knows ${VERSION}`,
    );
  }
  const parsed = record.safeParse(json);
  if (!parsed.success) {
    throw new SandboxRecordError("BAD_RECORD", `local database, ${key}: ${z.prettifyError(parsed.error)}`);
  }
  const r = parsed.data;
  return {
    containerId: r.containerId,
    pod: r.pod,
    network: r.network,
    asked: r.asked,
    addedAt: r.addedAt,
    row: {
      id: sandboxId(r.containerId, r.ifName),
      netns: r.netns,
      netnsId: r.netnsId,
      ifName: r.ifName,
      hostIf: r.hostIf,
      ...(r.link === undefined ? {} : { link: r.link }),
      ips: r.ips,
      mac: r.mac,
      mtu: r.mtu,
      routeMetric: r.routeMetric,
      hostPorts: r.hostPorts,
      bandwidth: r.bandwidth,
      ...(r.further === undefined ? {} : { further: r.further }),
    },
  };
}

/**
 * Name of the node's end: `hd` and 13 hex digits = 15 characters, the kernel's limit (IFNAMSIZ - 1). A function of the
 * sandbox alone, so that a restarted agent and a repeated ADD find the same link. 52 bits: 500 pods collide with a
 * probability of 3e-11.
 */
export const hostIfName = (id: SandboxId): string => `hd${digest(id).slice(0, 13)}`;

/** A locally administered unicast address, a function of the sandbox alone. */
export function podMac(id: SandboxId): string {
  const hex = digest(`mac ${id}`);
  const octets = [0x02, ...[0, 2, 4, 6, 8].map((i) => Number.parseInt(hex.slice(i, i + 2), 16))];
  return octets.map((o) => o.toString(16).padStart(2, "0")).join(":");
}

const digest = (text: string): string => createHash("sha256").update(text).digest("hex");
