import type { Clock, Duration } from "../../../../base/clock/clock.ts";
import { DeadlineError, toError } from "../../../../base/errors/errors.ts";
import { VppProtocolError } from "../errors.ts";
import type { FrameReader } from "../wire/frame.ts";
import {
  parseSockclntCreateReply,
  putSockclntCreate,
  type Registration,
  SOCKCLNT_CREATE_BYTES,
} from "../wire/handshake.ts";
import { type WireHandlers, WireSocket } from "../wire/socket.ts";

/** Any number will do: VPP returns it and nothing else is under way. */
const CONTEXT = 1;

/**
 * Connects and registers. Rejects with the socket's error, `VppProtocolError` when no VPP answers there, or
 * `DeadlineError` when nobody answers in time. The socket is closed then.
 */
export async function connectVpp(
  path: string,
  options: { name: string; clock: Clock; timeout: Duration; signal: AbortSignal },
): Promise<{ wire: WireSocket; registration: Registration }> {
  const { promise, resolve, reject } = Promise.withResolvers<Registration>();
  promise.catch(() => {}); // also rejected when opening fails, which is reported itself
  const handlers: WireHandlers = {
    batchStart: () => {},
    message(reader: FrameReader) {
      resolve(parseSockclntCreateReply(reader.b, reader.at, reader.until));
    },
    batchEnd: () => {},
    drained: () => {},
    closed: reject,
  };
  const end = new AbortController();
  const abort = () => end.abort(options.signal.reason);
  options.signal.addEventListener("abort", abort, { once: true });
  if (options.signal.aborted) abort();
  const timer = options.clock.schedule(options.timeout, () =>
    end.abort(new DeadlineError(`VPP's answer to a new client on ${path}`, options.timeout)),
  );
  let wire: WireSocket | undefined;
  try {
    wire = await WireSocket.open(path, handlers, end.signal);
    const opened = wire;
    end.signal.addEventListener("abort", () => opened.close(toError(end.signal.reason)), { once: true });
    const o = wire.writer.begin(SOCKCLNT_CREATE_BYTES);
    putSockclntCreate(wire.writer.b, o, options.name, CONTEXT);
    wire.writer.end(o + SOCKCLNT_CREATE_BYTES);
    wire.writer.flush();
    return { wire, registration: await promise };
  } catch (e) {
    const error = toError(e);
    wire?.close(error);
    throw error instanceof VppProtocolError ? new VppProtocolError(`${path}: ${error.message}`, { cause: e }) : error;
  } finally {
    timer.cancel();
    options.signal.removeEventListener("abort", abort);
  }
}
