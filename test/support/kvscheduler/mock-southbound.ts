import type {
  CommitGroup,
  Dependency,
  Descriptor,
  GroupOp,
  Key,
  KeyValue,
  OpContext,
  Retrieved,
} from "../../../src/kvscheduler/api/descriptor.ts";
import { InvalidValueError } from "../../../src/kvscheduler/api/errors.ts";

/** A value of the mock. `v` is what is compared; the rest says how the value behaves. */
export interface MockValue {
  readonly v: number | string;
  readonly deps?: readonly Dependency[];
  readonly derived?: readonly KeyValue<MockValue>[];
  /** Rejected by validate. */
  readonly invalid?: boolean;
  /** A change to this value is made by delete and create. */
  readonly recreate?: boolean;
}

/** `before`: fails without effect; `after`: takes effect, then fails; `hang`: never answers, until {@link release}. */
export type Fault = "before" | "after" | "hang";

interface Stored {
  readonly value: MockValue;
  readonly id: number;
  readonly origin: "northbound" | "southbound";
}

export interface MockOptions {
  /** Awaited before each operation takes effect: makes the operations asynchronous. */
  readonly pause?: (key: Key) => Promise<void>;
  /** Called before an operation takes effect. */
  readonly check?: (op: "create" | "update" | "delete", key: Key, value: MockValue) => void;
}

export interface MockDescriptorOptions {
  readonly update?: boolean;
  readonly retrieve?: boolean;
  readonly retrieveOne?: boolean;
  readonly group?: CommitGroup;
  readonly concurrency?: number;
  readonly retrieveAfter?: readonly string[];
  readonly exclusive?: boolean;
}

/**
 * A southbound in memory. It is as strict as a kernel: it refuses to create what is there, to change or remove what is
 * not, and whatever comes with outdated data; and it takes carried values along with what carries them.
 */
export class MockSouthbound {
  readonly stored = new Map<Key, Stored>();
  /** `create a/1`, `commit g [create g1/1, delete g2/1]`, `retrieve a`, in the order of their sending. */
  readonly ops: string[] = [];
  /** What the scheduler did wrong. */
  readonly complaints: string[] = [];
  /** Keys whose operations fail, and how often still. */
  readonly faults = new Map<Key, { fault: Fault; times: number }>();
  /** Descriptors whose retrieve fails. */
  readonly unreadable = new Set<string>();
  running = 0;
  maxRunning = 0;
  #ids = 0;
  #hanging: (() => void)[] = [];
  readonly #options: MockOptions;

  constructor(options: MockOptions = {}) {
    this.#options = options;
  }

  /** The operations since the last call. */
  takeOps(): string[] {
    return this.ops.splice(0);
  }

  fail(key: Key, fault: Fault = "before", times = 1): void {
    this.faults.set(key, { fault, times });
  }

