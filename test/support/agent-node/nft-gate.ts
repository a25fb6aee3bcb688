import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { which } from "../../../src/lab/paths.ts";
import { until } from "../until.ts";

/**
 * Stands between the agent and the `nft` program, so that a test can hold an operation in the middle, or have the kernel's
 * part of it fail. Only scripts that change something pass through the gate.
 */
export class NftGate {
  readonly #dir: string;

  /** `dir` is made; the agent's PATH must begin with {@link path}. */
  constructor(dir: string) {
    this.#dir = dir;
    mkdirSync(this.path, { recursive: true });
    const script = `#!/bin/sh
[ "$1" = -f ] || exec ${which("nft") ?? "nft"} "$@"
script=$(cat)
if [ -e ${dir}/shut ]; then
  : >${dir}/waiting
  while [ -e ${dir}/shut ]; do sleep 0.01; done
fi
if [ -e ${dir}/refused ] && printf '%s' "$script" | grep -qFf ${dir}/refused; then
  echo 'Error: refused by the test' >&2
  exit 1
fi
printf '%s' "$script" | exec ${which("nft") ?? "nft"} "$@"
`;
    writeFileSync(join(this.path, "nft"), script, { mode: 0o755 });
  }

  get path(): string {
    return join(this.#dir, "bin");
  }

  /** Whatever comes waits. */
  shut(): void {
    rmSync(join(this.#dir, "waiting"), { force: true });
    writeFileSync(join(this.#dir, "shut"), "");
  }

  /** Resolves when something waits. */
  async held(): Promise<void> {
    await until("the agent runs nft", () => existsSync(join(this.#dir, "waiting")));
  }

  open(): void {
    rmSync(join(this.#dir, "shut"), { force: true });
  }

  /** Scripts that contain the text fail. */
  refuse(text: string): void {
    writeFileSync(join(this.#dir, "refused"), `${text}\n`);
  }

  allow(): void {
    rmSync(join(this.#dir, "refused"), { force: true });
  }
}
