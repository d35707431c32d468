/**
 * Between the domain's data and the messages of the contract.
 *
 * Writing is total: numbers are brought into the range of their field first, because the serialiser throws on others.
 * Reading answers a `Result` whose failure says which field is wrong; `requested` and `answered` turn it into the error
 * that fits the side that reads.
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf"
import type { Duration, Timestamp } from "@bufbuild/protobuf/wkt"
import { DurationSchema, TimestampSchema } from "@bufbuild/protobuf/wkt"
import { Effect, Result } from "effect"
import {
  ErrorDetailSchema,
  PayloadSchema,
  RetryPolicySchema,
  type ErrorDetail as ProtoErrorDetail,
  type Payload as ProtoPayload,
  type RetryPolicy as ProtoRetryPolicy
} from "../../gen/kagzi/v1/common_pb.ts"
import type { HeldRun, HeldRunSchema } from "../../gen/kagzi/v1/worker_pb.ts"
import * as KagziError from "../KagziError.ts"
import * as RetryPolicy from "../RetryPolicy.ts"
import { nothing, type Payload } from "../Run.ts"
import * as enums from "./enums.ts"
import type { Held } from "./Protocol.ts"

/** What was read, or a text that says which field is wrong and why. */
export type Read<A> = Result.Result<A, string>

/** What a client asked, as a server reads it: `InvalidArgument` where it can't be understood. */
export const requested = <A>(read: Read<A>): Effect.Effect<A, KagziError.InvalidArgument> =>
  Result.isSuccess(read)
    ? Effect.succeed(read.success)
    : Effect.fail(new KagziError.InvalidArgument({ message: read.failure }))

/** What a server answered, as a client reads it: `Internal` where it can't be understood. */
export const answered = <A>(read: Read<A>): Effect.Effect<A, KagziError.Internal> =>
  Result.isSuccess(read)
    ? Effect.succeed(read.success)
    : Effect.fail(
        new KagziError.Internal({ message: `The server's answer can't be read: ${read.failure}`, nonRetryable: true })
      )

const int32Max = 2_147_483_647

const clamp = (value: number, min: number, max: number) =>
  Number.isNaN(value) ? Math.max(min, 0) : Math.min(Math.max(value, min), max)

/** A whole number as an int64 field. */
export const int64 = (value: number): bigint =>
  BigInt(Math.round(clamp(value, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER)))

/** A whole number as an int32 field. */
export const int32 = (value: number): number => Math.round(clamp(value, -int32Max - 1, int32Max))

/** An int64 field as a number. */
export const safeNumber = (value: bigint, field: string): Read<number> => {
  const number = Number(value)
  return Number.isSafeInteger(number) ? Result.succeed(number) : Result.fail(`${field} is out of range: ${value}`)
}

// A zero on the wire is an absent field, so the least that can be said is one.
const atLeastOne = (millis: number) => int64(Math.max(1, Math.ceil(millis)))

const minSeconds = -62_135_596_800
const maxSeconds = 253_402_300_799

/** A time in milliseconds since the epoch as a message. */
export const timestamp = (millis: number): Timestamp => {
  const whole = Math.round(clamp(millis, minSeconds * 1000, maxSeconds * 1000))
  const seconds = Math.floor(whole / 1000)
  return create(TimestampSchema, { seconds: BigInt(seconds), nanos: (whole - seconds * 1000) * 1_000_000 })
}

const readTime = (message: Timestamp, field: string, round: (millis: number) => number): Read<number> => {
  const seconds = Number(message.seconds)
  return seconds >= minSeconds && seconds <= maxSeconds && message.nanos >= 0 && message.nanos <= 999_999_999
    ? Result.succeed(seconds * 1000 + round(message.nanos / 1_000_000))
    : Result.fail(`${field} is not a valid time`)
}

/** A time as milliseconds since the epoch, rounded down. */
export const readTimestamp = (message: Timestamp, field: string): Read<number> => readTime(message, field, Math.floor)

/** The time at which something is due, as milliseconds since the epoch, rounded up so that it is never early. */
export const readDue = (message: Timestamp, field: string): Read<number> => readTime(message, field, Math.ceil)

const maxDurationSeconds = 315_576_000_000

/** Milliseconds as a duration. */
export const duration = (millis: number): Duration => {
  const whole = Math.ceil(clamp(millis, -maxDurationSeconds * 1000, maxDurationSeconds * 1000))
  const seconds = Math.trunc(whole / 1000)
  return create(DurationSchema, { seconds: BigInt(seconds), nanos: (whole - seconds * 1000) * 1_000_000 })
}

