import { expect, it } from "vitest";
import { millis, seconds } from "../../../src/base/clock/clock.ts";
import { ManualClock } from "../../../src/base/clock/manual-clock.ts";
import type { CommitGroup, Descriptor } from "../../../src/kvscheduler/api/descriptor.ts";
import { createScheduler } from "../../../src/kvscheduler/index.ts";

const never = (): never => {
  throw new Error("carried out by the group");
};

it("a commit has a second more for each thousand of operations", async () => {
  const clock = new ManualClock();
  const { promise: committed, resolve: commit } = Promise.withResolvers<void>();
  const { promise: asked, resolve: ask } = Promise.withResolvers<void>();
  const group: CommitGroup = {
    name: "group",
    commit() {
      ask();
      return committed;
    },
  };
  const descriptor: Descriptor<string, undefined> = {
    name: "item",
    keyPrefixes: ["item/"],
    group,
    deadline: seconds(5),
    create: never,
    delete: never,
  };
  const scheduler = createScheduler({ clock });
  scheduler.register(descriptor);
  const changes = Array.from({ length: 3500 }, (_, i): [string, string] => [`item/${i}`, "x"]);
  const done = scheduler.transact({ changes });
  await asked;
  clock.advance(millis(7999));
  commit();
  expect((await done).errors.size).toBe(0);
  await scheduler.close();
});
