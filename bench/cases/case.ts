import type { Figure } from "../figure.ts";
import type { Rig } from "../rig/rig.ts";

export interface CaseContext {
  readonly rig: Rig;
  /** Few samples: enough to see that it works, not to judge. */
  readonly quick: boolean;
  readonly progress: (line: string) => void;
}

/** Figures that are measured together. */
export interface Case {
  /** For `--only`. */
  readonly name: string;
  run(context: CaseContext): Promise<Figure[]>;
}

/** Puts the pairs of an interleaved comparison in alternating order, so that neither side is always first. */
export async function alternating(
  i: number,
  a: () => Promise<void>,
  b: (() => Promise<void>) | undefined,
): Promise<void> {
  if (!b) return a();
  if (i % 2 === 0) {
    await a();
    await b();
  } else {
    await b();
    await a();
  }
}
