/** Structural equality of plain data: primitives, arrays, plain objects, typed arrays, Map, Set, Date. */
export function plainEqual(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Array.isArray(a)) {
    if (!Array.isArray(b) || a.length !== b.length) return false;
    for (let i = 0; i < a.length; i++) if (!plainEqual(a[i], b[i])) return false;
    return true;
  }
  if (Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return false;
  if (ArrayBuffer.isView(a)) return bytesEqual(a, b as ArrayBufferView);
  if (a instanceof Date) return a.getTime() === (b as Date).getTime();
  if (a instanceof Map) return mapEqual(a, b as Map<unknown, unknown>);
  if (a instanceof Set) return a.size === (b as Set<unknown>).size && [...a].every((x) => (b as Set<unknown>).has(x));
  return fieldsEqual(a as Record<string, unknown>, b as Record<string, unknown>);
}

/** A field that is undefined is the same as one that is absent: that is how optional fields are written. */
function fieldsEqual(a: Record<string, unknown>, b: Record<string, unknown>): boolean {
  let inA = 0;
  for (const k in a) {
    const value = a[k];
    if (value === undefined) continue;
    inA++;
    if (!plainEqual(value, b[k])) return false;
  }
  for (const k in b) if (b[k] !== undefined) inA--;
  return inA === 0;
}

function bytesEqual(a: ArrayBufferView, b: ArrayBufferView): boolean {
  if (a.byteLength !== b.byteLength) return false;
  const x = new Uint8Array(a.buffer, a.byteOffset, a.byteLength);
  const y = new Uint8Array(b.buffer, b.byteOffset, b.byteLength);
  return x.every((byte, i) => byte === y[i]);
}

function mapEqual(a: Map<unknown, unknown>, b: Map<unknown, unknown>): boolean {
  if (a.size !== b.size) return false;
  for (const [k, v] of a) if (!b.has(k) || !plainEqual(v, b.get(k))) return false;
  return true;
}
