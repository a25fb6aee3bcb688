import { connect } from "node:net";
import { type Clock, type Duration, systemClock } from "../../../base/clock/clock.ts";
import { DeadlineError, HeddleError } from "../../../base/errors/errors.ts";
import type { VppApi } from "../binapi/api.ts";

/** A way to see whether VPP is at work. */
export interface Probe {
  /** `API`, `CLI` */
  readonly name: string;
  /** Resolves if VPP answered within `timeout`; rejects with the reason otherwise. */
  look(timeout: Duration): Promise<void>;
}

/** Asks for a `control_ping` over the agent's own connection, which connects again by itself. */
export function apiProbe(client: Pick<VppApi, "request">): Probe {
  return {
    name: "API",
    async look(timeout) {
      await client.request("control_ping", {}, { timeout });
    },
  };
}

/** Connects to VPP's CLI socket; VPP's main thread greets whoever does. */
export function cliProbe(socket: string, clock: Clock = systemClock): Probe {
  return {
    name: "CLI",
    look: (timeout) =>
      new Promise((resolve, reject) => {
        const connection = connect(socket);
        const end = (error?: Error): void => {
          timer.cancel();
          connection.destroy();
          if (error) reject(error);
          else resolve();
        };
        const timer = clock.schedule(timeout, () => end(new DeadlineError("VPP's CLI", timeout)));
        connection.once("data", () => end());
        connection.once("error", end);
        connection.once("end", () => end(new HeddleError("CLI_CLOSED", "VPP closed the CLI connection")));
      }),
  };
}
