import { isDeepStrictEqual } from "node:util";
import { seconds } from "../../../base/clock/clock.ts";
import { faultPoint } from "../../../base/faults/fault-point.ts";
import { passGate } from "../../../base/faults/gate.ts";
import type {
  CommitGroup,
  Correlate,
  Descriptor,
  GroupOp,
  OpContext,
  Retrieved,
} from "../../../kvscheduler/api/descriptor.ts";
import {
  NFT_CHAIN_PREFIX,
  NFT_ELEMENT_PREFIX,
  NFT_SET_PREFIX,
  NFT_TABLE,
  NFT_TABLE_KEY,
  type NftChainValue,
  type NftElementValue,
  type NftHook,
  type NftSetValue,
  nftChainKey,
  nftElementKey,
  nftSetKey,
} from "../../../models/nft.ts";
import { ruleDigest } from "./digest.ts";
import { type DirectNft, directBatch } from "./direct/direct.ts";
import { DYNAMIC_SIZE } from "./direct/sets.ts";
import type { Nft } from "./nft.ts";
import { type FoundChain, type FoundTable, parseTable } from "./parse.ts";

const TABLE = `inet ${NFT_TABLE}`;

/**
 * The descriptors of the one nftables table. They share a commit group: whatever an event changes in the table is one
 * `nft` transaction, so no packet ever meets a state between the old and the new one. `committed` is called with what has
 * been done before the commit counts as such; it must not reject. What needs no `nft` to be written goes to `direct`, and
 * chains are read by `chains`, if there are such.
 */
export function nftDescriptors(
  nft: Nft,
  committed: (ops: readonly GroupOp[]) => Promise<void> = () => Promise.resolve(),
  direct?: Pick<DirectNft, "commit">,
  chains?: ChainSource,
): readonly Descriptor<never>[] {
  const reader = new TableReader(nft, chains);
  const run = async (ops: readonly GroupOp[]): Promise<void> => {
    const script = () => `${ops.flatMap(statements).join("\n")}\n`;
    await passGate(script);
    const batch = direct && directBatch(ops, reader.sets);
    await (batch ? direct.commit(batch) : nft.run(script()));
  };
  const group = new NftGroup(run, reader, committed);
  const kinds = [
    tableDescriptor(group, reader),
    setDescriptor(group, reader),
    elementDescriptor(group, reader),
    chainDescriptor(group, reader),
  ];
  return kinds as unknown as readonly Descriptor<never>[];
}

/** Reads the chains of the table, which there is. */
type ChainSource = () => Promise<readonly FoundChain[]>;
type Commit = (ops: readonly GroupOp[]) => Promise<void>;

class NftGroup implements CommitGroup {
  readonly name = "nftables";
  readonly #run: Commit;
  readonly #reader: TableReader;
  readonly #committed: Commit;

  constructor(run: Commit, reader: TableReader, committed: Commit) {
    this.#run = run;
    this.#reader = reader;
    this.#committed = committed;
  }

  async commit(ops: readonly GroupOp[]): Promise<void> {
    await this.#run(ops).finally(() => this.#reader.forget());
    this.#reader.note(ops);
    faultPoint("nft.done");
    await this.#committed(ops);
    faultPoint("flows.done");
  }
}

/** One operation in nft's language. */
function statements(op: GroupOp): string[] {
  switch (op.descriptor) {
    case "nft-table":
      return [`${op.kind === "delete" ? "delete" : "add"} table ${TABLE}`];
    case "nft-set":
      return [setStatement(op.value as NftSetValue, op.kind === "delete")];
    case "nft-element":
      return elementStatements(op);
    default:
      return chainStatements(op.value as NftChainValue, op.kind);
  }
}

