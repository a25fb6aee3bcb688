/** The `q` quantile (0 to 1) of samples in any order, linear between neighbours; NaN for none. */
export function quantile(samples: readonly number[], q: number): number {
  const sorted = samples.toSorted((a, b) => a - b);
  const at = (sorted.length - 1) * q;
  const low = sorted[Math.floor(at)] ?? Number.NaN;
  const high = sorted[Math.ceil(at)] ?? Number.NaN;
  return low + (high - low) * (at - Math.floor(at));
}

export const median = (samples: readonly number[]): number => quantile(samples, 0.5);

/** The middle half of the samples, as text: how noisy the machine was. */
export function spread(samples: readonly number[]): string {
  return `${rounded(quantile(samples, 0.25))} – ${rounded(quantile(samples, 0.75))}`;
}

/** Three digits, as people read them. */
export const rounded = (n: number): string => (Number.isFinite(n) ? String(Number(n.toPrecision(3))) : "-");
