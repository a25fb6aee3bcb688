import type { Figure } from "../figure.ts";
import type { Rig } from "../rig/rig.ts";

/** What a case needs that measures in this process or in children of it: no nodes, no root. */
export interface BareContext {
  /** Few samples: enough to see that it works, not to judge. */
  readonly quick: boolean;
  readonly progress: (line: string) => void;
}

export interface CaseContext extends BareContext {
  readonly rig: Rig;
}

interface Named {
  /** For `--only`. */
  readonly name: string;
}

/** Figures that are measured together, on the rig. */
export interface Case extends Named {
  readonly bare?: false;
  run(context: CaseContext): Promise<Figure[]>;
}

/** Figures that are measured together, without a rig. */
export interface BareCase extends Named {
  readonly bare: true;
  run(context: BareContext): Promise<Figure[]>;
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
