import { setImmediate as nextTurn } from "node:timers/promises";
import { beforeEach, describe, expect, it } from "vitest";
import { Writer } from "../../../../../src/base/bytes/writer.ts";
import { departed } from "../../../../../src/dataplane/linux/link/departures.ts";
import { LinkReaper } from "../../../../../src/dataplane/linux/link/reaper.ts";
import type { Netlink } from "../../../../../src/dataplane/linux/namespace/namespaces.ts";
import { NetlinkError } from "../../../../../src/dataplane/linux/netlink/errors.ts";
import { LinkMsg } from "../../../../../src/dataplane/linux/netlink/link.ts";
import { encodeMessage } from "../../../../../src/dataplane/linux/netlink/nlmsg.ts";

const ENODEV = 19;
const EBUSY = 16;

/** A socket whose deletions are answered when the test says so; marks are answered at once. */
class SlowSocket implements Netlink {
  readonly words: string[] = [];
  readonly #answers: { resolve: () => void; reject: (e: Error) => void }[] = [];
  /** Errno of the mark, by link. */
  readonly unmarkable = new Map<string, number>();

  request<T>(request: { readonly words: string }): Promise<T> {
    this.words.push(request.words);
    if (!request.words.startsWith("delete")) {
      for (const [name, errno] of this.unmarkable) {
        if (request.words.includes(name)) return Promise.reject(new NetlinkError(request.words, errno));
      }
      return Promise.resolve(undefined as T);
    }
    return new Promise((resolve, reject) => this.#answers.push({ resolve: () => resolve(undefined as T), reject }));
  }

  dump<T>(): Promise<T[]> {
    return Promise.resolve([]);
  }

  get deletions(): string[] {
    return this.words.filter((w) => w.startsWith("delete"));
  }

  answer(errno?: number): void {
    const pending = this.#answers.shift();
    if (!pending) throw new Error("no deletion is waiting");
    if (errno === undefined) pending.resolve();
    else pending.reject(new NetlinkError("delete", errno));
  }
}

let sockets: SlowSocket[];
let announce: ((index: number) => void) | undefined;
let reaper: LinkReaper;

const follow = (onGone: (index: number) => void) => {
  announce = onGone;
  return Promise.resolve({ close: () => (announce = undefined) });
};

/** What has become of promises, once everything that is ready has run. */
async function settled(promises: readonly Promise<void>[]): Promise<string[]> {
  const states = promises.map(() => "waiting");
  for (const [i, promise] of promises.entries()) {
    promise.then(
      () => (states[i] = "gone"),
      (e: { code?: string }) => (states[i] = e.code ?? "?"),
    );
  }
  for (let i = 0; i < 5; i++) await nextTurn();
  return states;
}

beforeEach(() => {
  sockets = [new SlowSocket(), new SlowSocket()];
  announce = undefined;
  reaper = new LinkReaper(sockets, follow);
});

/** The socket that was used n-th; the reaper takes the last first. */
const used = (n: number): SlowSocket => sockets.at(-1 - n) as SlowSocket;

describe("LinkReaper", () => {
  it("says that a link is gone when the kernel announces it, before it answers", async () => {
    const removal = reaper.remove({ name: "hd1", index: 7 });
    expect(await settled([removal])).toEqual(["waiting"]);
    announce?.(7);
    expect(await settled([removal])).toEqual(["gone"]);
  });

  it("takes no other link's going for it", async () => {
    const removal = reaper.remove({ name: "hd1", index: 7 });
    await settled([]);
    announce?.(8);
    expect(await settled([removal])).toEqual(["waiting"]);
  });

  it("takes the kernel's answer where no announcement came", async () => {
    const removals = [reaper.remove({ name: "hd1", index: 7 }), reaper.remove({ name: "hd2" })];
    expect(await settled(removals)).toEqual(["waiting", "waiting"]);
    used(0).answer();
    expect(await settled(removals)).toEqual(["gone", "gone"]);
  });

  it("works without announcements", async () => {
    reaper = new LinkReaper(sockets, () => Promise.reject(new Error("EPERM")));
    const removal = reaper.remove({ name: "hd1", index: 7 });
    await settled([]);
    used(0).answer();
    expect(await settled([removal])).toEqual(["gone"]);
  });

  it("counts a link that was gone before as removed", async () => {
    const removal = reaper.remove({ name: "hd1", index: 7 });
    await settled([]);
    used(0).answer(ENODEV);
    expect(await settled([removal])).toEqual(["gone"]);
  });

  it("reports a link that the kernel does not let go", async () => {
    const removal = reaper.remove({ name: "hd1", index: 7 });
    await settled([]);
    used(0).answer(EBUSY);
    expect(await settled([removal])).toEqual(["EBUSY"]);
  });

  it("removes what is asked for in one turn by one request", async () => {
    const removals = [1, 2, 3].map((n) => reaper.remove({ name: `hd${n}`, index: n }));
    await settled([]);
    expect(used(0).deletions).toEqual([expect.stringContaining("group")]);
    announce?.(2);
    expect(await settled(removals)).toEqual(["waiting", "gone", "waiting"]);
    used(0).answer();
    expect(await settled(removals)).toEqual(["gone", "gone", "gone"]);
  });

  it("leaves a link out of the group that cannot be put into it", async () => {
    used(0).unmarkable.set("hd1", ENODEV).set("hd2", EBUSY);
    const removals = [1, 2, 3].map((n) => reaper.remove({ name: `hd${n}`, index: n }));
    expect(await settled(removals)).toEqual(["gone", "EBUSY", "waiting"]);
  });

  it("removes one by one what a group's refusal left", async () => {
    const removals = [1, 2].map((n) => reaper.remove({ name: `hd${n}`, index: n }));
    await settled([]);
    used(0).answer(EBUSY);
    await settled([]);
    used(0).answer();
    await settled([]);
    used(0).answer(EBUSY);
    expect(await settled(removals)).toEqual(["gone", "EBUSY"]);
  });

  it("does not wait for the removal before, and gathers what comes while all sockets wait", async () => {
    const first = reaper.remove({ name: "hd1", index: 1 });
    await settled([]);
    const second = reaper.remove({ name: "hd2", index: 2 });
    await settled([]);
    expect(used(1).deletions).toHaveLength(1);
    const later = [3, 4].map((n) => reaper.remove({ name: `hd${n}`, index: n }));
    await settled([]);
    expect(sockets.flatMap((s) => s.deletions)).toHaveLength(2);
    used(0).answer();
    await settled([]);
    expect(used(0).deletions.at(-1)).toContain("group");
    announce?.(2);
    expect(await settled([first, second, ...later])).toEqual(["gone", "gone", "waiting", "waiting"]);
  });

  it("follows announcements only while something is being removed", async () => {
    const removal = reaper.remove({ name: "hd1", index: 7 });
    await settled([]);
    expect(announce).toBeDefined();
    used(0).answer();
    await settled([removal]);
    expect(announce).toBeUndefined();
  });
});

describe("departed", () => {
  const AF_BRIDGE = 7;
  const message = (w: Writer, type: number, family: number, index: number) => {
    const body = new Writer().u8(family).u8(0).u16(1).u32(index).u32(0).u32(0);
    encodeMessage(w, { type, flags: 0, seq: 0, body: body.finish() });
    return w;
  };

  it("tells the index of links that went, and of nothing else", () => {
    const w = new Writer();
    message(w, LinkMsg.NEW, 0, 5);
    message(w, LinkMsg.DEL, 0, 6);
    message(w, LinkMsg.DEL, AF_BRIDGE, 7);
    message(w, LinkMsg.DEL, 0, 0x1234_5678);
    expect(departed(w.finish())).toEqual([6, 0x1234_5678]);
  });
});
