/*
 * A scheduler of links in a process of its own: where a link's node end is belongs to the process. Run it in a namespace
 * (nsenter); it takes {@link LinksRequest}s and answers each with a {@link LinksAnswer}, over Node's channel of processes.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { followDepartures } from "../../../src/dataplane/linux/link/departures.ts";
import { linkDescriptor } from "../../../src/dataplane/linux/link/descriptor.ts";
import { LinkReaper } from "../../../src/dataplane/linux/link/reaper.ts";
import { Ends } from "../../../src/dataplane/linux/namespace/ends.ts";
import { Namespaces } from "../../../src/dataplane/linux/namespace/namespaces.ts";
import { Snapshots } from "../../../src/dataplane/linux/namespace/snapshots.ts";
import { RtNetlink } from "../../../src/dataplane/linux/netlink/client.ts";
import { createScheduler } from "../../../src/kvscheduler/scheduler.ts";
import { type LinkValue, linkKey } from "../../../src/models/linux.ts";
import { bySockets } from "./by-sockets.ts";

/** All the links that there are to be. */
export type LinksRequest = readonly LinkValue[];

export interface LinksAnswer {
  /** What was done about links of ours: `create linux/link/hd1`. */
  readonly done: readonly string[];
  readonly errors: readonly string[];
  /** Links of ours as they are read afterwards. */
  readonly found: readonly LinkValue[];
}

/** The process, in the namespace at `path`. */
export class LinksProcess implements AsyncDisposable {
  readonly #child;

  constructor(path: string) {
    const argv = [`--net=${path}`, "--", process.execPath, fileURLToPath(import.meta.url), "serve"];
    this.#child = spawn("nsenter", argv, { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  }

  async resync(links: LinksRequest): Promise<LinksAnswer> {
    this.#child.send(links);
    const [answer] = (await Promise.race([
      once(this.#child, "message"),
      once(this.#child, "exit").then(([code]) => {
        throw new Error(`the process of links ended with ${String(code)}`);
      }),
    ])) as [LinksAnswer];
    return answer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const gone = once(this.#child, "exit");
    this.#child.disconnect();
    await gone;
  }
}

async function serve(): Promise<void> {
  const netlink = await RtNetlink.open();
  const namespaces = new Namespaces(netlink, (netns) => RtNetlink.open({ netns }));
  const scheduler = createScheduler();
  scheduler.register(
    linkDescriptor(
      new Ends(namespaces, new Snapshots(bySockets(namespaces))),
      new LinkReaper([netlink], followDepartures),
    ),
  );
  const answer = async (links: LinksRequest): Promise<LinksAnswer> => {
    const changes = links.map((link) => [linkKey(link.name), link] as const);
    const { errors, record } = await scheduler.transact({ changes, resync: "full" });
    const { values } = await scheduler.dumpSouthbound();
    return {
      done: record.executed.filter((op) => op.noop !== true).map(({ op, key }) => `${op} ${key}`),
      errors: [...errors.values()].map(String),
      found: values.map(({ value }) => value as LinkValue).filter(({ kind }) => kind !== "foreign"),
    };
  };
  process.on("message", (links) => {
    // A rejection ends this process, with its text on stderr.
    void answer(links as LinksRequest).then((reply) => process.send?.(reply));
  });
  process.once("disconnect", () => process.exit(0));
}

if (process.argv[2] === "serve") await serve();
