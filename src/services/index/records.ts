import type { EndpointSlice } from "../../models/k8s/endpoint-slice.ts";
import type { Entry, Unreadable } from "../../models/k8s/entry.ts";
import type { Service } from "../../models/k8s/service.ts";
import type { ObjectName } from "../api.ts";
import type { BuiltService } from "../compile/service.ts";
import { compareText, objectKey } from "../names.ts";

/** A service that exists, or that slices exist of. */
export interface ServiceRecord extends ObjectName {
  readonly key: string;
  object: Service | Unreadable | undefined;
  /** By name, in no particular order. */
  readonly slices: Map<string, SliceRecord>;
  built: BuiltService | undefined;
}

export interface SliceRecord {
  readonly slice: EndpointSlice;
  /** Generation of an older version of it that came after this one; undefined if none did. */
  readonly stale: number | undefined;
}

/** The service's object; undefined without, or if it can't be read. */
export const serviceOf = ({ object }: ServiceRecord): Service | undefined =>
  object && !("unreadable" in object) ? object : undefined;

export const slicesOf = (record: ServiceRecord): readonly EndpointSlice[] =>
  [...record.slices.values()].map((s) => s.slice).sort((a, b) => compareText(a.name, b.name));

/** Services with their slices. */
export class Records {
  readonly services = new Map<string, ServiceRecord>();
  /** Slices that can't be read, by name. */
  readonly unreadable = new Map<string, ObjectName & Unreadable>();
  /** Which service a slice is of. */
  readonly #serviceBySlice = new Map<string, ServiceRecord>();
  readonly dirty = new Set<ServiceRecord>();
  /** Slices that are no more, or of another service, or were not readable. */
  readonly gone = new Map<string, ObjectName>();

  putService(at: ObjectName, object: Entry<Service>): void {
    const record = this.#record(at);
    record.object = object;
    this.dirty.add(record);
  }

  /** Whether it was taken: an older version than the known one is not. */
  putSlice(at: ObjectName, object: Entry<EndpointSlice>): boolean {
    const key = objectKey(at);
    const before = this.#serviceBySlice.get(key);
    const known = before?.slices.get(at.name);
    const isReadable = object !== undefined && !("unreadable" in object);
    if (before && known && isReadable && isOlder(object, known.slice)) {
      before.slices.set(at.name, { slice: known.slice, stale: object.generation });
      this.dirty.add(before);
      return false;
    }
    if (before) {
      before.slices.delete(at.name);
      this.#serviceBySlice.delete(key);
      this.dirty.add(before);
    }
    if (before || this.unreadable.delete(key)) this.gone.set(key, at);
    if (object === undefined) return true;
    if (!isReadable) {
      this.unreadable.set(key, { ...at, ...object });
      this.gone.set(key, at);
      return true;
    }
    const now = this.#record({ namespace: at.namespace, name: object.service });
    now.slices.set(at.name, { slice: object, stale: undefined });
    this.#serviceBySlice.set(key, now);
    this.dirty.add(now);
    return true;
  }

  get(at: ObjectName): ServiceRecord | undefined {
    return this.services.get(objectKey(at));
  }

  /** Forgets a service that nobody knows any more. */
  sweep(record: ServiceRecord): void {
    if (record.object === undefined && record.slices.size === 0) this.services.delete(record.key);
  }

  #record(at: ObjectName): ServiceRecord {
    const key = objectKey(at);
    let record = this.services.get(key);
    if (!record) {
      const { namespace, name } = at;
      this.services.set(
        key,
        (record = { key, namespace, name, object: undefined, slices: new Map(), built: undefined }),
      );
    }
    return record;
  }
}

/** The API server counts changes per object; one of the same name but another UID begins anew. */
const isOlder = (now: EndpointSlice, known: EndpointSlice): boolean =>
  now.uid === known.uid &&
  now.generation !== undefined &&
  known.generation !== undefined &&
  now.generation < known.generation;
