/** Text and attributes of XML. Characters that XML does not allow at all are replaced. */
export function escapeXml(text: string): string {
  return text
    .replaceAll(/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, "\ufffd")
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}

/** At most `max` characters: the middle goes. */
export function cut(text: string, max: number): string {
  if (text.length <= max) return text;
  const kept = max - 1;
  return `${text.slice(0, Math.ceil(kept / 2))}…${text.slice(text.length - Math.floor(kept / 2))}`;
}

/** Pixels of a text in a monospaced font: 0.602 em a character in DejaVu Sans Mono, Menlo and Liberation Mono. */
export function textWidth(text: string, fontSize: number): number {
  return Math.ceil(text.length * fontSize * 0.605);
}
