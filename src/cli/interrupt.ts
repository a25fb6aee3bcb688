import { LabError } from "../lab/errors.ts";

/**
 * Runs something that cleans up after itself when its signal aborts. The first Ctrl-C (or SIGTERM) aborts it and lets
 * it clean up; a third one ends the process there and then, and says what finishes the job.
 */
export async function interruptible<T>(howToFinish: string, body: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  let times = 0;
  const onSignal = (name: NodeJS.Signals): void => {
    times += 1;
    if (times === 1) {
      process.stderr.write("interrupted: cleaning up\n");
      controller.abort(new LabError("FAILED", `interrupted by ${name}`));
    } else if (times === 2) {
      process.stderr.write(`still cleaning up; once more stops at once, and then "${howToFinish}" finishes it\n`);
    } else {
      process.exit(1);
    }
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  try {
    return await body(controller.signal);
  } finally {
    process.off("SIGINT", onSignal);
    process.off("SIGTERM", onSignal);
  }
}
