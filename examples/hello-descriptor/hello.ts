// The smallest use of the scheduler: one kind of value, a note, which is a file in a directory. Run: node hello.ts
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createScheduler, type Descriptor, renderOps, renderStatus } from "heddle/kvscheduler";

interface Note {
  readonly text: string;
  /** Key of the note that has to be there before this one. */
  readonly after?: string;
}

const directory = await mkdtemp(join(tmpdir(), "hello-"));
const pathOf = (key: string): string => join(directory, key.slice("note/".length));

/** Teaches the scheduler what a note is. Its metadata, what creation answers, is the path of the file. */
const notes: Descriptor<Note, string> = {
  name: "note",
  keyPrefixes: ["note/"],
  async create(key, note) {
    await writeFile(pathOf(key), note.text, { flag: "wx" }); // fails if there is one
    return pathOf(key);
  },
  async update(_key, _old, note, path) {
    await writeFile(path, note.text);
    return path;
  },
  async delete(_key, _note, path) {
    await rm(path);
  },
  async retrieve() {
    const names = await readdir(directory);
    return Promise.all(
      names.map(async (name) => {
        const path = join(directory, name);
        return { key: `note/${name}`, value: { text: await readFile(path, "utf8") }, metadata: path };
      }),
    );
  },
  dependencies: (_key, note) => (note.after === undefined ? [] : [{ label: "the one before", key: note.after }]),
  equivalent: (_key, a, b) => a.text === b.text, // a file does not show what it came after
};

const scheduler = createScheduler();
scheduler.register(notes);

console.log("# All that is wanted at the start: a reply, before what it replies to. It waits.");
const reply = await scheduler.transact({
  resync: "full",
  changes: [["note/reply", { text: "Hello!", after: "note/greeting" }]],
});
console.log(renderOps(reply.record.executed));
console.log(renderStatus(scheduler.status("note/reply")).replace(/ since .*/, ""));

console.log("\n# The greeting comes, and the reply after it.");
const greeting = await scheduler.transact({ changes: [["note/greeting", { text: "Hello, world" }]] });
console.log(renderOps(greeting.record.executed));

console.log("\n# What would be done if the greeting went? Nothing is.");
const trial = await scheduler.transact({ changes: [["note/greeting", undefined]], dryRun: true });
console.log(renderOps(trial.record.planned));

console.log("\n# Somebody spoils one file and adds another; a resync finds and repairs that.");
await writeFile(join(directory, "reply"), "Go away!");
await writeFile(join(directory, "advert"), "Buy notes");
const resync = await scheduler.transact({ resync: "downstream" });
console.log(renderOps(resync.record.executed));

await scheduler.transact({ resync: "full", changes: [] }); // nothing is wanted any more
console.log(`\n# Left: ${(await readdir(directory)).length} files.`);
await scheduler.close();
await rm(directory, { recursive: true });
