/**
 * The errors that cross a boundary of Kagzi: between client and server, and between a step and the record of it.
 *
 * `KagziError` is a union of tagged classes, one for each error code of the wire contract, so that a caller handles
 * them with `Effect.catchTag("Unavailable", …)`. Each carries what the server needs to decide on a retry.
 */
import { Duration, Effect, Predicate, Schema } from "effect"

const TypeId = "~kagzi/KagziError"

const fields = (nonRetryable: boolean) => ({
  message: Schema.String,
  /** Whether a retry can't help. The default depends on the class. */
  nonRetryable: Schema.Boolean.pipe(Schema.withConstructorDefault(Effect.succeed(nonRetryable))),
  /** How long to wait before the next attempt, instead of what the retry policy says. */
  retryAfter: Schema.optional(Schema.Duration),
  /** The kind of thing the error is about: `workflow`, `step`, `worker`, `schedule` or `namespace`. */
  subject: Schema.optional(Schema.String),
  /** The id of that thing. */
  subjectId: Schema.optional(Schema.String),
  /** Whatever else there is to say. Keys that begin with `kagzi.` are Kagzi's own. */
  metadata: Schema.Record(Schema.String, Schema.String).pipe(Schema.withConstructorDefault(Effect.succeed({})))
})

/** There is no such workflow, step, worker, schedule or namespace. */
export class NotFound extends Schema.TaggedError<NotFound>("kagzi/NotFound")("NotFound", fields(false)) {
  readonly [TypeId] = TypeId
}

/** The request itself is wrong, however often it is sent. Not retried by default. */
export class InvalidArgument extends Schema.TaggedError<InvalidArgument>("kagzi/InvalidArgument")(
  "InvalidArgument",
  fields(true)
) {
  readonly [TypeId] = TypeId
}

/** The thing asked for does not fit the present state, such as cancelling a finished run. Not retried by default. */
export class PreconditionFailed extends Schema.TaggedError<PreconditionFailed>("kagzi/PreconditionFailed")(
  "PreconditionFailed",
  fields(true)
) {
  readonly [TypeId] = TypeId
}

/** Something else already has that identity. Not retried by default. */
export class Conflict extends Schema.TaggedError<Conflict>("kagzi/Conflict")("Conflict", fields(true)) {
  readonly [TypeId] = TypeId
}

/** The caller may not do this. Not retried by default. */
export class Unauthorized extends Schema.TaggedError<Unauthorized>("kagzi/Unauthorized")("Unauthorized", fields(true)) {
  readonly [TypeId] = TypeId
}

/** The other side can't be reached or is overloaded; it may work later. */
export class Unavailable extends Schema.TaggedError<Unavailable>("kagzi/Unavailable")("Unavailable", fields(false)) {
  readonly [TypeId] = TypeId
}

/** Something failed that the caller could not foresee. */
export class Internal extends Schema.TaggedError<Internal>("kagzi/Internal")("Internal", fields(false)) {
  readonly [TypeId] = TypeId
}

/** It took longer than allowed. */
export class Timeout extends Schema.TaggedError<Timeout>("kagzi/Timeout")("Timeout", fields(false)) {
  readonly [TypeId] = TypeId
}

/** Any error of Kagzi. */
export type KagziError =
  | NotFound
  | InvalidArgument
  | PreconditionFailed
  | Conflict
  | Unauthorized
  | Unavailable
  | Internal
  | Timeout

/** The error codes; each is the tag of its class. */
export type Code = KagziError["_tag"]

const classes = {
  NotFound,
  InvalidArgument,
  PreconditionFailed,
  Conflict,
  Unauthorized,
  Unavailable,
  Internal,
  Timeout
} satisfies { readonly [C in Code]: new (props: { readonly message: string }) => Extract<KagziError, { _tag: C }> }

/** All error codes. */
export const codes = Object.keys(classes) as ReadonlyArray<Code>

/** A schema for any error of Kagzi, for use inside other schemas. */
export const schema = Schema.Union([
  NotFound,
  InvalidArgument,
  PreconditionFailed,
  Conflict,
  Unauthorized,
  Unavailable,
  Internal,
  Timeout
])

/** What an error may carry beside its code and message. A number for `retryAfter` is milliseconds. */
export interface Fields {
  readonly nonRetryable?: boolean
  readonly retryAfter?: Duration.Input
  readonly subject?: string
  readonly subjectId?: string
  readonly metadata?: Readonly<Record<string, string>>
}

/** Makes the error with that code. Fields left out take the defaults of its class. */
export const make = (code: Code, message: string, fields: Fields = {}): KagziError => {
  const { retryAfter, ...rest } = fields
  return new classes[code]({
    message,
    ...rest,
    ...(retryAfter === undefined ? {} : { retryAfter: Duration.fromInputUnsafe(retryAfter) })
  })
}

/** An `Internal` error that is not retried, whatever the policy. */
export const nonRetryable = (message: string): KagziError => make("Internal", message, { nonRetryable: true })

/** An `Unavailable` error that is retried after that time instead of the delay of the policy. */
export const retryAfter = (message: string, delay: Duration.Input): KagziError =>
  make("Unavailable", message, { retryAfter: delay })

/** Whether a value is an error of Kagzi. */
export const isKagziError = (u: unknown): u is KagziError => Predicate.hasProperty(u, TypeId)

/**
 * A failure as it is recorded and sent: plain data, the same on every replay.
 * `retryAfterMillis` is in milliseconds and absent where the policy decides; `subject` and `subjectId` may be empty.
 */
export interface Detail {
  readonly code: Code
  readonly message: string
  readonly nonRetryable: boolean
  readonly retryAfterMillis?: number
  readonly subject: string
  readonly subjectId: string
  readonly metadata: Readonly<Record<string, string>>
}

/** The plain form of an error. */
export const toDetail = (error: KagziError): Detail => ({
  code: error._tag,
  message: error.message,
  nonRetryable: error.nonRetryable,
  ...(error.retryAfter === undefined ? {} : { retryAfterMillis: Duration.toMillis(error.retryAfter) }),
  subject: error.subject ?? "",
  subjectId: error.subjectId ?? "",
  metadata: error.metadata
})

/** The error of a plain form. */
export const fromDetail = (detail: Detail): KagziError =>
  make(detail.code, detail.message, {
    nonRetryable: detail.nonRetryable,
    ...(detail.retryAfterMillis === undefined ? {} : { retryAfter: Duration.millis(detail.retryAfterMillis) }),
    ...(detail.subject === "" ? {} : { subject: detail.subject }),
    ...(detail.subjectId === "" ? {} : { subjectId: detail.subjectId }),
    metadata: detail.metadata
  })
