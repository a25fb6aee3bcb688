import { type Clock, type Duration, millis } from "../../../../base/clock/clock.ts";
import { DeadlineError, toError } from "../../../../base/errors/errors.ts";
import type { VppConnection } from "./connection.ts";

/**
 * Notices a VPP that hangs with its socket open: when it has been silent for `idle`, it is asked for a `control_ping`, and
 * when nothing at all comes within `timeout`, the connection is closed. A busy VPP that sends something is alive.
 */
export function watchLiveness(connection: VppConnection, clock: Clock, idle: Duration, timeout: Duration): void {
  const wait = (ms: number) => clock.schedule(millis(ms), () => void look());
  const look = async (): Promise<void> => {
    const quiet = clock.now() - connection.lastReceived;
    if (connection.ended) return;
    if (quiet < idle) {
      wait(idle - quiet);
      return;
    }
    const asked = clock.now();
    try {
      await connection.ping(timeout);
    } catch (e) {
      if (connection.ended) return;
      // An answer that is late among many others still shows that VPP is at work.
      const silent = connection.lastReceived < asked;
      if (silent && e instanceof DeadlineError) connection.close(new DeadlineError("VPP's sign of life", timeout));
      else if (silent) connection.close(toError(e));
    }
    wait(idle);
  };
  wait(idle);
}
