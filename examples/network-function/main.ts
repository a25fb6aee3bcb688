// A network function of a few hundred lines: a TCP forwarder, what the scheduler has to know of it, a REST way in.
// Run: node main.ts [port of REST]
import { createServer } from "node:http";
import { createScheduler, seconds, systemClock } from "heddle/kvscheduler";
import { Lifecycle } from "heddle/lifecycle";
import { forwards, listeners } from "./descriptors.ts";
import { Proxy } from "./proxy.ts";
import { rest } from "./rest.ts";

const port = Number(process.argv[2] ?? 8090);
const proxy = new Proxy();
const scheduler = createScheduler({ log: { warn: (text, fields) => console.error(text, fields) } });
const server = createServer(rest(scheduler, proxy));

/** What somebody else has broken is repaired in the background, too. */
function resyncFromTimeToTime(): void {
  systemClock.schedule(seconds(60), () => {
    scheduler.transact({ resync: "downstream", description: "periodic" }).then(resyncFromTimeToTime, () => undefined);
  });
}

const lifecycle = new Lifecycle([
  {
    name: "proxy",
    close: async () => {
      await Promise.all(proxy.dump().map(({ name }) => proxy.close(name)));
    },
  },
  {
    name: "scheduler",
    async init() {
      scheduler.register(listeners(proxy));
      scheduler.register(forwards(proxy));
      // At the start nothing is wanted; what the proxy may have from before goes.
      await scheduler.transact({ resync: "full", changes: [], description: "start" });
      resyncFromTimeToTime();
    },
    close: () => scheduler.close(),
  },
  {
    name: "REST",
    init: () =>
      new Promise<void>((resolve, reject) => {
        server.once("error", reject);
        server.listen(port, "127.0.0.1", resolve);
      }),
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  },
]);

for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => void lifecycle.close());
await lifecycle.start();
console.log(`REST on http://127.0.0.1:${port}`);
