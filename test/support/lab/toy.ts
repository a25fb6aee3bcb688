import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Executables } from "../../../src/lab/paths.ts";
import { which } from "../../../src/lab/paths.ts";

const here = import.meta.dirname;
const root = join(here, "..", "..", "..");

/** Why tests that make namespaces can't run here; undefined if they can. */
export function whyNoNetns(): string | undefined {
  if (process.getuid?.() !== 0) return "needs root";
  if (which("ip") === undefined || which("nft") === undefined) return "needs iproute2 and nftables";
  if (!existsSync(join(root, "dist", "bin", "hdprobe"))) return "needs dist/bin/hdprobe (npm run build)";
  return undefined;
}

/** A directory for one test, with the toy's executables in it, removed afterwards. */
export class ToyBench implements Disposable {
  readonly dir: string;
  readonly labDir: string;
  readonly executables: Partial<Executables>;

  constructor() {
    this.dir = mkdtempSync(join(tmpdir(), "hdt-"));
    this.labDir = join(this.dir, "lab");
    mkdirSync(join(this.dir, "bin"));
    const cni = join(this.dir, "bin", "heddle");
    writeFileSync(cni, `#!/bin/sh\nexec ${process.execPath} ${join(here, "toy-cni.ts")}\n`);
    chmodSync(cni, 0o755);
    this.executables = {
      cni,
      agent: [process.execPath, join(here, "toy-agent.ts")],
      probe: join(root, "dist", "bin", "hdprobe"),
      heddlectl: [process.execPath, join(root, "cmd", "heddlectl", "main.ts")],
    };
  }

  [Symbol.dispose](): void {
    rmSync(this.dir, { recursive: true, force: true });
  }
}