function setStatement(value: NftSetValue, remove: boolean): string {
  if (remove) return `delete ${value.kind} ${TABLE} ${value.name}`;
  const data = value.data === undefined ? "" : ` : ${value.data}`;
  const flags = value.flags?.length ? ` flags ${value.flags.join(", ")};` : "";
  const timeout = value.timeout === undefined ? "" : ` timeout ${value.timeout}s; size ${DYNAMIC_SIZE};`;
  const counters = value.counters ? " counter;" : "";
  return `add ${value.kind} ${TABLE} ${value.name} { type ${value.type}${data};${flags}${timeout}${counters} }`;
}

function elementStatements(op: GroupOp): string[] {
  const value = op.value as NftElementValue;
  const remove = (v: NftElementValue) => `delete element ${TABLE} ${v.set} { ${v.key} }`;
  if (op.kind === "delete") return [remove(value)];
  const add = `add element ${TABLE} ${value.set} { ${value.key}${value.data === undefined ? "" : ` : ${value.data}`} }`;
  return op.kind === "update" ? [remove(op.oldValue as NftElementValue), add] : [add];
}

function chainStatements(value: NftChainValue, kind: GroupOp["kind"]): string[] {
  const chain = `${TABLE} ${value.name}`;
  if (kind === "delete") return [`flush chain ${chain}`, `delete chain ${chain}`];
  const { hook } = value;
  const base = hook ? ` { ${hookStatement(hook)} policy ${hook.policy ?? "accept"}; }` : "";
  return [
    `add chain ${chain}${base}`,
    `flush chain ${chain}`,
    ...value.rules.map((rule) => `add rule ${chain} ${rule} comment "${ruleDigest(rule)}"`),
  ];
}

function hookStatement({ type, hook, device, priority }: NftHook): string {
  return `type ${type} hook ${hook}${device === undefined ? "" : ` device "${device}"`} priority ${priority};`;
}

/** One listing for the retrievals of one transaction, until something is committed. */
class TableReader {
  readonly #nft: Nft;
  readonly #chains: ChainSource | undefined;
  /** Sets that the kernel has, by name: those listed last, and those made since. */
  readonly sets = new Map<string, NftSetValue>();
  #last: { txn: number; found: Promise<FoundTable | undefined> } | undefined;

  constructor(nft: Nft, chains: ChainSource | undefined) {
    this.#nft = nft;
    this.#chains = chains;
  }

  read(ctx: OpContext): Promise<FoundTable | undefined> {
    if (this.#last?.txn !== ctx.txn) {
      this.#last = { txn: ctx.txn, found: this.#find() };
    }
    return this.#last.found;
  }

  async #find(): Promise<FoundTable | undefined> {
    const objects = await (this.#chains ? this.#nft.sets(NFT_TABLE) : this.#nft.list(NFT_TABLE));
    const table = objects && parseTable(objects);
    const found = table && this.#chains ? { ...table, chains: await this.#chains() } : table;
    this.sets.clear();
    for (const set of found?.sets ?? []) this.sets.set(set.name, set);
    return found;
  }

  /** What has been committed. */
  note(ops: readonly GroupOp[]): void {
    for (const { descriptor, kind, value } of ops) {
      if (descriptor === "nft-table" && kind === "delete") this.sets.clear();
      if (descriptor !== "nft-set") continue;
      const set = value as NftSetValue;
      if (kind === "delete") this.sets.delete(set.name);
      else this.sets.set(set.name, set);
    }
  }

  /** What was read is out of date. */
  forget(): void {
    this.#last = undefined;
  }
}

const notAlone = (): never => {
  throw new Error("nftables items are carried out by their commit group");
};
const common = (group: CommitGroup) => ({ group, create: notAlone, delete: notAlone, deadline: seconds(5) });
const table = { label: "table", key: NFT_TABLE_KEY, carries: true } as const;

function tableDescriptor(group: CommitGroup, reader: TableReader): Descriptor<string, undefined> {
  return {
    ...common(group),
    name: "nft-table",
    keyPrefixes: [NFT_TABLE_KEY],
    async retrieve(_correlate, ctx) {
      return (await reader.read(ctx)) ? [found(NFT_TABLE_KEY, NFT_TABLE)] : [];
    },
  };
}

