import type { SysctlOriginals } from "../../src/dataplane/linux/sysctl/descriptor.ts";
import { nativeSysctls } from "../../src/dataplane/linux/sysctl/native-sysctls.ts";
import type { LocalDb } from "../../src/stores/local/local-db.ts";

const PREFIX = "sysctl/";

/** The sysctls as we found them, in the local database. */
export class LocalSysctlOriginals implements SysctlOriginals {
  readonly #db: LocalDb;
  readonly #values: Map<string, string>;

  private constructor(db: LocalDb, values: Map<string, string>) {
    this.#db = db;
    this.#values = values;
  }

  static async load(db: LocalDb): Promise<LocalSysctlOriginals> {
    const records = await db.load(PREFIX);
    return new LocalSysctlOriginals(db, new Map([...records].map(([key, value]) => [key.slice(PREFIX.length), value])));
  }

  get(name: string): string | undefined {
    return this.#values.get(name);
  }

  async set(name: string, value: string | undefined): Promise<void> {
    if (value === undefined) this.#values.delete(name);
    else this.#values.set(name, value);
    await this.#db.commit([[`${PREFIX}${name}`, value]]);
  }

  /** Puts back what is still recorded: sysctls that no item speaks of any more. The last ones set go first. */
  async restoreAll(): Promise<void> {
    for (const [name, value] of [...this.#values].reverse()) {
      if ((await nativeSysctls.read(name)) !== undefined) await nativeSysctls.write(name, value);
      await this.set(name, undefined);
    }
  }
}
