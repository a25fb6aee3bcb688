import type {
  CommitGroup,
  Correlate,
  Descriptor,
  GroupOp,
  Key,
  OpContext,
  Retrieved,
} from "../../../src/kvscheduler/api/descriptor.ts";
import { InvalidValueError } from "../../../src/kvscheduler/api/errors.ts";
import { failBefore, MockFaults } from "./mock-faults.ts";
import { type Fault, isCarriedBy, type MockValue, RefusedError, sameValue } from "./mock-value.ts";

export type { Fault, MockValue } from "./mock-value.ts";

export interface Stored {
  readonly value: MockValue;
  /** Metadata: a new one for everything that is made. */
  readonly id: number;
  readonly origin: "northbound" | "southbound";
}

type OpKind = "create" | "update" | "delete";

export interface MockOptions {
  /** Awaited before each operation takes effect: makes the operations asynchronous. */
  readonly pause?: (key: Key) => Promise<void>;
  /** Called before an operation takes effect. */
  readonly check?: (op: OpKind, key: Key, value: MockValue) => void;
}

export interface MockDescriptorOptions
  extends Pick<Descriptor, "group" | "concurrency" | "deadline" | "retrieveAfter" | "exclusive"> {
  readonly update?: boolean;
  readonly retrieve?: boolean;
  readonly retrieveOne?: boolean;
}

/** One process that uses the southbound. */
interface Life {
  /** Operations that still take effect before it dies. */
  left: number;
}

/**
 * A southbound in memory. It is as strict as a kernel: it refuses to create what is there, to change or remove what is
 * not, and whatever comes with outdated data; and it takes carried values along with what carries them.
 */
export class MockSouthbound {
  readonly stored = new Map<Key, Stored>();
  /** `create a/1`, `commit g [create g1/1, delete g2/1]`, `retrieve a`, in the order of their sending. */
  readonly ops: string[] = [];
  /** What retrieves were given to map by. */
  readonly correlates: { readonly descriptor: string; readonly list: readonly Correlate<MockValue, number>[] }[] = [];
  /** What the scheduler did wrong. */
  readonly complaints: string[] = [];
  readonly faults = new MockFaults();
  /** Descriptors whose retrieve goes wrong. */
  readonly unreadable = new Map<string, "fails" | "hangs">();
  pause: MockOptions["pause"];
  running = 0;
  maxRunning = 0;
  #ids = 0;
  #life: Life = { left: Number.POSITIVE_INFINITY };
  /** Descriptors that cannot read: what they have made is known to the process only, and dies with it. */
  readonly #volatile = new Set<string>();
  /** What their values were derived from. */
  readonly #bases = new Map<Key, Key>();
  /** What the scheduler does with these is no fault of its own. */
  readonly #deceived = new Set<Key>();
  readonly #check: MockOptions["check"];

  constructor(options: MockOptions = {}) {
    this.pause = options.pause;
    this.#check = options.check;
  }

  /** Operations that are under way and will end without anybody's help. */
  get busy(): number {
    return this.running - this.faults.hanging;
  }

  /** The operations since the last call. */
  takeOps(): string[] {
    return this.ops.splice(0);
  }

  /** @param skip operations on the key that go well before */
  fail(key: Key, fault: Fault = "before", times = 1, skip = 0): void {
    this.faults.plan(key, fault, times, skip);
  }

  /** Lets the hanging operations go on. */
  release(): void {
    this.faults.release();
  }

  /** The process that uses the southbound dies: after so many operations more, or now. */
  dieAfter(ops: number): void {
    this.#life.left = ops;
  }

