// Runs one transaction after the other with a history in the directory given, until it is killed. Tells on standard
// output the number of the first transaction, and then of one in a hundred.

import { FileHistory } from "../../../src/kvscheduler/history-file/index.ts";
import { createScheduler } from "../../../src/kvscheduler/scheduler.ts";

const store = await FileHistory.open({ dir: process.argv[2]!, bytes: 512 * 1024, count: 1_000_000 });
const scheduler = createScheduler({ history: { store } });
scheduler.register({
  name: "thing",
  keyPrefixes: ["thing/"],
  create: () => new Promise((resolve) => setImmediate(resolve)),
  delete: () => undefined,
});
for (let i = 0; ; i++) {
  const { seq } = await scheduler.transact({ changes: [[`thing/${i % 50}`, { n: i, text: "x".repeat(i % 300) }]] });
  if (i % 100 === 0) process.stdout.write(`${seq}\n`);
}
