import { type Clock, type Duration, seconds, systemClock, type Timer } from "../../base/clock/clock.ts";
import { Tasks } from "../../base/tasks/tasks.ts";
import type { Entry, SnapshotItem, Store, StoreChange, Watch, WatchItem } from "../api/store.ts";
import { Feed } from "../common/feed.ts";
import type { LocalDbError, LocalDbOptions } from "../local/local-db.ts";
import { MirrorFile } from "./mirror-file.ts";

/** The store lost something: it is taken as it is, since it decides, but somebody should look. */
export interface Suspicion {
  readonly prefix: string;
  /** `emptied`: nothing is left of a prefix that had entries. `rewound`: the store's history went back. */
  readonly kind: "emptied" | "rewound";
  /** Entries of the prefix before and now. */
  readonly had: number;
  readonly has: number;
}

/** The part of the log that is used here. */
export interface MirrorLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface MirrorOptions {
  readonly store: Pick<Store, "snapshotAndWatch">;
  /** What to follow; none may begin with another. */
  readonly prefixes: readonly string[];
  /** The mirror's file; its directory must exist. */
  readonly path: string;
  readonly clock?: Clock;
  readonly log?: MirrorLog;
  /** How long the store may take before the mirror answers for it; 2 s if absent. */
  readonly patience?: Duration;
  /** The thread for the file, if it is to be shared. */
  readonly local?: LocalDbOptions;
  readonly onSuspicion?: (suspicion: Suspicion) => void;
  /** The file was unusable and was set aside. */
  readonly onDamage?: (error: LocalDbError, movedTo: string) => void;
}

interface Followed {
  readonly prefix: string;
  readonly watch: Watch;
  /** The last known entries, as in the file. */
  readonly known: Map<string, Entry>;
  /** Whether {@link known} ever came from the store, in this process or an earlier one. */
  isKnown: boolean;
  /** Whether the store has answered, in this process; and if it had lost history by then. */
  answered: boolean;
  rewound: boolean;
}

const noLog: MirrorLog = { info: () => undefined, warn: () => undefined, error: () => undefined };

/**
 * A node's own copy of what it needs of the store. As a watch of all its prefixes it begins with the store's snapshot
 * if that comes soon; else with what was known last, marked `fromMirror`, and the differences follow when the store
 * answers. A prefix that was never read is waited for: that nothing is known does not mean that nothing is there.
 */
export class Mirror implements Watch {
  readonly #options: MirrorOptions;
  readonly #clock: Clock;
  readonly #log: MirrorLog;
  readonly #file: MirrorFile;
  readonly #followed: readonly Followed[];
  readonly #feed: Feed;
  readonly #tasks: Tasks;
  #patience: Timer | undefined;
  #patient = true;
  #begun = false;