function setDescriptor(group: CommitGroup, reader: TableReader): Descriptor<NftSetValue, undefined> {
  return {
    ...common(group),
    name: "nft-set",
    keyPrefixes: [NFT_SET_PREFIX],
    // The kernel cannot change a set's type or flags.
    updateNeedsRecreate: () => true,
    dependencies: () => [table],
    async retrieve(_correlate, ctx) {
      return ((await reader.read(ctx))?.sets ?? []).map((value) => found(nftSetKey(value.name), value));
    },
  };
}

function elementDescriptor(group: CommitGroup, reader: TableReader): Descriptor<NftElementValue, undefined> {
  return {
    ...common(group),
    name: "nft-element",
    keyPrefixes: [NFT_ELEMENT_PREFIX],
    update: notAlone,
    equivalent: (_key, a, b) => a.data === b.data,
    dependencies: (_key, { set, data, requires }) => {
      const chain = /^(?:jump|goto) (.+)$/.exec(data ?? "")?.[1];
      return [
        { label: "set", key: nftSetKey(set), carries: true },
        ...(requires ?? []).map((key) => ({ label: key, key })),
        ...(chain === undefined ? [] : [{ label: `chain ${chain}`, key: nftChainKey(chain) }]),
      ];
    },
    describe: (_key, { set, key, data }) => `${set} { ${key}${data === undefined ? "" : ` : ${data}`} }`,
    async retrieve(_correlate, ctx) {
      return ((await reader.read(ctx))?.elements ?? []).map((value) =>
        found(nftElementKey(value.set, value.key), value),
      );
    },
  };
}

function chainDescriptor(group: CommitGroup, reader: TableReader): Descriptor<NftChainValue, undefined> {
  return {
    ...common(group),
    name: "nft-chain",
    keyPrefixes: [NFT_CHAIN_PREFIX],
    update: notAlone,
    // A base chain's hook is fixed when it is made.
    updateNeedsRecreate: (_key, before, after) => JSON.stringify(before.hook) !== JSON.stringify(after.hook),
    dependencies: (_key, value) => [
      table,
      // Of a chain that looks at a link, that link; it is not carried, since the chain stays, without its hook, when it goes.
      ...(value.requires ?? []).map((key) => ({ label: key, key })),
      ...value.uses.map((name) => ({ label: `set ${name}`, key: nftSetKey(name) })),
      ...value.jumps.map((name) => ({ label: `chain ${name}`, key: nftChainKey(name) })),
    ],
    describe: (_key, value) => (value.hook?.policy === "drop" ? "drop all" : value.rules.join("; ")),
    async retrieve(correlate, ctx) {
      const known = new Map(Array.from(correlate, (c) => [c.key, c]));
      return ((await reader.read(ctx))?.chains ?? []).map((chain) => {
        const key = nftChainKey(chain.name);
        return found(key, chainValue(chain, known.get(key)));
      });
    },
  };
}

/** The value we know if the digests are those of its rules, else one that differs from any of ours. */
function chainValue(
  chain: FoundTable["chains"][number],
  known: Correlate<NftChainValue, undefined> | undefined,
): NftChainValue {
  const rules = known?.value.rules.map(ruleDigest).join() === chain.digests.join() ? known.value.rules : chain.digests;
  return {
    name: chain.name,
    ...(chain.hook ? { hook: hookValue(chain.hook as NftHook, known?.value.hook) } : {}),
    rules,
    uses: known?.value.uses ?? [],
    jumps: known?.value.jumps ?? [],
    ...(known?.value.requires === undefined ? {} : { requires: known.value.requires }),
  };
}

/** With the device that we know: it is not listed. */
function hookValue(hook: NftHook, known: NftHook | undefined): NftHook {
  if (known?.device === undefined) return hook;
  const { device, ...listed } = known;
  return isDeepStrictEqual(listed, hook) ? { ...hook, device } : hook;
}

const found = <V>(key: string, value: V): Retrieved<V, undefined> => ({ key, value, metadata: undefined });
