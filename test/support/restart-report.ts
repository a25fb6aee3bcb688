/** Says something that a reader of the test run wants to know although all is well: a seed, what was counted. */
export const report = (text: string): void => void process.stdout.write(`${text}\n`);