  /** The process is dead; the descriptors made from now on belong to the next one. */
  restart(): void {
    this.#life.left = 0;
    this.#life = { left: Number.POSITIVE_INFINITY };
    this.running -= this.faults.abandon();
    for (const key of [...this.stored.keys()]) if (this.#isOpaque(key)) this.vanish(key);
  }

  /** Puts a value there behind the scheduler's back. */
  appear(key: Key, value: MockValue, origin: Stored["origin"]): void {
    this.stored.set(key, { value, id: ++this.#ids, origin });
  }

  /** Changes a value behind the scheduler's back. */
  tamper(key: Key, v: MockValue["v"]): void {
    const s = this.stored.get(key);
    if (s !== undefined) this.stored.set(key, { ...s, value: { ...s.value, v } });
  }

  /** What we have changed is the southbound's own again. */
  disown(key: Key): void {
    const s = this.stored.get(key);
    if (s !== undefined) this.stored.set(key, { ...s, origin: "southbound" });
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
    const { update, retrieve, retrieveOne, ...rest } = options;
    const life = this.#life;
    if (retrieve === false) this.#volatile.add(name);
    return {
      name,
      keyPrefixes: [`${name}/`],
      equivalent: (_, a, b) => sameValue(a, b, this.#isOpaque),
      validate: (key, value) => {
        if (value.invalid === true) throw new InvalidValueError(`${key}: v is bad`, ["v"]);
      },
      dependencies: (_, value) => value.deps ?? [],
      derived: (key, value) => {
        for (const d of value.derived ?? []) if (this.#isOpaque(d.key)) this.#bases.set(d.key, key);
        return value.derived ?? [];
      },
      isRetriable: (error) => !(error instanceof RefusedError),
      create: (key, value) => this.#run(life, "create", key, () => this.#create(key, value)),
      delete: (key, value, id) => this.#run(life, "delete", key, () => this.#delete(key, value, id)),
      updateNeedsRecreate: (_, __, value) => value.recreate === true,
      ...(update !== false && {
        update: (key, old, value, id) => this.#run(life, "update", key, () => this.#update(key, old, value, id)),
      }),
      ...(retrieve !== false && { retrieve: (list) => this.#retrieve(life, name, [...list]) }),
      ...(retrieveOne === true && { retrieveOne: (key) => this.#read(life, key) }),
      ...rest,
    };
  }

  /** A group that refuses the whole commit if one operation has a fault. */
  group(name: string, maxOps?: number): CommitGroup {
    const life = this.#life;
    return {
      name,
      ...(maxOps !== undefined && { maxOps }),
      commit: async (ops: readonly GroupOp[], ctx: OpContext) => {
        if (life.left-- <= 0) return never();
        this.ops.push(`commit ${name} [${ops.map((op) => `${op.kind} ${op.key}`).join(", ")}]`);
        return this.#busily(async () => {
          await this.pause?.(name);
          ctx.signal.throwIfAborted();
          for (const { key } of ops) {
            const fault = this.faults.take(key);
            if (fault === "hang") await this.faults.hang();
            else if (fault !== undefined) throw new Error(`commit refused because of ${key}`);
          }
          return ops.map((op) => ({ ok: true as const, metadata: this.#one(op) }));
        });
      },
    };
  }

  #one(op: GroupOp): unknown {
    const value = op.value as MockValue;
    if (op.kind === "create") return this.#create(op.key, value);
    if (op.kind === "update") return this.#update(op.key, op.oldValue as MockValue, value, op.metadata as number);
    return this.#delete(op.key, value, op.metadata as number);
  }

  #run<T>(life: Life, kind: OpKind, key: Key, effect: () => T): T | Promise<T> {
    if (life.left-- <= 0) return never();
    this.ops.push(`${kind} ${key}`);
    const fault = this.faults.take(key);
    if (this.pause === undefined && fault !== "hang") return this.#finish(kind, key, fault, effect);
    return this.#later(kind, key, fault, effect);
  }

  #later<T>(kind: OpKind, key: Key, fault: Fault | undefined, effect: () => T): Promise<T> {
    return this.#busily(async () => {
      await this.pause?.(key);
      if (fault === "hang") await this.faults.hang();
      return this.#finish(kind, key, fault, effect);
    });
  }

  async #busily<T>(work: () => Promise<T>): Promise<T> {
    this.maxRunning = Math.max(this.maxRunning, ++this.running);
    try {
      return await work();
    } finally {
      this.running--;
    }
  }

  #finish<T>(kind: OpKind, key: Key, fault: Fault | undefined, effect: () => T): T {
    failBefore(fault, kind, key);
    const before = this.stored.get(key);
    if (fault === "lie" || fault === "lost") this.#deceive(key);
    if (fault === "lie") return (before?.id ?? 0) as T;
    const result = effect();
    if (fault === "after") throw new Error(`${kind} of ${key} failed after its effect`);
    if (fault === "lost") {
      if (before === undefined) this.vanish(key);
      else this.stored.set(key, before);
    }
    return result;
  }

  #create(key: Key, value: MockValue): number {
    this.#check?.("create", key, value);
    if (this.stored.has(key)) this.#complain(key, `create of ${key}, which exists`);
    const id = ++this.#ids;
    this.stored.set(key, { value, id, origin: "northbound" });
    return id;
  }

  #update(key: Key, old: MockValue, value: MockValue, id: number): number {
    this.#check?.("update", key, value);
    this.#compare("update", key, old, id);
    this.stored.set(key, { value, id, origin: "northbound" });
    return id;
  }

  #delete(key: Key, value: MockValue, id: number): undefined {
    this.#check?.("delete", key, value);
    this.#compare("delete", key, value, id);
    this.stored.delete(key);
    this.#carry(key);
  }