  private constructor(options: MirrorOptions, file: MirrorFile, followed: readonly Followed[]) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#log = options.log ?? noLog;
    this.#file = file;
    this.#followed = followed;
    this.#tasks = new Tasks((err, task) => this.#log.error({ err, task }, "the mirror stopped following"));
    this.#feed = new Feed({ clock: this.#clock, onClose: () => this.#close() });
  }

  /** Starts following. @throws LocalDbError when the file is in use or can't be written; one that is damaged is set aside */
  static async open(options: MirrorOptions): Promise<Mirror> {
    const { store, path, clock = systemClock, log = noLog } = options;
    const file = await MirrorFile.open({
      path,
      clock,
      ...options.local,
      onDamage: (err, movedTo) => {
        log.error({ err, movedTo }, "the mirror was damaged and set aside");
        options.onDamage?.(err, movedTo);
      },
    });
    const followed: Followed[] = [];
    for (const prefix of options.prefixes) {
      const known = await file.load(prefix);
      followed.push({
        prefix,
        watch: store.snapshotAndWatch(prefix, known ? { seen: known.position } : {}),
        known: new Map((known?.entries ?? []).map((e) => [e.key, e])),
        isKnown: known !== undefined,
        answered: false,
        rewound: false,
      });
    }
    const mirror = new Mirror(options, file, followed);
    mirror.#start();
    return mirror;
  }

  /** Milliseconds since all of it was last known to be current; 0 while it is. */
  staleFor(): number {
    return Math.max(0, ...this.#followed.map((f) => f.watch.staleFor()));
  }

  close(): Promise<void> {
    return this.#feed.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  [Symbol.asyncIterator](): AsyncGenerator<WatchItem, void, undefined> {
    return this.#feed[Symbol.asyncIterator]();
  }

  #start(): void {
    this.#patience = this.#clock.schedule(this.#options.patience ?? seconds(2), () => {
      this.#patient = false;
      this.#tryBegin();
    });
    for (const followed of this.#followed) {
      this.#tasks.run(`mirror ${followed.prefix}`, () => this.#follow(followed));
    }
    this.#tryBegin();
  }

  async #follow(followed: Followed): Promise<void> {
    for await (const item of followed.watch) {
      const changes = item.kind === "snapshot" ? this.#compare(followed, item) : item.changes;
      for (const { key, new: entry } of changes) {
        if (entry) followed.known.set(key, entry);
        else followed.known.delete(key);
      }
      followed.isKnown = true;
      followed.answered = true;
      if (!this.#begun) {
        followed.rewound ||= item.kind === "snapshot" && item.rewound === true;
        this.#tryBegin();
      } else if (item.kind === "snapshot") {
        const fromMirror = this.#followed.some((f) => !f.answered);
        const flags = { rewound: item.rewound === true, fromMirror };
        this.#feed.snapshot(item.entries, undefined, flags, followed.prefix);
      } else {
        this.#feed.changes(changes.map((c) => [c.key, c.new] as const));
      }
      await this.#save(followed.prefix, item, changes);
    }
  }

  /** The first item: when the store has answered for all, or for as many as it has when patience ends. */
  #tryBegin(): void {
    if (this.#begun) return;
    const away = this.#followed.filter((f) => !f.answered);
    if (away.length > 0 && (this.#patient || away.some((f) => !f.isKnown))) return;
    this.#begun = true;
    this.#patience?.cancel();
    const entries = this.#followed.flatMap((f) => [...f.known.values()]);
    const rewound = this.#followed.some((f) => f.rewound);
    if (away.length > 0) {
      this.#log.warn({ prefixes: away.map((f) => f.prefix) }, "the store is away; starting from the mirror");
    }
    this.#feed.snapshot(entries, undefined, { rewound, fromMirror: away.length > 0 });
  }

  /** What the store's snapshot changes of what is known. */
  #compare({ prefix, known }: Followed, item: SnapshotItem): StoreChange[] {
    const has = item.entries.length;
    const suspicious = (kind: Suspicion["kind"]) => {
      const suspicion: Suspicion = { prefix, kind, had: known.size, has };
      this.#log.error(suspicion, "the store may have lost data; its state is taken as it is");
      this.#options.onSuspicion?.(suspicion);
    };
    if (item.rewound) suspicious("rewound");
    if (known.size > 0 && has === 0) suspicious("emptied");
    const changes: StoreChange[] = [];
    const gone = new Map(known);
    for (const entry of item.entries) {
      const old = known.get(entry.key);
      gone.delete(entry.key);
      const same = old?.revision === entry.revision && Buffer.compare(old.value, entry.value) === 0;
      if (!same) changes.push({ key: entry.key, old, new: entry });
    }
    for (const [key, old] of gone) changes.push({ key, old, new: undefined });
    return changes;
  }

  async #save(prefix: string, item: WatchItem, changes: readonly StoreChange[]): Promise<void> {
    try {
      await this.#file.apply(prefix, changes, item.position ?? "");
    } catch (err) {
      // The consumers have it; only a start without the store would see an older state.
      this.#log.error({ err, prefix }, "the mirror could not be written");
    }
  }

  async #close(): Promise<void> {
    this.#patience?.cancel();
    await Promise.all(this.#followed.map((f) => f.watch.close()));
    await this.#tasks.close();
    await this.#file.close();
  }
}
