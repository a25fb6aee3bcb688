import { expect } from "vitest";
import { VppClient } from "../../../src/dataplane/vpp/binapi/index.ts";
import { VppSession } from "../../../src/dataplane/vpp/session/session.ts";
import { createScheduler, type Descriptor, type Key, type Scheduler } from "../../../src/kvscheduler/index.ts";
import { RealVpp, type RealVppOptions } from "./real-vpp.ts";

/** Values by key. */
export type Values = ReadonlyMap<Key, unknown>;

// biome-ignore lint/suspicious/noExplicitAny: descriptors of any values
// oxlint-disable-next-line typescript/no-explicit-any -- descriptors of any values
export type DescriptorsOf = (session: VppSession) => readonly Descriptor<any, any>[];

/** A real VPP, and descriptors that drive it; each step is checked by a scheduler that knows nothing of the others. */
export class DescriptorLab implements AsyncDisposable {
  readonly vpp: RealVpp;
  readonly client: VppClient;
  readonly #descriptors: DescriptorsOf;

  private constructor(vpp: RealVpp, client: VppClient, descriptors: DescriptorsOf) {
    this.vpp = vpp;
    this.client = client;
    this.#descriptors = descriptors;
  }

  static async start(descriptors: DescriptorsOf, options: RealVppOptions = {}): Promise<DescriptorLab> {
    const vpp = await RealVpp.start(options);
    try {
      const client = await VppClient.open({ socket: vpp.socket, apiDirectory: vpp.apiDirectory });
      return new DescriptorLab(vpp, client, descriptors);
    } catch (e) {
      await vpp[Symbol.asyncDispose]();
      throw e;
    }
  }

  /** What a resync by a fresh scheduler did to have these values: operations, and what is there afterwards. */
  async resync(values: Values): Promise<readonly string[]> {
    using session = VppSession.of(this.client);
    const scheduler: Scheduler = createScheduler();
    for (const descriptor of this.#descriptors(session)) scheduler.register(descriptor);
    const { errors, pending, record } = await scheduler.transact({ resync: "full", changes: values });
    expect(Object.fromEntries(errors)).toEqual({});
    expect(pending).toEqual([]);
    // What VPP has by itself, and nobody asked for, is only taken note of.
    const done = record.executed.filter((op) => op.noop !== true).map((op) => `${op.op} ${op.key}`);
    await scheduler.close();
    return done;
  }

  /** Has the values made; then nothing is left to do: what is read back is what was asked for. */
  async reaches(values: Values): Promise<readonly string[]> {
    const done = await this.resync(values);
    expect(await this.resync(values)).toEqual([]);
    return done;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.close();
    await this.vpp[Symbol.asyncDispose]();
  }
}
