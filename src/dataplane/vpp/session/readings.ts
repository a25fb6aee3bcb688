import type { OpContext } from "../../../kvscheduler/api/descriptor.ts";
import type { VppApi } from "../binapi/index.ts";

/** In which transaction something is read, and for how long one waits for it. */
export type ReadContext = Pick<OpContext, "signal" | "txn">;

/** Requests by which descriptors read what has no dump. */
const READING: ReadonlySet<string> = new Set([
  "classify_table_info",
  "cnat_get_snat_addresses",
  "control_ping",
  "feature_is_enabled",
  "nat44_show_running_config",
  "show_version",
  "sw_interface_get_table",
]);

/**
 * What several descriptors want to know of VPP, read once for all of them: for one transaction, and until something is
 * changed in it.
 */
export class Readings {
  #txn = Number.NaN;
  #readings = new Map<string, Promise<unknown>>();

  /** What `read` resolves with, the first time that it is asked for. `what` names it. */
  of<T>({ txn }: ReadContext, what: string, read: () => Promise<T>): Promise<T> {
    if (txn !== this.#txn) {
      this.#txn = txn;
      this.#readings = new Map();
    }
    const readings = this.#readings;
    const known = readings.get(what);
    if (known) return known as Promise<T>;
    const reading = read();
    readings.set(what, reading);
    // Another one may have more time, or better luck.
    reading.catch(() => readings.delete(what));
    return reading;
  }

  /** What was read may be otherwise by now. */
  forget(): void {
    if (this.#readings.size > 0) this.#readings = new Map();
  }
}

/** The API, telling `changed` of each call that may change something. What its dumps tell is mostly what they told before. */
export function watched(api: VppApi, changed: () => void): VppApi {
  const tell = (name: string): void => {
    if (!READING.has(name)) changed();
  };
  return {
    request: (name, ...rest) => {
      tell(name);
      return api.request(name, ...rest);
    },
    requestAny: (name, ...rest) => {
      tell(name);
      return api.requestAny(name, ...rest);
    },
    cli: (command, options) => {
      if (!command.startsWith("show ")) changed();
      return api.cli(command, options);
    },
    dump: (name, input, options) => api.dump(name, input, { again: true, ...options }),
    dumpAny: (name, input, options) => api.dumpAny(name, input, { again: true, ...options }),
    dumpEach: (...asked) => api.dumpEach(...asked),
    subscribe: (...asked) => api.subscribe(...asked),
  };
}
