/** An event is one object; etcd takes 1.5 MiB of it, and in JSON it is seldom more than twice of that. */
const MAX_LINE_BYTES = 32 * 1024 * 1024;
const NEWLINE = 10;

/** Cuts a stream into lines. What is left at its end is not a line: the stream was cut off. @throws RangeError */
export async function* linesOf(stream: AsyncIterable<Buffer>): AsyncGenerator<string, void, undefined> {
  let pieces: Buffer[] = [];
  let size = 0;
  for await (const chunk of stream) {
    let from = 0;
    for (let at = chunk.indexOf(NEWLINE); at !== -1; at = chunk.indexOf(NEWLINE, from)) {
      pieces.push(chunk.subarray(from, at));
      const line = pieces.length === 1 ? chunk.toString("utf8", from, at) : Buffer.concat(pieces).toString("utf8");
      pieces = [];
      size = 0;
      from = at + 1;
      if (line.length > 0) yield line;
    }
    if (from === chunk.length) continue;
    size += chunk.length - from;
    if (size > MAX_LINE_BYTES) throw new RangeError(`a line of more than ${MAX_LINE_BYTES} bytes`);
    pieces.push(chunk.subarray(from));
  }
}
