import { type Codecs, cursorOf } from "../../../src/dataplane/vpp/binapi/codec/codecs.ts";
import type { TraceTap } from "../../../src/dataplane/vpp/binapi/index.ts";
import { FRAME_HEADER } from "../../../src/dataplane/vpp/binapi/wire/frame.ts";
import type { FakeVpp } from "./fake-vpp.ts";

/**
 * Exchanges with a real VPP, to be replayed without it. A recording is text, one message a line, in the order in which
 * they crossed the socket; `#` begins a comment, which tells where it came from:
 *
 *     # vpp 26.06-release; route add and dump
 *     > show_version_51077d14 0000…
 *     < show_version_reply_c919bde1 0000…
 *
 * `>` goes to VPP. The bytes are the message with its number, client index and, in answers, context as they were; the
 * context is what ties answers to a request.
 */
export class Recorder {
  readonly #lines: { direction: ">" | "<"; message: string; bytes: Buffer }[] = [];

  /** For `VppClientOptions.tap`. */
  readonly tap: TraceTap = (direction, message, b, start, end) => {
    this.#lines.push({
      direction: direction === "to VPP" ? ">" : "<",
      message,
      bytes: Buffer.from(b.subarray(start, end)),
    });
  };

  text(codecs: Codecs, comment: string): string {
    const lines = this.#lines.map(({ direction, message, bytes }) => {
      const crc = codecs.schema.messages.get(message)?.crc ?? "00000000";
      return `${direction} ${message}_${crc} ${bytes.toString("hex")}\n`;
    });
    return `# ${comment}\n${lines.join("")}`;
  }
}

interface Line {
  readonly direction: string;
  readonly message: string;
  readonly bytes: Buffer;
}

/**
 * Makes the fake answer as the recording has it: a request gets what followed the same request there, each time the next
 * such answer, the last one for ever. A request that was not recorded is answered as without a recording. Throws when the
 * recording has a message of another shape than the schema.
 */
export function replay(fake: FakeVpp, recording: string): void {
  const lines = recording.split("\n").flatMap((text) => parseLine(fake.codecs, text) ?? []);
  const answers = new Map<string, Line[][]>();
  const byContext = new Map<number, Line[]>();
  let latest: Line[] = [];
  for (const line of lines) {
    const context = contextOf(fake.codecs, line);
    if (line.direction === ">") {
      // A dump and the ping that ends it have one context; its elements are answers to the dump.
      if (line.message === "control_ping") continue;
      latest = [];
      byContext.set(context, latest);
      const key = keyOf(fake.codecs, line);
      answers.set(key, [...(answers.get(key) ?? []), latest]);
    } else if (line.message !== "control_ping_reply") {
      (context < 0 ? latest : byContext.get(context))?.push(line);
    }
  }
  const next = new Map<string, number>();
  for (const request of new Set(lines.filter((l) => l.direction === ">").map((l) => l.message))) {
    if (request === "control_ping") continue;
    fake.handleRaw(request, (bytes, client) => {
      const key = keyOf(fake.codecs, { direction: ">", message: request, bytes });
      const known = answers.get(key);
      if (!known) return false;
      const turn = Math.min(next.get(key) ?? 0, known.length - 1);
      next.set(key, turn + 1);
      for (const line of known[turn] ?? []) client.raw(frameFor(fake, line));
      return true;
    });
  }
}

function parseLine(codecs: Codecs, text: string): Line | undefined {
  if (text === "" || text.startsWith("#")) return undefined;
  const [, direction = "", message = "", crc = "", hex = ""] =
    /^([<>]) (\w+)_([0-9a-f]{8}) ([0-9a-f]+)$/.exec(text) ?? [];
  const known = codecs.schema.messages.get(message)?.crc;
  if (direction === "") throw new Error(`no line of a recording: ${text.slice(0, 60)}`);
  if (known !== crc) throw new Error(`the recording has ${message} with CRC ${crc}, the API files with ${known}`);
  return { direction, message, bytes: Buffer.from(hex, "hex") };
}

function contextOf(codecs: Codecs, line: Line): number {
  const { contextAt } = codecs.get(line.message).header;
  return contextAt < 0 ? -1 : cursorOf(line.bytes).w.getUint32(contextAt);
}

/** The request without what differs from connection to connection. */
const keyOf = (codecs: Codecs, line: Line): string =>
  `${line.message} ${line.bytes.toString("hex", codecs.get(line.message).header.size)}`;

/** The recorded message under this connection's number and context. */
function frameFor(fake: FakeVpp, line: Line): Buffer {
  const { message, header } = fake.codecs.get(line.message);
  const frame = Buffer.concat([Buffer.alloc(FRAME_HEADER), line.bytes]);
  frame.writeUInt32BE(line.bytes.length, 8);
  frame.writeUInt16BE(fake.ids.get(`${message.name}_${message.crc}`) ?? 0, FRAME_HEADER);
  if (header.contextAt >= 0) frame.writeUInt32BE(fake.context, FRAME_HEADER + header.contextAt);
  return frame;
}
