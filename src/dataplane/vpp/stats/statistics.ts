import type { InterfaceOwner, MetricFamily } from "../../api.ts";
import { StatsError } from "./errors.ts";
import { metricFamilies } from "./metrics.ts";
import { StatsReader, type StatsReaderOptions } from "./reader.ts";
import type { StatsSnapshot } from "./snapshot.ts";

export interface VppStatisticsOptions extends StatsReaderOptions {
  /** Our name of an interface by VPP's number; undefined for those that are not ours. */
  readonly nameOf: (swIfIndex: number) => string | undefined;
  /** How many connections CNAT may know, if somebody has said. */
  readonly maxConnections?: number | undefined;
}

/** Of the connections that CNAT may know; with more, it is time to tell. */
const NEARLY_ALL = 0.9;

/** What VPP counts, as metrics: read when somebody scrapes, never by a timer. Without it, everything else works. */
export class VppStatistics implements Disposable {
  readonly #reader: StatsReader;
  readonly #nameOf: VppStatisticsOptions["nameOf"];
  readonly #maxConnections: number;

  constructor(options: VppStatisticsOptions) {
    this.#reader = new StatsReader(options);
    this.#nameOf = options.nameOf;
    this.#maxConnections = options.maxConnections ?? Number.POSITIVE_INFINITY;
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

  /** What is wrong by what VPP counts, in words; also when nothing can be read. */
  async warnings(): Promise<readonly string[]> {
    const snapshot = await this.#read();
    if (snapshot instanceof StatsError) return [`no metrics of VPP: ${snapshot.message}`];
    const [now, max] = [snapshot.connections, this.#maxConnections];
    if (now < NEARLY_ALL * max) return [];
    return [`VPP knows ${now} connections, and services will not work for more than ${max}; see vpp.mainHeapMiB`];
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
