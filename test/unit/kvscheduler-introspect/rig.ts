import { ManualClock } from "../../../src/base/clock/manual-clock.ts";
import type { Dependency, Descriptor, Key, KeyValue, Retrieved } from "../../../src/kvscheduler/api/descriptor.ts";
import { InvalidValueError } from "../../../src/kvscheduler/api/errors.ts";
import type { Scheduler } from "../../../src/kvscheduler/api/scheduler.ts";
import { type SchedulerRoutesOptions, schedulerRoutes } from "../../../src/kvscheduler/introspect/routes.ts";
import { createScheduler, type SchedulerOptions } from "../../../src/kvscheduler/scheduler.ts";

/** A value of the rig: what it needs, what it carries, and how it behaves. */
export interface RigValue {
  readonly n?: number;
  readonly needs?: Key;
  /** Any key that begins so. */
  readonly any?: Key;
  readonly derived?: readonly KeyValue[];
  readonly fail?: boolean;
  readonly invalid?: boolean;
}

export interface Reply {
  readonly status: number;
  readonly type: string;
  readonly text: string;
  readonly json: unknown;
}

/** A scheduler with the kinds `link` and `route` over a southbound in memory, and its routes. */
export class Rig {
  readonly clock = new ManualClock();
  readonly southbound = new Map<Key, unknown>();
  readonly scheduler: Scheduler;
  readonly routes: ReturnType<typeof schedulerRoutes>;

  constructor(options: SchedulerOptions = {}, more: Partial<SchedulerRoutesOptions> = {}) {
    this.scheduler = createScheduler({ clock: this.clock, ...options });
    for (const name of ["link", "route"]) this.scheduler.register(this.#descriptor(name));
    this.routes = schedulerRoutes({ scheduler: () => this.scheduler, clock: this.clock, ...more });
  }

  #descriptor(name: string): Descriptor<RigValue, string> {
    const prefix = `${name}/`;
    const put = (key: Key, value: RigValue): string => {
      if (value.fail === true) throw new Error(`${key} is refused`);
      this.southbound.set(key, value);
      return key;
    };
    return {
      name,
      keyPrefixes: [prefix],
      validate: (_, value) => {
        if (value.invalid === true) throw new InvalidValueError("n is bad", ["n"]);
      },
      dependencies: (_, { needs, any }) => [
        ...(needs === undefined ? [] : [{ label: "device", key: needs } satisfies Dependency]),
        ...(any === undefined ? [] : [{ label: "uplink", anyOf: { prefixes: [any] } } satisfies Dependency]),
      ],
      derived: (_, value) => value.derived ?? [],
      create: put,
      update: (key, _, value) => put(key, value),
      delete: (key) => void this.southbound.delete(key),
      retrieve: () =>
        Promise.resolve(
          [...this.southbound]
            .filter(([key]) => key.startsWith(prefix))
            .map(([key, value]): Retrieved<RigValue, string> => ({ key, value: value as RigValue, metadata: key })),
        ),
    };
  }

  /** One transaction. */
  apply(changes: Readonly<Record<Key, RigValue | undefined>>, more: { readonly description?: string } = {}) {
    return this.scheduler.transact({ changes: Object.entries(changes), ...more });
  }

  get(path: string, headers: Readonly<Record<string, string>> = {}): Promise<Reply> {
    return this.#ask("GET", path, headers, "");
  }

  post(path: string, body: unknown = "", headers: Readonly<Record<string, string>> = {}): Promise<Reply> {
    return this.#ask("POST", path, headers, typeof body === "string" ? body : JSON.stringify(body));
  }

  async #ask(method: string, path: string, headers: Readonly<Record<string, string>>, body: string): Promise<Reply> {
    const url = new URL(path, "http://rig");
    const route = this.routes.get(`${method} ${url.pathname}`);
    if (route === undefined) throw new Error(`no route ${method} ${url.pathname}`);
    const { signal } = new AbortController();
    const answer = await route({ query: url.searchParams, headers, body: Buffer.from(body), signal });
    let text = "";
    if (typeof answer.body === "string") text = answer.body;
    else for await (const piece of answer.body) text += piece;
    const isJson = answer.contentType === "application/json";
    return { status: answer.status, type: answer.contentType, text, json: isJson ? JSON.parse(text) : undefined };
  }
}
