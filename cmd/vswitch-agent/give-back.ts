import { existsSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { systemClock } from "../../src/base/clock/clock.ts";
import { HeddleError } from "../../src/base/errors/errors.ts";
import { type Retreat, retreat } from "../../src/dataplane/vpp/retreat.ts";
import type { AgentConfig } from "../../src/infra/config/agent-config.ts";
import { DbThread, LocalDb } from "../../src/stores/local/local-db.ts";
import { LocalTakenLinks } from "./taken-links.ts";

/**
 * Gives the kernel the node's links back where no agent is going to: after a crash, or for good. It needs nothing but the
 * local database, which a running agent has for itself: no store, and no VPP that starts.
 *
 * @throws HeddleError `VPP_RUNS` beside a VPP that somebody else runs, which would go on forwarding; LocalDbError `IN_USE` beside an agent.
 */
export async function giveBack({ stateDir, runDir, vpp: { attach } }: AgentConfig): Promise<Retreat> {
  if (attach !== undefined && (await listens(attach))) {
    throw new HeddleError(
      "VPP_RUNS",
      `the VPP at ${attach} is not ours to end, and forwards by what it has: end it first`,
    );
  }
  const path = join(stateDir, "agent.db");
  if (!existsSync(path)) return { links: [] };
  const thread = DbThread.start();
  try {
    const db = await LocalDb.open(path, { thread });
    try {
      const takenLinks = await LocalTakenLinks.load(db);
      return await retreat({ runtimeDir: join(runDir, "vpp"), takenLinks, clock: systemClock });
    } finally {
      await db.close();
    }
  } finally {
    await thread.close();
  }
}

function listens(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const connection = connect(socket);
    connection.once("connect", () => resolve(true)).once("error", () => resolve(false));
    connection.once("connect", () => connection.destroy());
  });
}