  /** Lets the hanging operations go on. */
  release(): void {
    for (const go of this.#hanging.splice(0)) go();
  }

  /** Puts a value there behind the scheduler's back. */
  appear(key: Key, value: MockValue, origin: Stored["origin"]): void {
    this.stored.set(key, { value, id: ++this.#ids, origin });
  }

  /** Takes a value away behind the scheduler's back, with what cannot be without it. */
  vanish(key: Key): void {
    if (this.stored.delete(key)) this.#carry(key);
  }

  values(prefix = ""): Map<Key, MockValue["v"]> {
    const keys = [...this.stored.keys()].filter((k) => k.startsWith(prefix)).sort();
    return new Map(keys.map((k) => [k, this.stored.get(k)!.value.v]));
  }

  descriptor(name: string, options: MockDescriptorOptions = {}): Descriptor<MockValue, number> {
    const prefix = `${name}/`;
    const d: Descriptor<MockValue, number> = {
      name,
      keyPrefixes: [prefix],
      equivalent: (_, a, b) =>
        a.v === b.v && JSON.stringify([a.deps, a.derived]) === JSON.stringify([b.deps, b.derived]),
      validate: (key, value) => {
        if (value.invalid === true) throw new InvalidValueError(`${key}: v is bad`, ["v"]);
      },
      dependencies: (_, value) => value.deps ?? [],
      derived: (_, value) => value.derived ?? [],
      create: (key, value) => this.#run("create", key, () => this.#create(key, value)),
      delete: (key, value, metadata) => this.#run("delete", key, () => this.#delete(key, value, metadata)),
      updateNeedsRecreate: (_, __, value) => value.recreate === true,
      ...(options.update !== false && {
        update: (key, old, value, metadata) => this.#run("update", key, () => this.#update(key, old, value, metadata)),
      }),
      ...(options.retrieve !== false && { retrieve: () => this.#retrieve(name, prefix) }),
      ...(options.retrieveOne === true && {
        retrieveOne: (key) => {
          this.ops.push(`read ${key}`);
          return Promise.resolve(this.#retrieved(key));
        },
      }),
      ...(options.group !== undefined && { group: options.group }),
      ...(options.concurrency !== undefined && { concurrency: options.concurrency }),
      ...(options.retrieveAfter !== undefined && { retrieveAfter: options.retrieveAfter }),
      ...(options.exclusive !== undefined && { exclusive: options.exclusive }),
    };
    return d;
  }

  /** A group that refuses the whole commit if one operation has a fault. */
  group(name: string, maxOps?: number): CommitGroup {
    return {
      name,
      ...(maxOps !== undefined && { maxOps }),
      commit: async (ops: readonly GroupOp[], ctx: OpContext) => {
        this.ops.push(`commit ${name} [${ops.map((op) => `${op.kind} ${op.key}`).join(", ")}]`);
        await this.#options.pause?.(name);
        ctx.signal.throwIfAborted();
        const fault = ops.find((op) => this.#takeFault(op.key) !== undefined);
        if (fault !== undefined) throw new Error(`commit refused because of ${fault.key}`);
        return ops.map((op) => ({ ok: true as const, metadata: this.#one(op) }));
      },
    };
  }

  #one(op: GroupOp): unknown {
    const value = op.value as MockValue;
    if (op.kind === "create") return this.#create(op.key, value);
    if (op.kind === "update") return this.#update(op.key, op.oldValue as MockValue, value, op.metadata as number);
    return this.#delete(op.key, value, op.metadata as number);
  }

  #run<T>(kind: string, key: Key, effect: () => T): T | Promise<T> {
    this.ops.push(`${kind} ${key}`);
    const fault = this.#takeFault(key);
    if (this.#options.pause === undefined && fault !== "hang") return this.#finish(kind, key, fault, effect);
    return this.#later(kind, key, fault, effect);
  }

  async #later<T>(kind: string, key: Key, fault: Fault | undefined, effect: () => T): Promise<T> {
    this.maxRunning = Math.max(this.maxRunning, ++this.running);
    try {
      await this.#options.pause?.(key);
      if (fault === "hang") await new Promise<void>((resolve) => this.#hanging.push(resolve));
      return this.#finish(kind, key, fault, effect);
    } finally {
      this.running--;
    }
  }

  #finish<T>(kind: string, key: Key, fault: Fault | undefined, effect: () => T): T {
    if (fault === "before") throw new Error(`${kind} of ${key} failed`);
    const result = effect();
    if (fault === "after") throw new Error(`${kind} of ${key} failed after its effect`);
    return result;
  }

  #takeFault(key: Key): Fault | undefined {
    const f = this.faults.get(key);
    if (f === undefined) return undefined;
    if (--f.times <= 0) this.faults.delete(key);
    return f.fault;
  }

  #create(key: Key, value: MockValue): number {
    this.#options.check?.("create", key, value);
    if (this.stored.has(key)) this.complaints.push(`create of ${key}, which exists`);
    const id = ++this.#ids;
    this.stored.set(key, { value, id, origin: "northbound" });
    return id;
  }

  #update(key: Key, old: MockValue, value: MockValue, id: number): number {
    this.#options.check?.("update", key, value);
    const stored = this.stored.get(key);
    this.#compare("update", key, stored, old, id);
    this.stored.set(key, { value, id, origin: "northbound" });
    return id;
  }

  #delete(key: Key, value: MockValue, id: number): undefined {
    this.#options.check?.("delete", key, value);
    const stored = this.stored.get(key);
    this.#compare("delete", key, stored, value, id);
    this.stored.delete(key);
    this.#carry(key);
  }

  #compare(op: string, key: Key, stored: Stored | undefined, value: MockValue, id: number): void {
    let why: string | undefined;
    if (stored === undefined) why = "does not exist";
    else if (stored.value.v !== value.v) why = `is ${stored.value.v}, not ${value.v}`;
    else if (stored.id !== id) why = `has metadata ${stored.id}, not ${id}`;
    if (why !== undefined) this.complaints.push(`${op} of ${key}, which ${why}`);
  }

  #carry(key: Key): void {
    for (const [k, s] of this.stored) {
      if (s.origin === "southbound") continue; // it would be told of by a notification
      const carried = s.value.deps?.some((d) => "key" in d && d.key === key && d.carries === true);
      if (carried === true && this.stored.delete(k)) this.#carry(k);
    }
  }

  async #retrieve(name: string, prefix: Key): Promise<Retrieved<MockValue, number>[]> {
    this.ops.push(`retrieve ${name}`);
    if (this.unreadable.has(name)) throw new Error(`${name} cannot be read`);
    const found = [...this.stored.keys()].filter((k) => k.startsWith(prefix));
    return found.map((k) => this.#retrieved(k)!);
  }

  #retrieved(key: Key): Retrieved<MockValue, number> | undefined {
    const s = this.stored.get(key);
    if (s === undefined) return undefined;
    return { key, value: s.value, metadata: s.id, origin: s.origin };
  }
}
