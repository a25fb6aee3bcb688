import type { Key } from "../../kvscheduler/api/descriptor.ts";
import { checkInteger } from "./checks.ts";
import { checkInterfaceName } from "./interface.ts";

/** How and by whom a receive queue of an interface is read. */
export interface RxQueueValue {
  readonly interface: string;
  /** From 0. */
  readonly queue: number;
  /** `adaptive`: by interrupt, by polling under load. */
  readonly mode: "adaptive" | "interrupt" | "polling";
  /** 0: VPP's main thread; from 1: its workers. */
  readonly thread: number;
}

export const RX_QUEUE_PREFIX = "vpp/rx-queue/";
export const rxQueueKey = (v: Pick<RxQueueValue, "interface" | "queue">): Key =>
  `${RX_QUEUE_PREFIX}${v.interface}/${v.queue}`;

/** Throws `InvalidValueError`. */
export function validateRxQueue(value: RxQueueValue): void {
  checkInterfaceName(value.interface);
  checkInteger(value.queue, "queue", 0, 0xffff);
  checkInteger(value.thread, "thread", 0, 255);
}
