/**
 * FD.io VPP's binary API for Node.js: see README.md. `VppClient` is the way in; everything else is for those who want to
 * look inside messages or to stand in for VPP in their tests.
 */
export { type Clock, type Duration, millis, minutes, seconds } from "../../../base/clock/clock.ts";
export { ClosedError, DeadlineError, HeddleError, OverloadedError } from "../../../base/errors/errors.ts";
export { type IpAddress, parseIp } from "../../../base/ip/address.ts";
export { type MacAddress, parseMac } from "../../../base/ip/mac.ts";
export type {
  CallOptions,
  DumpInput,
  DumpName,
  DumpOptions,
  Element,
  EventOf,
  MessageValue,
  Reply,
  RequestInput,
  RequestName,
  SubscribeOptions,
  Subscription,
  VppApi,
  VppInfo,
  VppState,
  WantName,
} from "./api.ts";
export { VppClient } from "./client/client.ts";
export type { ConnectionCounters } from "./client/connection.ts";
export type { VppClientOptions } from "./client/options.ts";
export type { ConnectionLimits } from "./client/requests.ts";
export { type Direction, formatMessage, type TraceTap } from "./client/trace.ts";
export { type CodecOptions, Codecs, cursorOf, type MessageCodec } from "./codec/codecs.ts";
export { ipFromUnion, ipToUnion } from "./codec/text.ts";
export {
  isAlreadyExists,
  isNotFound,
  isRetryable,
  isRetval,
  VppApiError,
  VppCliError,
  VppDecodeError,
  VppDisconnectedError,
  VppEncodeError,
  VppMessageUnavailableError,
  VppProtocolError,
  VppSchemaError,
} from "./errors.ts";
export { expectedApi } from "./gen/expected.gen.ts";
export * from "./gen/types.gen.ts";
export { AfXdpFlag, AfXdpMode, xdpApi } from "./gen/xdp.gen.ts";
export { type RetvalName, retvalName, retvalOf, retvalText } from "./retval.ts";
export { describeField, describeMessages, describeType, type ExpectedApi } from "./schema/describe.ts";
export { API_FILES_BELOW_PREFIX, buildSchema, loadSchema } from "./schema/load.ts";
export type { ApiSchema, Field, Message, Service, TypeDef } from "./schema/model.ts";
export { parseApiFile } from "./schema/parse.ts";
export { formatDifferences, type MessageDifference, verifyApi, verifyOptional } from "./schema/verify.ts";
