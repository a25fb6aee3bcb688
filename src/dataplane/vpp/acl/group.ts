import { toError } from "../../../base/errors/errors.ts";
import type { CommitGroup, GroupOp, GroupOpResult, OpContext } from "../../../kvscheduler/api/descriptor.ts";
import type { AclInterfaceValue, AclRule, AclValue } from "../../../models/vpp/acl.ts";
import { TAG_PREFIX } from "../../../models/vpp/checks.ts";
import { ifThere, indexOf, NO_INDEX, type VppTarget } from "../target.ts";
import { encodeRule } from "./codec.ts";
import type { Numbers } from "./numbers.ts";
import { Tendency, tendency } from "./tendency.ts";

/**
 * The plugin forgets all of an interface's sessions when the interface gets other lists (acl_interface_set_inout_acl_list),
 * unless it is to judge them again one by one, when a packet comes. Which it then is not: it would forget those of packets
 * that are denied by now, and take the next one from the other side for the first of a connection.
 */
const KEEP_SESSIONS = "set acl-plugin reclassify-sessions 1";
const LET_SESSIONS_BE = "set acl-plugin reclassify-sessions 0";

export const LISTS = "vpp-acl";

/** An operation that waits for its turn; `rank` says when among those of its stage. */
interface Step {
  readonly op: GroupOp;
  readonly rank: Tendency;
  readonly run: () => Promise<number | undefined>;
}

/**
 * Lists, and which interfaces have them, as one event changes them. VPP replaces each list as a whole, but one after the other:
 * those that let through less than before come first, and those that let through more last, so that nothing passes on the
 * way that neither the old state of the node nor the new one allows. They are sent in a row, without waiting for answers.
 */
export class AclGroup implements CommitGroup {
  readonly name = "vpp-acl";
  readonly #vpp: VppTarget;
  readonly #numbers: Numbers;
  /** Of each list that VPP has. */
  readonly #rules = new Map<string, readonly AclRule[]>();

  constructor(vpp: VppTarget, numbers: Numbers) {
    this.#vpp = vpp;
    this.#numbers = numbers;
  }

  /** What VPP has, as it was read. */
  found(lists: Iterable<AclValue>): void {
    this.#rules.clear();
    for (const { name, rules } of lists) this.#rules.set(name, rules);
  }

  async commit(ops: readonly GroupOp[], { signal }: OpContext): Promise<readonly GroupOpResult[]> {
    const results = new Map<GroupOp, GroupOpResult>();
    const run = async (steps: readonly Step[]): Promise<void> => {
      await Promise.all(steps.map(async ({ op, run: send }) => results.set(op, await resultOf(send))));
    };
    const of = (kind: GroupOp["kind"], isList: boolean) =>
      ops.filter((op) => op.kind === kind && (op.descriptor === LISTS) === isList);
    await run(of("delete", false).map((op) => step(op, () => this.#unbind(op.value as AclInterfaceValue, signal))));
    await run(of("create", true).map((op) => step(op, () => this.#set(op, NO_INDEX, signal))));
    const changes = [
      ...of("update", true).map((op) => step(op, () => this.#set(op, op.metadata as number, signal), this.#ofList(op))),
      ...of("create", false).map((op) => step(op, () => this.#bind(op, signal), this.#ofBinding(op))),
      ...of("update", false).map((op) => step(op, () => this.#bind(op, signal), this.#ofBinding(op))),
    ];
    await this.#keepingSessions(of("update", false).length > 0, signal, () =>
      run(changes.toSorted((a, b) => a.rank - b.rank)),
    );
    await run(of("delete", true).map((op) => step(op, () => this.#delete(op, signal))));
    return ops.map((op) => results.get(op) ?? { ok: false, error: new Error(`${op.kind} of ${op.key} is not known`) });
  }

  /** Sent in a row, so that nothing else comes between. */
  async #keepingSessions(isNeeded: boolean, signal: AbortSignal, change: () => Promise<void>): Promise<void> {
    if (!isNeeded) return change();
    const { api } = this.#vpp;
    await Promise.all([api.cli(KEEP_SESSIONS, { signal }), change(), api.cli(LET_SESSIONS_BE, { signal })]);
  }

  async #set({ value }: GroupOp, acl_index: number, signal: AbortSignal): Promise<number> {
    const { name, rules } = value as AclValue;
    const input = { acl_index, tag: `${TAG_PREFIX}${name}`, r: rules.map(encodeRule) };
    const reply = await this.#vpp.api.request("acl_add_replace", input, { signal });
    this.#numbers.set(name, reply.acl_index);
    this.#rules.set(name, rules);
    return reply.acl_index;
  }

  async #delete({ value, metadata }: GroupOp, signal: AbortSignal): Promise<undefined> {
    const { name } = value as AclValue;
    await ifThere(() => this.#vpp.api.request("acl_del", { acl_index: metadata as number }, { signal }));
    this.#numbers.delete(name);
    this.#rules.delete(name);
  }

  async #bind({ value }: GroupOp, signal: AbortSignal): Promise<undefined> {
    const { interface: name, input, output } = value as AclInterfaceValue;
    await this.#setLists(indexOf(this.#vpp, name), input, output, signal);
  }

  async #unbind({ interface: name }: AclInterfaceValue, signal: AbortSignal): Promise<undefined> {
    const index = this.#vpp.indexOf(name);
    if (index !== undefined) await ifThere(() => this.#setLists(index, [], [], signal));
  }

  async #setLists(sw_if_index: number, input: readonly string[], output: readonly string[], signal: AbortSignal) {
    const acls = [...input, ...output].map((name) => this.#numbers.of(name));
    await this.#vpp.api.request("acl_interface_set_acl_list", { sw_if_index, n_input: input.length, acls }, { signal });
  }

  #ofList({ value, oldValue }: GroupOp): Tendency {
    return tendency([(oldValue as AclValue).rules, (value as AclValue).rules]);
  }

  /** An interface without lists lets everything through. */
  #ofBinding({ value, oldValue }: GroupOp): Tendency {
    if (oldValue === undefined) return Tendency.TIGHTER;
    const [old, now] = [oldValue as AclInterfaceValue, value as AclInterfaceValue];
    const rules = (names: readonly string[]) => names.flatMap((name) => this.#rules.get(name) ?? []);
    return tendency([rules(old.input), rules(now.input)], [rules(old.output), rules(now.output)]);
  }
}

const step = (op: GroupOp, run: Step["run"], rank: Tendency = Tendency.TIGHTER): Step => ({ op, rank, run });

async function resultOf(run: Step["run"]): Promise<GroupOpResult> {
  try {
    return { ok: true, metadata: await run() };
  } catch (e) {
    return { ok: false, error: toError(e) };
  }
}
