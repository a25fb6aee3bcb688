import { mapping, text } from "../convert/members.ts";

/** What a coordination.k8s.io/v1 Lease says of who leads. */
export interface LeaseRecord {
  /** "" or undefined: nobody. */
  readonly holder: string | undefined;
  readonly durationSeconds: number;
  readonly acquired: string | undefined;
  readonly renewed: string | undefined;
  readonly transitions: number;
}

const whole = (v: unknown): number | undefined => (typeof v === "number" && Number.isInteger(v) ? v : undefined);

export function leaseRecord(lease: unknown): LeaseRecord {
  const spec = mapping(mapping(lease)["spec"]);
  return {
    holder: text(spec["holderIdentity"]),
    durationSeconds: whole(spec["leaseDurationSeconds"]) ?? 0,
    acquired: text(spec["acquireTime"]),
    renewed: text(spec["renewTime"]),
    transitions: whole(spec["leaseTransitions"]) ?? 0,
  };
}

/** The lease with another record; whatever else it has, as its resourceVersion, stays. */
export function withRecord(lease: unknown, record: LeaseRecord): unknown {
  const { metadata, spec } = mapping(lease);
  return {
    apiVersion: "coordination.k8s.io/v1",
    kind: "Lease",
    metadata,
    spec: {
      ...mapping(spec),
      holderIdentity: record.holder ?? "",
      leaseDurationSeconds: record.durationSeconds,
      acquireTime: record.acquired,
      renewTime: record.renewed,
      leaseTransitions: record.transitions,
    },
  };
}

/** MicroTime: RFC 3339 with microseconds, no more and no less. */
export const microTime = (wall: number): string => new Date(wall).toISOString().replace("Z", "000Z");
