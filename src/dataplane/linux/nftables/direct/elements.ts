import type { NftElementValue, NftSetValue } from "../../../../models/nft.ts";
import { type AttrWriter, NLA_F_NESTED } from "../../netlink/attr.ts";
import { type NftBatch, NftMessage } from "./batch.ts";
import { verdict } from "./expressions.ts";
import { concatenation } from "./fields.ts";

const ElementsAttr = { SET: 2, ELEMENTS: 3 } as const;
const LIST_ELEMENT = 1;
const ElementAttr = { KEY: 1, DATA: 2 } as const;
const VALUE = 1;
/** An attribute has 64 KiB at most; an element of ours less than 128 bytes. */
const MOST_IN_MESSAGE = 500;

/** One operation on an element of a set. */
export interface ElementChange {
  readonly kind: "add" | "remove";
  readonly set: NftSetValue;
  readonly element: NftElementValue;
}

/** Adds messages for the changes, in order. False if one cannot be written: of a set of intervals, of another type. */
export function addElements(batch: NftBatch, changes: readonly ElementChange[]): boolean {
  for (const run of runs(changes)) {
    const [{ kind, set, element }] = run;
    const encoded = run.map((change) => encode(change));
    if (encoded.includes(undefined)) return false;
    const isNew = kind === "add";
    const others = run.length === 1 ? "" : ` and ${run.length - 1} more`;
    batch.add(
      isNew ? NftMessage.NEW_ELEMENTS : NftMessage.DELETE_ELEMENTS,
      `element ${set.name} { ${element.key} }${others}`,
      (attrs) =>
        attrs.string(ElementsAttr.SET, set.name).nest(ElementsAttr.ELEMENTS | NLA_F_NESTED, (list) => {
          for (const write of encoded) list.nest(LIST_ELEMENT | NLA_F_NESTED, (item) => write?.(item));
        }),
    );
  }
  return true;
}

/** Changes of one kind and set that follow each other. */
function* runs(changes: readonly ElementChange[]): Iterable<readonly [ElementChange, ...ElementChange[]]> {
  let run: [ElementChange, ...ElementChange[]] | undefined;
  for (const change of changes) {
    const [first] = run ?? [];
    if (run && first?.kind === change.kind && first.set === change.set && run.length < MOST_IN_MESSAGE) {
      run.push(change);
      continue;
    }
    if (run) yield run;
    run = [change];
  }
  if (run) yield run;
}

function encode({ kind, set, element }: ElementChange): ((attrs: AttrWriter) => void) | undefined {
  if (set.flags?.length) return undefined;
  const key = concatenation(element.key, set.type);
  if (key === undefined) return undefined;
  const writeKey = (attrs: AttrWriter) => writeValue(attrs, ElementAttr.KEY, key);
  if (kind === "remove" || element.data === undefined) return set.data && kind === "add" ? undefined : writeKey;
  const { data } = element;
  if (set.data === "verdict") {
    const writeVerdict = verdict(data);
    if (writeVerdict === undefined) return undefined;
    return (attrs) => {
      writeKey(attrs);
      attrs.nest(ElementAttr.DATA | NLA_F_NESTED, writeVerdict);
    };
  }
  const value = set.data === undefined ? undefined : concatenation(data, set.data);
  if (value === undefined) return undefined;
  return (attrs) => {
    writeKey(attrs);
    writeValue(attrs, ElementAttr.DATA, value);
  };
}

function writeValue(attrs: AttrWriter, type: number, value: Uint8Array): void {
  attrs.nest(type | NLA_F_NESTED, (nested) => nested.bytes(VALUE, value));
}