/** A duration in milliseconds, rounded up so that no timer is early. It may be negative. */
export const readDuration = (message: Duration, field: string): Read<number> => {
  const seconds = Number(message.seconds)
  const { nanos } = message
  return Math.abs(seconds) <= maxDurationSeconds && Math.abs(nanos) <= 999_999_999 && seconds * nanos >= 0
    ? Result.succeed(seconds * 1000 + Math.ceil(nanos / 1_000_000))
    : Result.fail(`${field} is not a valid duration`)
}

export const payload = (value: Payload): ProtoPayload =>
  create(PayloadSchema, {
    // Peers can't tell an empty payload from none.
    data: value.data.length === 0 ? nothing.data : value.data,
    metadata: value.metadata
  })

/** An absent or empty payload reads as `null`. */
export const readPayload = (message: ProtoPayload | undefined): Payload =>
  message === undefined
    ? nothing
    : { data: message.data.length === 0 ? nothing.data : message.data, metadata: message.metadata }

/** On the wire a zero field is inherited and a negative number of attempts is unlimited. */
export const retryPolicy = (policy: RetryPolicy.RetryPolicy): ProtoRetryPolicy =>
  create(RetryPolicySchema, {
    ...(policy.maximumAttempts === undefined
      ? {}
      : { maximumAttempts: policy.maximumAttempts === 0 ? -1 : int32(policy.maximumAttempts) }),
    ...(policy.initialIntervalMillis === undefined
      ? {}
      : { initialIntervalMs: atLeastOne(policy.initialIntervalMillis) }),
    ...(policy.backoffCoefficient === undefined ? {} : { backoffCoefficient: policy.backoffCoefficient }),
    ...(policy.maximumIntervalMillis === undefined
      ? {}
      : { maximumIntervalMs: atLeastOne(policy.maximumIntervalMillis) }),
    nonRetryableErrors: [...policy.nonRetryableErrors]
  })

export const readRetryPolicy = (message: ProtoRetryPolicy): Read<RetryPolicy.RetryPolicy> => {
  const initial = Number(message.initialIntervalMs)
  const maximum = Number(message.maximumIntervalMs)
  const policy: RetryPolicy.RetryPolicy = {
    ...(message.maximumAttempts === 0 ? {} : { maximumAttempts: Math.max(0, message.maximumAttempts) }),
    ...(initial === 0 ? {} : { initialIntervalMillis: initial }),
    ...(message.backoffCoefficient === 0 ? {} : { backoffCoefficient: message.backoffCoefficient }),
    ...(maximum === 0 ? {} : { maximumIntervalMillis: maximum }),
    nonRetryableErrors: message.nonRetryableErrors
  }
  const problem = RetryPolicy.problem(policy)
  return problem === undefined ? Result.succeed(policy) : Result.fail(`Invalid retry policy: ${problem}`)
}

export const errorDetail = (detail: KagziError.Detail): ProtoErrorDetail =>
  create(ErrorDetailSchema, {
    code: enums.errorCode.toProto(detail.code),
    message: detail.message,
    nonRetryable: detail.nonRetryable,
    ...(detail.retryAfterMillis === undefined ? {} : { retryAfterMs: atLeastOne(detail.retryAfterMillis) }),
    subject: detail.subject,
    subjectId: detail.subjectId,
    metadata: detail.metadata
  })

/** Total, so that what goes wrong is never lost on the way: a code that says nothing reads as `Internal`. */
export const readErrorDetail = (message: ProtoErrorDetail): KagziError.Detail => {
  const retryAfter = Number(message.retryAfterMs)
  return {
    code: enums.errorCode.fromProto(message.code) ?? "Internal",
    message: message.message,
    nonRetryable: message.nonRetryable,
    ...(retryAfter > 0 ? { retryAfterMillis: Math.min(retryAfter, Number.MAX_SAFE_INTEGER) } : {}),
    subject: message.subject,
    subjectId: message.subjectId,
    metadata: message.metadata
  }
}

export const held = (value: Held): MessageInitShape<typeof HeldRunSchema> => ({
  runId: value.runId,
  leaseEpoch: int64(value.lease)
})

export const readHeld = (message: HeldRun): Read<Held> =>
  Result.map(safeNumber(message.leaseEpoch, "lease_epoch"), (lease) => ({ runId: message.runId, lease }))
