import type { InterfaceOwner, MetricFamily } from "../../api.ts";
import { StatsError } from "./errors.ts";
import { metricFamilies } from "./metrics.ts";
import { StatsReader, type StatsReaderOptions } from "./reader.ts";
import type { StatsSnapshot } from "./snapshot.ts";

export interface VppStatisticsOptions extends StatsReaderOptions {
  /** Our name of an interface by VPP's number; undefined for those that are not ours. */
  readonly nameOf: (swIfIndex: number) => string | undefined;
}

/** What VPP counts, as metrics: read when somebody scrapes, never by a timer. Without it, everything else works. */
export class VppStatistics implements Disposable {
  readonly #reader: StatsReader;
  readonly #nameOf: VppStatisticsOptions["nameOf"];

  constructor(options: VppStatisticsOptions) {
    this.#reader = new StatsReader(options);
    this.#nameOf = options.nameOf;
  }

  /**
   * All counters. An interface of ours carries the labels of its owner, by our name of it (`owners`), or that name.
   * When nothing can be read, `heddle_vpp_statistics_readable` is 0 and the only one.
   */
  async families(owners: ReadonlyMap<string, InterfaceOwner>): Promise<readonly MetricFamily[]> {
    const from = performance.now();
    const snapshot = await this.#read();
    if (snapshot instanceof StatsError) return [readable(0)];
    const families = metricFamilies(snapshot, (swIfIndex) => {
      const name = this.#nameOf(swIfIndex);
      return name === undefined ? undefined : (owners.get(name) ?? { interface: name });
    });
    return [readable(1), duration((performance.now() - from) / 1000), ...families];
  }

  /** Why nothing can be read, in words. Tries it. */
  async problem(): Promise<string | undefined> {
    const snapshot = await this.#read();
    return snapshot instanceof StatsError ? snapshot.message : undefined;
  }

  /** VPP's connection ended: what is mapped may be a dead VPP's. */
  renew(): void {
    this.#reader.reopen();
  }

  [Symbol.dispose](): void {
    this.#reader[Symbol.dispose]();
  }

  async #read(): Promise<StatsSnapshot | StatsError> {
    try {
      return await this.#reader.snapshot();
    } catch (e) {
      if (e instanceof StatsError) return e;
      throw e;
    }
  }
}

const gauge = (name: string, help: string, value: number): MetricFamily => ({
  name: `heddle_vpp_statistics_${name}`,
  help,
  type: "gauge",
  samples: [{ labels: {}, value }],
});

const readable = (value: 0 | 1) => gauge("readable", "1 if VPP's statistics can be read", value);
const duration = (seconds: number) => gauge("read_seconds", "How long reading them took this time", seconds);
