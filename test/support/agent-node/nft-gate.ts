import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { until } from "../until.ts";

/**
 * Stands between the agent and nftables, so that a test can hold an operation in the middle, or have it fail. Only what changes
 * something passes through the gate.
 */
export class NftGate {
  /** For the agent's HEDDLE_GATE. */
  readonly dir: string;

  /** `dir` is made. */
  constructor(dir: string) {
    this.dir = dir;
    mkdirSync(dir, { recursive: true });
  }

  /** Whatever comes waits. */
  shut(): void {
    rmSync(join(this.dir, "waiting"), { force: true });
    writeFileSync(join(this.dir, "shut"), "");
  }

  /** Resolves when something waits. */
  async held(): Promise<void> {
    await until("the agent changes nftables", () => existsSync(join(this.dir, "waiting")));
  }

  open(): void {
    rmSync(join(this.dir, "shut"), { force: true });
  }

  /** Changes that contain the text, in nft's language, fail. */
  refuse(text: string): void {
    writeFileSync(join(this.dir, "refused"), `${text}\n`);
  }

  allow(): void {
    rmSync(join(this.dir, "refused"), { force: true });
  }
}
