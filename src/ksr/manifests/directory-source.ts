import { type FSWatcher, watch } from "node:fs";
import { Bell } from "../../base/clock/bell.ts";
import { type Clock, type Duration, millis, seconds } from "../../base/clock/clock.ts";
import { fullMessage } from "../../base/errors/errors.ts";
import type { Log } from "../../infra/log/log.ts";
import { K8S_KINDS, type K8sKind } from "../../models/k8s/keys.ts";
import type { Sink, Source, Wish } from "../api.ts";
import { reflect } from "../convert/reflect.ts";
import { isManifest, manifestNames, readSettled, signatureOf } from "./files.ts";
import { parseManifest } from "./parse.ts";

export interface DirectorySourceOptions {
  readonly dir: string;
  readonly clock: Clock;
  readonly log: Log;
  /** How long a file that is written in its place must have stayed as it is; 100 ms if absent. */
  readonly settle?: Duration;
  /** How often the directory is looked at without being told of a change (network file systems tell none); 5 s if absent. */
  readonly rescan?: Duration;
}

interface ManifestFile {
  /** As last read; undefined before. */
  read: string | undefined;
  /** As last seen. */
  seen: string;
  /** By key; what was read when it was last good. Undefined if it never was. */
  wishes: ReadonlyMap<string, Wish> | undefined;
  /** Why what it holds now can't be used. */
  problem: string | undefined;
  /** What is wrong with single objects of it. */
  odd: readonly string[];
}

/** After being told of a change: others mostly follow. */
const GATHER = millis(5);

/**
 * Kubernetes objects from the YAML and JSON files of a directory, followed as they change. A file that can't be read keeps
 * what it held when it was last good. Of several files with the same object the last by name counts.
 */
export class DirectorySource implements Source {
  readonly name: string;
  readonly #options: Required<DirectorySourceOptions>;
  readonly #files = new Map<string, ManifestFile>();
  /** Files by key of an object in them. */
  readonly #holders = new Map<string, Set<string>>();
  #dirProblem: string | undefined;
  #sink: Sink | undefined;
  /** Whether everything has been listed, and whether without gaps. */
  #listed: "complete" | "gaps" | undefined;

  constructor(options: DirectorySourceOptions) {
    this.#options = { settle: millis(100), rescan: seconds(5), ...options };
    this.name = `manifests in ${options.dir}`;
  }

  problems(): readonly string[] {
    const problems = this.#dirProblem === undefined ? [] : [this.#dirProblem];
    for (const [name, { problem, odd }] of this.#files) {
      if (problem !== undefined) problems.push(`${name}: ${problem}`);
      problems.push(...odd.map((o) => `${name}: ${o}`));
    }
    for (const [key, files] of this.#holders) {
      if (files.size > 1) problems.push(`${key} is in ${[...files].sort().join(", ")}: the last counts`);
    }
    return problems;
  }

