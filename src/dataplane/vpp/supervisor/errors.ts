import { HeddleError } from "../../../base/errors/errors.ts";

/** A value for startup.conf that VPP would refuse, or read as something else. `field` is its path in the configuration. */
export class StartupConfError extends HeddleError<"BAD_CONFIG"> {
  readonly field: string;

  constructor(field: string, message: string) {
    super("BAD_CONFIG", `VPP's startup configuration, ${field}: ${message}`);
    this.field = field;
  }
}

/** How a VPP process ended; both null where it was not our child, so that nobody could be told. */
export interface VppExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** VPP's process ended. `lastLines` is what it wrote at the end; look there first. */
export class VppExitError extends HeddleError<"VPP_EXITED"> {
  readonly exit: VppExit;
  readonly lastLines: readonly string[];

  constructor(what: string, exit: VppExit, lastLines: readonly string[]) {
    const how = exit.signal
      ? `signal ${exit.signal}`
      : exit.code === null
        ? "its status is unknown"
        : `exit code ${exit.code}`;
    const said = lastLines.length > 0 ? `; VPP said: ${lastLines.join(" | ")}` : "";
    super("VPP_EXITED", `${what} (${how})${said}`);
    this.exit = exit;
    this.lastLines = lastLines;
  }
}

/** VPP's process is there and does not answer; `cause` is what the last look at it said. */
export class VppHungError extends HeddleError<"VPP_HUNG"> {
  constructor(probe: string, failures: number, options?: ErrorOptions) {
    super("VPP_HUNG", `VPP does not answer: its ${probe} failed ${failures} times in a row`, options);
  }
}

/** VPP could not be started: no such executable, its directory is not ours, or it was not ready in time. */
export class VppStartError extends HeddleError<"VPP_NO_START"> {}
