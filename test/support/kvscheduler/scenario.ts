/**
 * A scenario is a text: what happens, and what must come of it. docs/guide/kvscheduler.md has all words.
 *
 *     == a route waits for its interface            title; everything starts afresh
 *     descriptor if                                 owns the keys if/...
 *     descriptor rt no-update group=nft             flags say what it cannot do, and what it does differently
 *     > txn                                         happens
 *       rt/1 = 10 needs if/1                        a value, and the keys it needs (~if/1: carried by it; or:a/|b/: any)
 *       if/1 -                                      a deletion
 *       br/1 = x
 *         port/1 = y needs if/1                     indented: derived
 *     < ops                                         exactly these calls since the last look, in this order
 *       create if/1
 *     < table                                       exactly these values and states
 *       if/1 CONFIGURED
 *       rt/1 PENDING waits for if/1
 */
export interface Scenario {
  readonly title: string;
  readonly line: number;
  readonly steps: readonly ScenarioStep[];
}

export interface ScenarioStep {
  readonly line: number;
  /** `>`: happens, `<`: is expected. */
  readonly sign: ">" | "<";
  readonly words: readonly string[];
  /** The indented lines below. */
  readonly body: readonly string[];
}

/** Lines that are not indented and begin with one of these happen, too. */
const DECLARATIONS = new Set(["descriptor", "scheduler"]);

export function parseScenarios(text: string): Scenario[] {
  const scenarios: { title: string; line: number; steps: ScenarioStep[] }[] = [];
  let body: string[] | undefined;
  for (const [i, raw] of text.split("\n").entries()) {
    const line = raw.replace(/(^|\s)#.*$/, "").trimEnd();
    if (line === "") continue;
    if (line.startsWith("==")) {
      scenarios.push({ title: line.slice(2).trim(), line: i + 1, steps: [] });
      body = undefined;
      continue;
    }
    if (/^\s/.test(line)) {
      if (body === undefined) throw new Error(`line ${i + 1}: indented, but nothing to belong to`);
      body.push(line);
      continue;
    }
    const steps = scenarios.at(-1)?.steps;
    if (steps === undefined) throw new Error(`line ${i + 1}: before the first == title`);
    body = [];
    const [first = "", ...rest] = line.split(/\s+/);
    if (DECLARATIONS.has(first)) steps.push({ line: i + 1, sign: ">", words: [first, ...rest], body });
    else if (first === ">" || first === "<") steps.push({ line: i + 1, sign: first, words: rest, body });
    else throw new Error(`line ${i + 1}: expected descriptor, scheduler, > or <`);
  }
  return scenarios;
}

export interface Flags {
  readonly names: ReadonlySet<string>;
  readonly values: ReadonlyMap<string, string>;
}

/** `no-update limit=3`. @throws Error on a word that is not among `known` */
export function parseFlags(words: readonly string[], known: readonly string[]): Flags {
  const names = new Set<string>();
  const values = new Map<string, string>();
  for (const word of words) {
    const at = word.indexOf("=");
    const name = at < 0 ? word : word.slice(0, at);
    if (!known.includes(at < 0 ? name : `${name}=`)) {
      throw new Error(`unknown word ${word}; there are: ${known.join(" ")}`);
    }
    if (at < 0) names.add(name);
    else values.set(name, word.slice(at + 1));
  }
  return { names, values };
}
