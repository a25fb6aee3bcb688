import type { TakenLinkRecords } from "../../src/dataplane/linux/taken-link/descriptor.ts";
import type { TakenLinkValue } from "../../src/models/linux.ts";
import type { LocalDb } from "../../src/stores/local/local-db.ts";

const PREFIX = "taken-link/";

/** What links of the node had before a dataplane took them, in the local database. */
export class LocalTakenLinks implements TakenLinkRecords {
  readonly #db: LocalDb;
  readonly #links: Map<string, TakenLinkValue>;

  private constructor(db: LocalDb, links: Map<string, TakenLinkValue>) {
    this.#db = db;
    this.#links = links;
  }

  static async load(db: LocalDb): Promise<LocalTakenLinks> {
    const records = await db.load(PREFIX);
    const links = [...records].map(([key, value]): [string, TakenLinkValue] => [
      key.slice(PREFIX.length),
      JSON.parse(value) as TakenLinkValue,
    ]);
    return new LocalTakenLinks(db, new Map(links));
  }

  all(): ReadonlyMap<string, TakenLinkValue> {
    return this.#links;
  }

  async set(link: string, value: TakenLinkValue | undefined): Promise<void> {
    if (value === undefined) this.#links.delete(link);
    else this.#links.set(link, value);
    await this.#db.commit([[`${PREFIX}${link}`, value === undefined ? undefined : JSON.stringify(value)]]);
  }
}
