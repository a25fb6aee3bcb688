/** Differences of two lists of lines for people: ` ` both have it, `-` is expected and lacking, `+` was not expected. */
export function diffLines(expected: readonly string[], found: readonly string[]): string[] {
  const n = expected.length;
  const m = found.length;
  // Length of the longest common subsequence of what is left from [i, j] on.
  const common = Array.from({ length: n + 1 }, () => Array.from({ length: m + 1 }, () => 0));
  for (let i = n - 1; i >= 0; i--) {
    for (let j = m - 1; j >= 0; j--) {
      common[i]![j] =
        expected[i] === found[j] ? common[i + 1]![j + 1]! + 1 : Math.max(common[i + 1]![j]!, common[i]![j + 1]!);
    }
  }
  const lines: string[] = [];
  let i = 0;
  let j = 0;
  while (i < n || j < m) {
    if (i < n && j < m && expected[i] === found[j]) {
      lines.push(`  ${expected[i]}`);
      i++;
      j++;
    } else if (i < n && (j === m || common[i + 1]![j]! >= common[i]![j + 1]!)) {
      lines.push(`- ${expected[i++]}`);
    } else {
      lines.push(`+ ${found[j++]}`);
    }
  }
  return lines;
}
