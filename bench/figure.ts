/** What a figure must keep to: itself, or its ratio to the peer's. */
export interface Target {
  readonly of: "value" | "ratio";
  readonly op: "<=" | ">=";
  readonly bound: number;
}

export const ratioAtMost = (bound: number): Target => ({ of: "ratio", op: "<=", bound });
export const ratioAtLeast = (bound: number): Target => ({ of: "ratio", op: ">=", bound });
export const atMost = (bound: number): Target => ({ of: "value", op: "<=", bound });

/** One measured figure. */
export interface Figure {
  readonly name: string;
  readonly unit: string;
  readonly value: number;
  /** What it is compared with. Absent with a ratio as target: there was nothing to compare with on this machine. */
  readonly peer?: { readonly name: string; readonly value: number };
  /** Where it is not value / peer: the median of the ratios of interleaved pairs. */
  readonly ratio?: number;
  /** Absent where nothing is asked for: the figure is reported. */
  readonly target?: Target;
  /** Measurements that the figure stands on. */
  readonly samples: number;
  /** What makes the figure worthless, whatever its value: pods that did not answer, leftovers. */
  readonly wrong?: readonly string[];
  /** The measurements' spread and the like. */
  readonly notes?: Readonly<Record<string, string | number>>;
}

export type Verdict = "met" | "missed" | "not compared" | "reported" | "wrong";

/** A figure with what became of it, as printed and as written. */
export interface Judged extends Figure {
  readonly verdict: Verdict;
}

export function ratioOf(figure: Figure): number | undefined {
  return figure.ratio ?? (figure.peer && figure.value / figure.peer.value);
}

export function judge(figure: Figure): Judged {
  const ratio = ratioOf(figure);
  const judged = (verdict: Verdict): Judged => ({ ...figure, ...(ratio === undefined ? {} : { ratio }), verdict });
  if (figure.wrong && figure.wrong.length > 0) return judged("wrong");
  // What it would be measured with is not on this machine.
  if (figure.samples === 0) return judged("not compared");
  if (figure.target === undefined) return judged(ratio === undefined ? "not compared" : "reported");
  const { of, op, bound } = figure.target;
  const measured = of === "ratio" ? ratio : figure.value;
  if (measured === undefined) return judged("not compared");
  // NaN (nothing was measured) holds neither way.
  return judged((op === "<=" ? measured <= bound : measured >= bound) ? "met" : "missed");
}
