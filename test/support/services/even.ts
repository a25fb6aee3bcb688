/** How often each endpoint was reached. */
export type Shares = Readonly<Record<string, number>>;

/** Of 10,000 tries that are even one is beyond it: by the number of endpoints. */
export const MOST_CHI_SQUARE: Readonly<Record<number, number>> = { 2: 15.2, 3: 18.5, 4: 21.2, 5: 23.6 };

/** How far shares are from even ones; 0 if they are. */
export function chiSquare(shares: Shares): number {
  const counts = Object.values(shares);
  const even = counts.reduce((sum, n) => sum + n, 0) / counts.length;
  return counts.reduce((sum, n) => sum + (n - even) ** 2 / even, 0);
}
