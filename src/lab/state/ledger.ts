import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { errnoOf } from "../../base/errors/errors.ts";
import { LabError } from "../errors.ts";
import { LabPaths } from "../paths.ts";
import { lock } from "./lock.ts";
import type { LabState } from "./state.ts";

/** Replaces a file so that a reader sees the old or the new content, never a part. */
export function writeAtomically(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  const next = `${path}.${process.pid}.new`;
  writeFileSync(next, text, { mode: 0o600 });
  renameSync(next, path);
}

/** The state of the lab in `dir`, or undefined if there is none. Rejects what it cannot read. */
export function readState(dir: string): LabState | undefined {
  const path = new LabPaths(dir).state;
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (e) {
    if (errnoOf(e) === "ENOENT" || errnoOf(e) === "ENOTDIR") return undefined;
    throw e;
  }
  let state: LabState;
  try {
    state = JSON.parse(text) as LabState;
  } catch (cause) {
    throw new LabError("FAILED", `${path} is not JSON`, { cause });
  }
  if (state.version !== 1) {
    throw new LabError("FAILED", `${path} is of version ${String(state.version)}; this heddlectl knows version 1`);
  }
  return state;
}

/**
 * The lab's ledger on disk. Several processes may change it (two `add-pod` at once): each change reads the newest
 * state, under a lock that is held for that moment only.
 */
export class Ledger {
  readonly dir: string;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(dir: string) {
    this.dir = dir;
  }

  read(): LabState {
    const state = readState(this.dir);
    if (!state) throw new LabError("NOT_FOUND", `there is no lab in ${this.dir}`);
    return state;
  }

  /** Applies a pure change and returns the state it made. The change may throw to refuse. */
  update(change: (state: LabState) => LabState): Promise<LabState> {
    // One at a time inside this process as well: the lock belongs to the process.
    const turn = this.#turn.then(async () => {
      await using _held = await lock(this.dir, "state");
      const state = change(this.read());
      writeAtomically(new LabPaths(this.dir).state, `${JSON.stringify(state, null, 1)}\n`);
      return state;
    });
    this.#turn = turn.catch(() => {});
    return turn;
  }

  /** The first entry. Fails if there is a lab already. */
  async create(state: LabState): Promise<void> {
    await using _held = await lock(this.dir, "state");
    if (readState(this.dir)) {
      throw new LabError(
        "USAGE",
        `there is a lab in ${this.dir} already; heddlectl lab down --state ${this.dir} removes it`,
      );
    }
    writeAtomically(new LabPaths(this.dir).state, `${JSON.stringify(state, null, 1)}\n`);
  }
}
