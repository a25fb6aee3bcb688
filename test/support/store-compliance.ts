import { afterAll, beforeAll, describe } from "vitest";
import type { Store } from "../../src/stores/api/store.ts";
import { callTests } from "./store-compliance/calls.ts";
import { faultTests } from "./store-compliance/faults.ts";
import { leaseTests } from "./store-compliance/leases.ts";
import { watchTests } from "./store-compliance/watches.ts";
import type { TcpProxy } from "./tcp-proxy.ts";

/** Deadlines of the stores under test: short, so that faults show soon. */
export const TEST_REQUEST_TIMEOUT_MS = 1500;
export const TEST_HEARTBEAT_MS = 300;

/** A store's server, as the compliance suite needs it. */
export interface StoreFixture {
  /** Another client of the same data. */
  open(): Promise<Store>;
  /** Makes the store forget its past, so that a watch that was away can't be resumed. */
  forgetHistory(): Promise<void>;
  close(): Promise<void>;
  /** Only of stores behind a socket. */
  readonly remote?: RemoteFixture;
}

export interface RemoteFixture {
  /** A client whose connection passes `proxy`. */
  openVia(proxy: TcpProxy): Promise<Store>;
  proxy(): Promise<TcpProxy>;
  /** SIGKILL; returns when the process is gone. */
  kill(): Promise<void>;
  /** On the data there is. */
  start(): Promise<void>;
  /** While it is down: all data gone, as after the loss of a disk. */
  wipe(): Promise<void>;
}

/** A fixture that is shared by a file's tests, each of which works under a prefix of its own. */
export interface SuiteContext {
  readonly fixture: StoreFixture;
  readonly store: Store;
  /** Unique per call; ends with `/`. */
  prefix(): string;
}

export interface SuiteOptions {
  /** Whether the fixture has a {@link RemoteFixture}. */
  readonly remote: boolean;
  /** Why it can't run here; told in the suite's title. */
  readonly skip?: string | undefined;
}

/** What every store must do, whichever it is. */
export function storeCompliance(name: string, start: () => Promise<StoreFixture>, options: SuiteOptions): void {
  const because = options.skip === undefined ? "" : ` (skipped: ${options.skip})`;
  describe.skipIf(options.skip)(`${name} as a Store${because}`, () => {
    let fixture: StoreFixture;
    let store: Store;
    let count = 0;
    beforeAll(async () => {
      fixture = await start();
      store = await fixture.open();
    });
    afterAll(async () => {
      await store?.close();
      await fixture?.close();
    });
    const context = (): SuiteContext => ({ fixture, store, prefix: () => `/t/${count++}/` });
    callTests(context);
    watchTests(context);
    leaseTests(context);
    if (options.remote) faultTests(context);
  });
}
