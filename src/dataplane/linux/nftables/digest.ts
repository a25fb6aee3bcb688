import { createHash } from "node:crypto";

/** nft prints rules otherwise than they were written, so each carries the digest of its text, as its comment, to be known by. */
export const ruleDigest = (rule: string): string =>
  `hd:${createHash("sha256").update(rule).digest("base64url").slice(0, 12)}`;