  async run(sink: Sink, signal: AbortSignal): Promise<void> {
    this.#sink = sink;
    const { clock, rescan, settle } = this.#options;
    const bell = new Bell(clock);
    const stop = () => bell.ring(millis(0));
    signal.addEventListener("abort", stop, { once: true });
    let watcher: FSWatcher | undefined;
    /** Files to look at; undefined: all. */
    let touched: Set<string> | undefined;
    try {
      for (let scans = 1; !signal.aborted; scans++) {
        watcher ??= this.#watch((name) => {
          // A mounted ConfigMap changes all its files by one link with another name.
          if (isManifest(name)) touched?.add(name);
          else touched = undefined;
          bell.ring(GATHER);
        });
        const names = touched;
        touched = new Set();
        const unsettled = await this.#scan(names);
        for (const name of unsettled) touched?.add(name);
        // A file that is written to all the time must not hold up the others for ever.
        if (unsettled.length === 0 || scans > 1) this.#listAll();
        // A directory that was removed and made again is another one to the kernel.
        if (this.#dirProblem !== undefined) {
          watcher?.close();
          watcher = undefined;
        }
        if (signal.aborted) return;
        const rung = await bell.wait(unsettled.length > 0 ? settle : rescan);
        if (rung === "late" && unsettled.length === 0) touched = undefined;
      }
    } finally {
      signal.removeEventListener("abort", stop);
      watcher?.close();
      bell.close();
    }
  }

  #watch(onChange: (name: string) => void): FSWatcher | undefined {
    try {
      const watcher = watch(this.#options.dir, { persistent: false }, (_, name) => onChange(name ?? ""));
      watcher.on("error", (err) => this.#options.log.warn({ err }, "the directory of manifests can't be watched"));
      return watcher;
    } catch {
      return undefined; // the scan says what is wrong with it; and it goes on without being told of changes
    }
  }

  /** Looks at these files, or at all. Returns those that are perhaps still being written. */
  async #scan(only: ReadonlySet<string> | undefined): Promise<string[]> {
    const names = only === undefined || this.#dirProblem !== undefined ? await this.#names() : [...only].sort();
    if (!names) return [];
    const unsettled: string[] = [];
    const gone = new Set(only ?? this.#files.keys());
    for (const name of names) {
      const state = await this.#look(name);
      if (state !== "gone") gone.delete(name);
      if (state === "unsettled") unsettled.push(name);
    }
    for (const name of gone) this.#forget(name);
    return unsettled;
  }

  /** Of all manifests; undefined if the directory can't be read. */
  async #names(): Promise<string[] | undefined> {
    const { dir, log } = this.#options;
    try {
      const names = await manifestNames(dir);
      if (this.#dirProblem !== undefined) log.info({ dir }, "the directory of manifests can be read again");
      this.#dirProblem = undefined;
      return names;
    } catch (e) {
      // It may be a mount that comes back: nothing is removed for that.
      const problem = `${dir} can't be read: ${fullMessage(e)}`;
      if (this.#dirProblem === undefined) log.error({ dir, problem }, "the directory of manifests can't be read");
      this.#dirProblem = problem;
      return undefined;
    }
  }

  async #look(name: string): Promise<"gone" | "settled" | "unsettled"> {
    const { dir } = this.#options;
    try {
      const found = await signatureOf(dir, name);
      if (!found) return "gone";
      const file = this.#fileOf(name);
      if (file.read === found.text) return "settled";
      const before = file.seen;
      file.seen = found.text;
      // Half a file can be a whole manifest, so that content which still grows is not looked at.
      if (!found.renamed && before !== found.text) return "unsettled";
      const text = await readSettled(dir, name, found);
      if (text === undefined) return "unsettled";
      file.read = found.text;
      this.#take(name, file, text);
    } catch (e) {
      this.#setProblem(name, this.#fileOf(name), fullMessage(e));
    }
    return "settled";
  }

  #fileOf(name: string): ManifestFile {
    const known = this.#files.get(name);
    if (known) return known;
    const file = { read: undefined, seen: "", wishes: undefined, problem: undefined, odd: [] };
    this.#files.set(name, file);
    return file;
  }

  #take(name: string, file: ManifestFile, text: string): void {
    let objects: unknown[];
    try {
      objects = parseManifest(text);
    } catch (e) {
      this.#setProblem(name, file, fullMessage(e));
      return;
    }
    if (file.problem !== undefined) this.#options.log.info({ name }, "the manifest is good again");
    file.problem = undefined;
    const before = file.wishes;
    const wishes = new Map<string, Wish>();
    const odd: string[] = [];
    for (const [i, object] of objects.entries()) {
      const made = reflect(object);
      if (made.is === "problem") odd.push(`object ${i + 1}: ${made.problem}`);
      if (made.is !== "wish") continue;
      if (made.problem !== undefined) odd.push(`${made.wish.key}: ${made.problem}`);
      if (wishes.has(made.wish.key)) odd.push(`${made.wish.key} is in it twice: the last counts`);
      wishes.set(made.wish.key, made.wish);
    }
    if (odd.length > 0) this.#options.log.warn({ name, odd }, "objects of a manifest can't be used as they are");
    file.odd = odd;
    file.wishes = wishes;
    for (const key of wishes.keys()) {
      const holders = this.#holders.get(key);
      if (holders) holders.add(name);
      else this.#holders.set(key, new Set([name]));
    }
    for (const [key, { kind }] of before ?? []) if (!wishes.has(key)) this.#release(name, key, kind);
    if (this.#listed === undefined) return;
    for (const key of wishes.keys()) this.#put(key);
  }

  #setProblem(name: string, file: ManifestFile, problem: string): void {
    if (file.problem !== problem) {
      const kept = file.wishes?.size ?? 0;
      this.#options.log.error({ name, problem, kept }, "a manifest can't be used: what it held before stays");
    }
    file.problem = problem;
  }

  #forget(name: string): void {
    const file = this.#files.get(name);
    this.#files.delete(name);
    for (const [key, { kind }] of file?.wishes ?? []) this.#release(name, key, kind);
  }

  /** The file has the object no more; another one may. */
  #release(name: string, key: string, kind: K8sKind): void {
    const holders = this.#holders.get(key);
    holders?.delete(name);
    if (holders && holders.size > 0) {
      this.#put(key);
      return;
    }
    this.#holders.delete(key);
    if (this.#listed !== undefined) this.#sink?.remove(kind, key);
  }

  #put(key: string): void {
    const wish = this.#wishOf(key);
    if (wish && this.#listed !== undefined) this.#sink?.put(wish);
  }

  #wishOf(key: string): Wish | undefined {
    const last = [...(this.#holders.get(key) ?? [])].sort().at(-1);
    return last === undefined ? undefined : this.#files.get(last)?.wishes?.get(key);
  }

  /**
   * Everything at once: at the start, and again when nothing stands in the way of removing what the store has beyond it.
   * What a file held that has not been good since the start is not known, so that nothing may be taken for gone.
   */
  #listAll(): void {
    const gaps = [...this.#files.values()].some((f) => f.wishes === undefined);
    if (this.#listed === "complete" || (this.#listed === "gaps" && gaps)) return;
    const sink = this.#sink;
    if (!sink) return;
    const kinds = Object.keys(K8S_KINDS) as K8sKind[];
    const listings = new Map(kinds.map((kind) => [kind, sink.list(kind)]));
    for (const key of this.#holders.keys()) {
      const wish = this.#wishOf(key);
      if (wish) listings.get(wish.kind)?.put(wish);
    }
    for (const listing of listings.values()) listing.done({ gaps });
    this.#listed = gaps ? "gaps" : "complete";
    if (gaps) this.#options.log.warn("not all manifests can be read: nothing is removed from the store until they can");
  }
}
