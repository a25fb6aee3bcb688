import { expect } from "vitest";
import { type Element, VppClient } from "../../../src/dataplane/vpp/binapi/index.ts";
import { VppSession } from "../../../src/dataplane/vpp/session/session.ts";
import { INTERFACES, NO_INDEX } from "../../../src/dataplane/vpp/target.ts";
import type { Descriptor, Key } from "../../../src/kvscheduler/api/descriptor.ts";
import type { Scheduler } from "../../../src/kvscheduler/api/scheduler.ts";
import { renderOps, renderTxn } from "../../../src/kvscheduler/render.ts";
import { createScheduler } from "../../../src/kvscheduler/scheduler.ts";
import { nameOfTag, TAG_PREFIX } from "../../../src/models/vpp/checks.ts";
import { INTERFACE_PREFIX, interfaceKey } from "../../../src/models/vpp/interface.ts";
import { RealVpp } from "./real-vpp.ts";

export type Items = readonly (readonly [Key, unknown])[];

type Register = (scheduler: Scheduler, session: VppSession) => void;

/** A real VPP with loopbacks for what lies on interfaces, and schedulers over it. */
export class ItemsLab implements AsyncDisposable {
  readonly client: VppClient;
  readonly session: VppSession;
  readonly #vpp: RealVpp;
  readonly #register: Register;

  private constructor(vpp: RealVpp, client: VppClient, register: Register) {
    this.#vpp = vpp;
    this.client = client;
    this.session = VppSession.of(client);
    this.#register = register;
  }

  /** `register`: the descriptors in question. */
  static async start(register: Register): Promise<ItemsLab> {
    const vpp = await RealVpp.start();
    try {
      const client = await VppClient.open({ socket: vpp.socket, apiDirectory: vpp.apiDirectory });
      return new ItemsLab(vpp, client, register);
    } catch (e) {
      await vpp[Symbol.asyncDispose]();
      throw e;
    }
  }

  /** A scheduler that knows nothing yet, as after a restart of the agent. */
  scheduler(): Scheduler {
    const scheduler = createScheduler();
    scheduler.register(loopbacks(this.session));
    this.#register(scheduler, this.session);
    return scheduler;
  }

  /**
   * The life of items, each step checked by reading VPP anew: `first` made, `second` in its place (what both have in
   * common updated), all removed; each time another scheduler that wants the same finds nothing to do.
   */
  async walk(needed: Items, first: Items, second: Items): Promise<void> {
    await using scheduler = disposable(this.scheduler());
    const steps = {
      first: [...needed, ...first],
      second: [...needed, ...second],
      back: [...needed, ...first],
      needed,
      none: [],
    };
    for (const [step, items] of Object.entries(steps)) {
      const { errors, pending, record } = await scheduler.transact({ changes: items, resync: "full" });
      expect({ step, errors, pending }).toEqual({ step, errors: new Map(), pending: [] });
      expect({ step, ...(await this.#readBy(items)) }, renderTxn(record)).toEqual({
        step,
        sent: "",
        keys: keysOf(items),
      });
    }
  }

  /** What another scheduler that wants the same finds, and what it would send. */
  async #readBy(items: Items): Promise<{ sent: string; keys: readonly Key[] }> {
    await using fresh = disposable(this.scheduler());
    const { record } = await fresh.transact({ changes: items, resync: "full" });
    const sent = renderOps(record.executed.filter((op) => op.noop !== true));
    const { values } = await fresh.dumpSouthbound();
    return { sent, keys: values.map(({ key }) => key) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.session[Symbol.dispose]();
    await this.client.close();
    await this.#vpp[Symbol.asyncDispose]();
  }
}

/** An interface that items may lie on. */
export const port = (name: string): readonly [Key, unknown] => [interfaceKey(name), { name }];

const keysOf = (items: Items): Key[] => items.map(([key]) => key).toSorted();

export const disposable = (scheduler: Scheduler): Scheduler & AsyncDisposable =>
  Object.assign(scheduler, { [Symbol.asyncDispose]: () => scheduler.close() });

/** Stands in for the real descriptor of interfaces: loopbacks only, known by their tags. */
function loopbacks(session: VppSession): Descriptor<{ name: string }, number> {
  const { api } = session;
  return {
    name: INTERFACES,
    keyPrefixes: [INTERFACE_PREFIX],
    async create(_key, { name }) {
      const request = { mac_address: "00:00:00:00:00:00", is_specified: false, user_instance: 0 };
      const { sw_if_index } = await api.request("create_loopback_instance", request);
      await api.request("sw_interface_tag_add_del", { is_add: true, sw_if_index, tag: `${TAG_PREFIX}${name}` });
      session.add(name, sw_if_index);
      return sw_if_index;
    },
    async delete(_key, { name }, sw_if_index) {
      session.remove(name);
      await api.request("delete_loopback", { sw_if_index });
    },
    async retrieve() {
      const all = { sw_if_index: NO_INDEX, name_filter_valid: false, name_filter: "" };
      const found = (await api.dump("sw_interface_dump", all)).flatMap((i: Element<"sw_interface_dump">) => {
        const name = nameOfTag(i.tag);
        return name === undefined ? [] : [{ key: interfaceKey(name), value: { name }, metadata: i.sw_if_index }];
      });
      session.replace(found.map(({ value, metadata }) => [value.name, metadata]));
      return found;
    },
  };
}
