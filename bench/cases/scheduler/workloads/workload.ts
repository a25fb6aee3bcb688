/** What one run of a workload has measured: samples by name, and what makes them worthless. */
export interface Measured {
  readonly samples: Record<string, number[]>;
  readonly wrong: string[];
}

/** Runs in a process of its own, started for it. */
export type Workload = (quick: boolean) => Promise<Measured>;

/** Milliseconds that something took: by the clock, and of the main thread on a processor, which other load changes less. */
export interface Took {
  readonly ms: number;
  readonly cpuMs: number;
}

export async function timed(body: () => Promise<unknown>): Promise<Took> {
  const cpu = process.threadCpuUsage();
  const start = performance.now();
  await body();
  const ms = performance.now() - start;
  const { user, system } = process.threadCpuUsage(cpu);
  return { ms, cpuMs: (user + system) / 1000 };
}

/**
 * Collects what the last measurement has left, so that the next does not pay for it. Only the young: a full collection on
 * demand also throws away the compiled code, and nothing of what is measured then is what a running process does.
 */
export function tidy(): void {
  collector()({ type: "minor" });
}

/** Memory in use after everything else has been collected, in MiB. */
export function heldMiB(): number {
  const gc = collector();
  for (let i = 0; i < 3; i++) gc({ type: "major" }); // what finalizers let go is collected by the next
  return process.memoryUsage().heapUsed / 2 ** 20;
}

function collector(): NonNullable<typeof globalThis.gc> {
  if (globalThis.gc === undefined) throw new Error("start Node with --expose-gc");
  return globalThis.gc;
}

/** Keeps samples by name. */
export class Samples {
  readonly samples: Record<string, number[]> = {};
  readonly wrong: string[] = [];

  add(name: string, value: number): void {
    (this.samples[name] ??= []).push(value);
  }

  /** Adds both times, multiplied by `scale`. */
  took(name: string, took: Took, scale = 1): void {
    this.add(name, took.ms * scale);
    this.add(`${name}, processor`, took.cpuMs * scale);
  }

  /** Notes what is wrong unless `holds`. */
  expect(holds: boolean, otherwise: string): void {
    if (!holds) this.wrong.push(otherwise);
  }
}

/** Passes in which code is being compiled, which a process that runs for days does once. */
const WARM_UP = 8;

/** Under which name a pass is kept: the first one and the rest of the warm-up are no samples of the figure. */
export function passName(what: string, pass: number, quick: boolean): string {
  if (pass === 0) return `${what}, first`;
  return pass < WARM_UP && !quick ? `${what}, warming up` : what;
}
