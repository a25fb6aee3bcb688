import type { NamedPort } from "../../models/k8s/pod.ts";
import type { Change, Direction, RuleTable, TableId } from "../api.ts";
import type { CompiledPolicy } from "../compile/compiled.ts";
import type { PeerSets } from "../index/peer-sets.ts";
import { type BuildOptions, type BuiltTable, buildTable, closedTable } from "./build.ts";

/** A table in use. */
interface TableRecord {
  readonly built: BuiltTable;
  users: number;
  /** Delivered to whoever renders. */
  known: boolean;
  /** Under which it is remembered. */
  readonly recipes: Set<string>;
}

/** The tables in use, shared and counted. A table keeps its sets in use. */
export class TableStore {
  readonly #sets: PeerSets;
  readonly #options: BuildOptions;
  readonly #tables = new Map<TableId, TableRecord>();
  /** By what a table is made of, so that the second pod with the same policies costs nothing. */
  readonly #byRecipe = new Map<string, TableRecord>();
  readonly #serials = new WeakMap<CompiledPolicy, number>();
  #lastSerial = 0;
  readonly #fresh = new Set<TableRecord>();
  readonly #idle = new Set<TableRecord>();

  constructor(sets: PeerSets, options: BuildOptions) {
    this.#sets = sets;
    this.#options = options;
  }

  get size(): number {
    return this.#tables.size;
  }

  get(id: TableId): RuleTable | undefined {
    return this.#tables.get(id)?.built.table;
  }

  /** Sorted. */
  all(): RuleTable[] {
    return [...this.#tables.values()].map((t) => t.built.table).sort(byId);
  }

  /** One more user of the table that `policies`, in order of evaluation, make. */
  acquire(direction: Direction, policies: readonly CompiledPolicy[], podPorts: readonly NamedPort[]): TableId {
    const concerned = policies.filter((p) => p.rules[direction]);
    const named = direction === "ingress" && concerned.some(usesNames);
    const ports = named
      ? podPorts
          .map((p) => `${p.name}/${p.protocol}/${p.port}`)
          .sort()
          .join(" ")
      : "";
    const recipe = `${direction} ${concerned.map((p) => this.#serial(p)).join(",")} ${ports}`;
    return this.#use(recipe, () => buildTable(direction, concerned, podPorts, this.#options));
  }

  /** One more user of the table that denies everything. */
  acquireClosed(direction: Direction): TableId {
    return this.#use(`${direction} closed`, () => closedTable(direction));
  }

  release(id: TableId): void {
    const record = this.#tables.get(id);
    if (record && --record.users === 0) this.#idle.add(record);
  }

  /** Which tables came and went in this event. Sets that they kept in use are released. */
  takeChanges(): Change<RuleTable>[] {
    const changes: Change<RuleTable>[] = [];
    for (const record of this.#idle) {
      if (record.users > 0) continue;
      const { table, queries } = record.built;
      this.#tables.delete(table.id);
      this.#fresh.delete(record);
      for (const recipe of record.recipes) this.#byRecipe.delete(recipe);
      for (const id of queries.keys()) this.#sets.release(id);
      if (record.known) changes.push({ old: table, new: undefined });
    }
    this.#idle.clear();
    for (const record of this.#fresh) {
      record.known = true;
      changes.push({ old: undefined, new: record.built.table });
    }
    this.#fresh.clear();
    return changes.sort((a, b) => byId(a.old ?? a.new, b.old ?? b.new));
  }

  #use(recipe: string, build: () => BuiltTable): TableId {
    let record = this.#byRecipe.get(recipe);
    if (!record) {
      const built = build();
      record = this.#tables.get(built.table.id) ?? this.#create(built);
      // A long-lived table could collect the recipes of a policy that is rewritten all the time.
      if (record.recipes.size >= MAX_RECIPES) this.#forgetRecipes(record);
      record.recipes.add(recipe);
      this.#byRecipe.set(recipe, record);
    }
    record.users++;
    return record.built.table.id;
  }

  #create(built: BuiltTable): TableRecord {
    const record: TableRecord = { built, users: 0, known: false, recipes: new Set() };
    this.#tables.set(built.table.id, record);
    this.#fresh.add(record);
    for (const query of built.queries.values()) this.#sets.acquire(query);
    return record;
  }

  #forgetRecipes(record: TableRecord): void {
    for (const recipe of record.recipes) this.#byRecipe.delete(recipe);
    record.recipes.clear();
  }

  #serial(policy: CompiledPolicy): number {
    let serial = this.#serials.get(policy);
    if (serial === undefined) this.#serials.set(policy, (serial = ++this.#lastSerial));
    return serial;
  }
}

const MAX_RECIPES = 64;

const usesNames = (policy: CompiledPolicy): boolean =>
  policy.rules.ingress?.some((r) => r.ports?.some((p) => p.kind === "name")) ?? false;

const byId = (a: RuleTable | undefined, b: RuleTable | undefined): number =>
  (a?.id ?? "") < (b?.id ?? "") ? -1 : (a?.id ?? "") > (b?.id ?? "") ? 1 : 0;