  #compare(op: string, key: Key, value: MockValue, id: number): void {
    const stored = this.stored.get(key);
    let why: string | undefined;
    if (stored === undefined) why = "does not exist";
    else if (stored.value.v !== value.v) why = `is ${stored.value.v}, not ${value.v}`;
    else if (stored.id !== id) why = `has metadata ${stored.id}, not ${id}`;
    if (why !== undefined) this.#complain(key, `${op} of ${key}, which ${why}`);
  }

  /** What the scheduler makes of this key from now on, and of what it carries, it makes of a lie. */
  #deceive(key: Key, seen = new Set<Key>()): void {
    if (seen.has(key)) return;
    seen.add(key);
    this.#deceived.add(key);
    for (const [k, s] of this.stored) if (isCarriedBy(s.value, key)) this.#deceive(k, seen);
  }

  #complain(key: Key, text: string): void {
    if (!this.#deceived.has(key)) this.complaints.push(text);
  }

  #carry(key: Key): void {
    for (const [k, s] of this.stored) {
      if (s.origin === "southbound") continue; // it would be told of by a notification
      if (isCarriedBy(s.value, key) && this.stored.delete(k)) this.#carry(k);
    }
  }

  async #retrieve(
    life: Life,
    name: string,
    list: readonly Correlate<MockValue, number>[],
  ): Promise<Retrieved<MockValue, number>[]> {
    if (life.left <= 0) return never();
    this.ops.push(`retrieve ${name}`);
    this.correlates.push({ descriptor: name, list });
    const trouble = this.unreadable.get(name);
    if (trouble === "hangs") await this.#busily(() => this.faults.hang());
    if (trouble === "fails") throw new Error(`${name} cannot be read`);
    const found = [...this.stored.keys()].filter((k) => k.startsWith(`${name}/`));
    return found.map((k) => this.#retrieved(k)!);
  }

  #read(life: Life, key: Key): Promise<Retrieved<MockValue, number> | undefined> {
    if (life.left <= 0) return never();
    this.ops.push(`read ${key}`);
    return Promise.resolve(this.#retrieved(key));
  }

  #retrieved(key: Key): Retrieved<MockValue, number> | undefined {
    const s = this.stored.get(key);
    if (s === undefined) return undefined;
    return { key, value: this.#visible(key, s.value), metadata: s.id, origin: s.origin };
  }

  /** What is derived and cannot be read by itself is seen in its base. */
  #visible(key: Key, value: MockValue): MockValue {
    const shown = (value.derived ?? []).filter((d) => !this.#isOpaque(d.key));
    for (const [k, base] of this.#bases) {
      const there = base === key ? this.stored.get(k) : undefined;
      if (there !== undefined) shown.push({ key: k, value: this.#visible(k, there.value) });
    }
    const { derived: _, ...rest } = value;
    return shown.length > 0 ? { ...rest, derived: shown } : rest;
  }

  readonly #isOpaque = (key: Key): boolean => this.#volatile.has(nameOf(key));
}

function nameOf(key: Key): string {
  return key.slice(0, key.indexOf("/"));
}

/** The answer to a process that does not live any more. */
function never<T>(): Promise<T> {
  return new Promise<T>(() => undefined);
}
