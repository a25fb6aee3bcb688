import { destination, type Logger, pino, stdTimeFunctions } from "pino";

export type LogLevel = "debug" | "error" | "fatal" | "info" | "silent" | "trace" | "warn";

/**
 * Structured log: `log.info({ seq, ops }, "txn applied")`. Errors go under the key `err`. Keys are stable; messages are
 * short; dumps belong to REST and the command line, not here.
 */
export type Log = Logger;

/** JSON lines on standard error; standard output stays free for results. */
export function createLog(options: { name: string; level: LogLevel }): Log {
  return pino(
    { name: options.name, level: options.level, timestamp: stdTimeFunctions.isoTime },
    destination({ fd: 2, sync: false, minLength: 0 }),
  );
}

export const silentLog: Log = pino({ level: "silent" });
