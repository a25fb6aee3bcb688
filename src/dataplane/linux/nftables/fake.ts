import {
  addElement,
  chainJson,
  deleteElement,
  type FakeChain,
  type FakeHook,
  type FakeSet,
  type FakeTable,
  jumpsOf,
  parseType,
  refused,
  ruleJson,
  setJson,
  setsOf,
  validate,
} from "./fake-table.ts";
import { type Nft, NftError, type NftJsonObject } from "./nft.ts";

const NOT_FOUND = "Could not process rule: No such file or directory";
const BUSY = "Could not process rule: Device or resource busy";
const EXISTS = "Could not process rule: File exists";
const NOT_SUPPORTED = "Could not process rule: Operation not supported";

/** Where chains of each type may be hooked in (nft(8), chain types of family inet). */
const HOOKS: Readonly<Record<string, readonly string[]>> = {
  filter: ["prerouting", "input", "forward", "output", "postrouting"],
  nat: ["prerouting", "input", "output", "postrouting"],
  route: ["output"],
};

type Tables = Map<string, FakeTable>;

/** A statement's pattern, and what it does to the tables. */
type Statement = readonly [pattern: RegExp, apply: (tables: Tables, ...args: string[]) => void];

/**
 * nftables in memory, for the statements that Heddle writes: one a line, a script all or nothing. It refuses what the
 * kernel and `nft` refuse; what a rule says is looked at only for the sets and chains that it names.
 */
export class FakeNft implements Nft {
  /** Every script that was carried out. */
  readonly scripts: string[] = [];
  /** How often each kind of listing was asked for. */
  readonly lists = { table: 0, chains: 0 };
  /** Called before a script is carried out; what it throws refuses the script. */
  intercept: (script: string) => Promise<void> | void = () => {};
  #tables: Tables = new Map();

  async run(script: string): Promise<void> {
    await this.intercept(script);
    const tables = structuredClone(this.#tables);
    for (const line of script.split("\n")) if (line !== "") execute(tables, line);
    for (const table of tables.values()) validate(table);
    this.#tables = tables;
    this.scripts.push(script);
  }

  async list(table: string): Promise<readonly NftJsonObject[] | undefined> {
    this.lists.table++;
    const found = this.#tables.get(`inet ${table}`);
    if (!found) return undefined;
    return [
      { table: { family: "inet", name: table } },
      ...[...found.sets].map(([name, set]) => setJson(table, name, set)),
      ...[...found.chains].map(([name, chain]) => chainJson("inet", table, name, chain)),
      ...[...found.chains].flatMap(([name, { rules }]) => rules.map((rule) => ruleJson(table, name, rule))),
    ];
  }

  async sets(table: string): Promise<readonly NftJsonObject[] | undefined> {
    return (await this.list(table))?.filter((object) => "set" in object || "map" in object);
  }

  async chains(): Promise<readonly NftJsonObject[]> {
    this.lists.chains++;
    return [...this.#tables].flatMap(([key, { chains }]) => {
      const [family = "", table = ""] = key.split(" ");
      return [...chains].map(([name, chain]) => chainJson(family, table, name, chain));
    });
  }

  async rules(family: string, table: string, chain: string): Promise<readonly NftJsonObject[]> {
    const rules = this.#tables.get(`${family} ${table}`)?.chains.get(chain)?.rules ?? [];
    return rules.map(({ text }) => ({ rule: { family, table, chain, expr: expressionsOf(text) } }));
  }
}

/** As far as a rule's verdict goes: whatever stands before it but a counter is a condition. */
function expressionsOf(text: string): readonly object[] {
  const [, before = "", verdict = ""] = /^(.*?)\b(drop|reject|accept|return)\b[^{}]*$/.exec(text) ?? [];
  const conditions = before.replace(/\bcounter\b/, "").trim();
  return [
    ...(before.includes("counter") ? [{ counter: { packets: 0, bytes: 0 } }] : []),
    ...(conditions === "" ? [] : [{ match: { text: conditions } }]),
    ...(verdict === "" ? [] : [{ [verdict]: null }]),
  ];
}

function execute(tables: Tables, line: string): void {
  for (const [pattern, apply] of STATEMENTS) {
    const match = pattern.exec(line);
    if (!match) continue;
    try {
      apply(tables, ...match.slice(1));
      return;
    } catch (e) {
      throw e instanceof NftError ? refused(`${e.message} (in "${line}")`) : e;
    }
  }
  throw refused(`syntax error (in "${line}")`);
}

const TABLE = "((?:inet|ip|ip6) [\\w-]+)";
const statement = (text: string): RegExp =>
  new RegExp(`^${text.replace("TABLE", TABLE).replaceAll("NAME", "([\\w-]+)")}$`);

