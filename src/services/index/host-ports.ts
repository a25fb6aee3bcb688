import type { SandboxId } from "../../pods/api.ts";
import type { Frontend, ObjectName, PodHostPorts, PortProtocol } from "../api.ts";
import { type BuiltHostPorts, type PortSlot, wanted } from "../compile/host-ports.ts";
import { compareText, objectKey } from "../names.ts";

/** An interface of a pod that has host ports. */
export interface HostPortRecord {
  readonly id: SandboxId;
  readonly object: PodHostPorts;
  built: BuiltHostPorts;
}

const NOTHING: BuiltHostPorts = { frontends: [], problems: [] };

/** Pods of this node that have host ports. */
export class HostPortRecords {
  readonly #records = new Map<SandboxId, HostPortRecord>();
  /** Who wants a port. */
  readonly #bySlot = new Map<string, Set<SandboxId>>();
  /** To be built; without an object they go. */
  readonly dirty = new Map<SandboxId, HostPortRecord>();

  get(id: SandboxId): HostPortRecord | undefined {
    return this.#records.get(id);
  }

  /** By pod, and then by interface. */
  all(): readonly HostPortRecord[] {
    return [...this.#records.values()].sort(
      (a, b) => compareText(objectKey(a.object.pod), objectKey(b.object.pod)) || compareText(a.id, b.id),
    );
  }

  /** Returns what there was, which is gone. */
  put(id: SandboxId, object: PodHostPorts | undefined): HostPortRecord | undefined {
    const before = this.#records.get(id);
    for (const slot of slotsOf(before)) {
      const users = this.#bySlot.get(slot);
      users?.delete(id);
      if (users?.size === 0) this.#bySlot.delete(slot);
    }
    this.#records.delete(id);
    this.dirty.delete(id);
    if (!object) return before;
    const record: HostPortRecord = { id, object, built: NOTHING };
    this.#records.set(id, record);
    for (const slot of slotsOf(record)) this.#bySlot.set(slot, (this.#bySlot.get(slot) ?? new Set()).add(id));
    this.dirty.set(id, record);
    return before;
  }

  /** Those who want the port of a frontend of a service, which has come, gone, or changed. */
  touch(frontend: Frontend): void {
    for (const id of this.#bySlot.get(slotText(frontend)) ?? []) {
      const record = this.#records.get(id);
      if (record) this.dirty.set(id, record);
    }
  }

  touchAll(): void {
    for (const record of this.#records.values()) this.dirty.set(record.id, record);
  }

  /** What is wrong with a pod's, whichever of its interfaces it is about. */
  problemsOf(pod: ObjectName): BuiltHostPorts["problems"] {
    return this.all().flatMap(({ object, built }) => (objectKey(object.pod) === objectKey(pod) ? built.problems : []));
  }

  /** Whether one of its ports leads to the address and port. */
  leadsTo(id: SandboxId, protocol: PortProtocol, address: string, port: number): boolean {
    const object = this.#records.get(id)?.object;
    return (
      object !== undefined &&
      [...wanted(object)].some(
        ({ slot, to }) => slot.protocol === protocol && to.address === address && to.port === port,
      )
    );
  }
}

const slotText = ({ family, protocol, port }: PortSlot): string => `${family}/${protocol}/${port}`;

const slotsOf = (record: HostPortRecord | undefined): readonly string[] =>
  record ? [...wanted(record.object)].map(({ slot }) => slotText(slot)) : [];
