/**
 * How failed attempts are repeated: of a step, of all steps of a worker, or of a whole run.
 *
 * The policy that counts for a step is, field by field, the step's own, else the worker's default, else the run's,
 * else 5 attempts, 1 second at first, doubled each time, at most 60 seconds.
 */
import { Duration, Effect } from "effect"
import { InvalidArgument } from "./KagziError.ts"

/** A policy as plain data. A field that is absent is inherited. Intervals are in milliseconds. */
export interface RetryPolicy {
  /** Executions in all, the first included; 0 is unlimited. */
  readonly maximumAttempts?: number
  /** Delay before the second attempt. */
  readonly initialIntervalMillis?: number
  /** What each further delay is multiplied by; at least 1. */
  readonly backoffCoefficient?: number
  /** The longest delay. */
  readonly maximumIntervalMillis?: number
  /** Codes, tags, or beginnings of messages of errors that are not retried. Empty is inherited. */
  readonly nonRetryableErrors: ReadonlyArray<string>
}

/** What `make` takes. A number for an interval is milliseconds. */
export interface Options {
  /** Executions in all, the first included; 0 is unlimited. */
  readonly maximumAttempts?: number
  /** Delay before the second attempt. */
  readonly initialInterval?: Duration.Input
  /** What each further delay is multiplied by; at least 1. */
  readonly backoffCoefficient?: number
  /** The longest delay. */
  readonly maximumInterval?: Duration.Input
  /** Codes, tags, or beginnings of messages of errors that are not retried. */
  readonly nonRetryableErrors?: ReadonlyArray<string>
}

const millis = (input: Duration.Input) => (typeof input === "number" ? input : Duration.toMillis(input))

/**
 * Makes a policy.
 *
 * **Gotchas**
 *
 * Values that make no sense are refused where the policy is used, with an `InvalidArgument` that names the field.
 */
export const make = (options: Options): RetryPolicy => ({
  ...(options.maximumAttempts === undefined ? {} : { maximumAttempts: options.maximumAttempts }),
  ...(options.initialInterval === undefined ? {} : { initialIntervalMillis: millis(options.initialInterval) }),
  ...(options.backoffCoefficient === undefined ? {} : { backoffCoefficient: options.backoffCoefficient }),
  ...(options.maximumInterval === undefined ? {} : { maximumIntervalMillis: millis(options.maximumInterval) }),
  nonRetryableErrors: options.nonRetryableErrors ?? []
})

/** Delays that grow by the coefficient, 2 when not given. */
export const exponential = (options: Options): RetryPolicy => make({ backoffCoefficient: 2, ...options })

/** The same delay before each attempt. */
export const fixed = (
  interval: Duration.Input,
  options: Pick<Options, "maximumAttempts" | "nonRetryableErrors"> = {}
): RetryPolicy => make({ ...options, initialInterval: interval, backoffCoefficient: 1, maximumInterval: interval })

/** One attempt, no retry. */
export const none: RetryPolicy = make({ maximumAttempts: 1 })

/** Attempts without limit, with the inherited delays. */
export const forever: RetryPolicy = make({ maximumAttempts: 0 })

/** What counts where nothing else is given: 5 attempts, 1 s, coefficient 2, 60 s. */
export const standard = {
  maximumAttempts: 5,
  initialIntervalMillis: 1_000,
  backoffCoefficient: 2,
  maximumIntervalMillis: 60_000,
  nonRetryableErrors: []
} as const satisfies RetryPolicy

/** A policy with every field decided. */
export interface Resolved extends Required<RetryPolicy> {}

/** Merges policies field by field; earlier ones count more, and `standard` fills what is left. */
export const resolve = (...policies: ReadonlyArray<RetryPolicy | undefined>): Resolved => {
  const first = <K extends keyof RetryPolicy>(key: K): Resolved[K] | undefined =>
    policies.find((policy) => policy?.[key] !== undefined)?.[key] as Resolved[K] | undefined
  return {
    maximumAttempts: first("maximumAttempts") ?? standard.maximumAttempts,
    initialIntervalMillis: first("initialIntervalMillis") ?? standard.initialIntervalMillis,
    backoffCoefficient: first("backoffCoefficient") ?? standard.backoffCoefficient,
    maximumIntervalMillis: first("maximumIntervalMillis") ?? standard.maximumIntervalMillis,
    nonRetryableErrors:
      policies.find((policy) => policy !== undefined && policy.nonRetryableErrors.length > 0)?.nonRetryableErrors ?? []
  }
}

/** A policy whose absent fields are taken from another. */
export const inherit = (policy: RetryPolicy | undefined, from: RetryPolicy | undefined): RetryPolicy | undefined =>
  policy === undefined || from === undefined
    ? (policy ?? from)
    : {
        ...from,
        ...policy,
        nonRetryableErrors: policy.nonRetryableErrors.length > 0 ? policy.nonRetryableErrors : from.nonRetryableErrors
      }

/** The first thing wrong with a policy, as `field: reason`, or undefined. */
export const problem = (policy: RetryPolicy): string | undefined => {
  const { backoffCoefficient, initialIntervalMillis, maximumAttempts, maximumIntervalMillis } = policy
  if (maximumAttempts !== undefined && (!Number.isInteger(maximumAttempts) || maximumAttempts < 0)) {
    return "maximumAttempts: must be a whole number, 0 (unlimited) or more"
  }
  if (initialIntervalMillis !== undefined && !(initialIntervalMillis >= 0 && Number.isFinite(initialIntervalMillis))) {
    return "initialInterval: must be 0 or more and finite"
  }
  if (backoffCoefficient !== undefined && !(backoffCoefficient >= 1 && Number.isFinite(backoffCoefficient))) {
    return "backoffCoefficient: must be 1 or more and finite"
  }
  if (maximumIntervalMillis !== undefined && !(maximumIntervalMillis >= 0 && Number.isFinite(maximumIntervalMillis))) {
    return "maximumInterval: must be 0 or more and finite"
  }
  if (
    initialIntervalMillis !== undefined &&
    maximumIntervalMillis !== undefined &&
    initialIntervalMillis > maximumIntervalMillis
  ) {
    return "initialInterval: must not be above maximumInterval"
  }
  return undefined
}

/** The policy itself, or an `InvalidArgument` that names the field that is wrong. */
export const validate = (policy: RetryPolicy): Effect.Effect<RetryPolicy, InvalidArgument> => {
  const reason = problem(policy)
  return reason === undefined
    ? Effect.succeed(policy)
    : Effect.fail(new InvalidArgument({ message: `Invalid retry policy: ${reason}` }))
}