const STATEMENTS: readonly Statement[] = [
  [statement("add table TABLE"), addTable],
  [statement("delete table TABLE"), deleteTable],
  [statement("add (set|map) TABLE NAME \\{ type ([^;:]+?)(?: : ([^;]+))?;(?: flags ([^;]+);)? \\}"), addSet],
  [statement("delete (set|map) TABLE NAME"), deleteSet],
  [statement("add element TABLE NAME \\{ (.+) \\}"), (t, ...args) => addElement(setAt(t, ...args), args[2] ?? "")],
  [
    statement("delete element TABLE NAME \\{ (.+) \\}"),
    (t, ...args) => deleteElement(setAt(t, ...args), args[2] ?? ""),
  ],
  [
    statement("add chain TABLE NAME(?: \\{ type (\\w+) hook (\\w+) priority (-?\\d+); policy (accept|drop); \\})?"),
    addChain,
  ],
  [statement("flush chain TABLE NAME"), (t, ...args) => void chainAt(t, ...args).rules.splice(0)],
  [statement("delete chain TABLE NAME"), deleteChain],
  [statement('add rule TABLE NAME (.+?)(?: comment "([^"]*)")?'), addRule],
];

function addTable(tables: Tables, table = ""): void {
  if (!tables.has(table)) tables.set(table, { sets: new Map(), chains: new Map() });
}

function deleteTable(tables: Tables, table = ""): void {
  if (!tables.delete(table)) throw refused(NOT_FOUND);
}

function tableAt(tables: Tables, table: string): FakeTable {
  const found = tables.get(table);
  if (!found) throw refused(NOT_FOUND);
  return found;
}

function setAt(tables: Tables, table = "", name = ""): FakeSet {
  const found = tableAt(tables, table).sets.get(name);
  if (!found) throw refused(NOT_FOUND);
  return found;
}

function chainAt(tables: Tables, table = "", name = ""): FakeChain {
  const found = tableAt(tables, table).chains.get(name);
  if (!found) throw refused(NOT_FOUND);
  return found;
}

function addSet(tables: Tables, kind = "", table = "", name = "", type = "", data?: string, flags?: string): void {
  const { sets } = tableAt(tables, table);
  if ((kind === "map") !== (data !== undefined)) throw refused(`a ${kind} of this type`);
  const set: FakeSet = {
    kind: kind === "map" ? "map" : "set",
    type: parseType(type),
    data: data === undefined ? [] : parseType(data),
    flags: flags?.split(", ") ?? [],
    elements: new Map(),
  };
  const shape = (s: FakeSet) => JSON.stringify([s.kind, s.type, s.data, s.flags]);
  const present = sets.get(name);
  if (present && shape(present) !== shape(set)) throw refused(EXISTS);
  if (!present) sets.set(name, set);
}

function deleteSet(tables: Tables, _kind = "", table = "", name = ""): void {
  setAt(tables, table, name);
  const { sets, chains } = tableAt(tables, table);
  if ([...chains.values()].some(({ rules }) => rules.some((rule) => setsOf(rule).includes(name)))) throw refused(BUSY);
  sets.delete(name);
}

function addChain(
  tables: Tables,
  table = "",
  name = "",
  type?: string,
  at?: string,
  prio?: string,
  policy?: string,
): void {
  const { chains } = tableAt(tables, table);
  const hook: FakeHook | undefined =
    type === undefined || at === undefined ? undefined : { type, hook: at, priority: Number(prio) };
  if (hook && !HOOKS[hook.type]?.includes(hook.hook)) throw refused(NOT_SUPPORTED);
  const present = chains.get(name);
  if (!present) {
    chains.set(name, { hook, policy, rules: [] });
    return;
  }
  if (hook && JSON.stringify(hook) !== JSON.stringify(present.hook)) throw refused(NOT_SUPPORTED);
  if (policy !== undefined) chains.set(name, { ...present, policy });
}

function deleteChain(tables: Tables, table = "", name = ""): void {
  chainAt(tables, table, name);
  const { chains } = tableAt(tables, table);
  // Its own rules go with it, but one that leads back to it holds it as well.
  if ([...chains.values()].some(({ rules }) => rules.some((rule) => jumpsOf(rule).includes(name)))) throw refused(BUSY);
  chains.delete(name);
}

function addRule(tables: Tables, table = "", name = "", text = "", comment?: string): void {
  const chain = chainAt(tables, table, name);
  const rule = { text, comment };
  for (const set of setsOf(rule)) setAt(tables, table, set);
  for (const target of jumpsOf(rule)) {
    if (chainAt(tables, table, target).hook) throw refused(NOT_SUPPORTED);
  }
  chain.rules.push(rule);
}
