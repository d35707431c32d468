/** Whether a failed attempt is repeated, and when. */
import type * as KagziError from "../../KagziError.ts"
import { tagMark } from "../../marks.ts"
import type * as RetryPolicy from "../../RetryPolicy.ts"
import { longestWaitMillis } from "../../Run.ts"

/** A delay differs from the policy's by at most this part of it, so that what failed together does not retry together. */
const jitter = 0.2

/**
 * The delay in whole milliseconds before the attempt that follows `attempt` (from 1). `random` is in [0, 1). The
 * error's own `retryAfterMillis` counts more than the policy.
 */
export const delayMillis = (
  policy: RetryPolicy.Resolved,
  attempt: number,
  error: KagziError.Detail,
  random: number
): number => {
  if (error.retryAfterMillis !== undefined) {
    return Math.min(Math.max(0, Math.ceil(error.retryAfterMillis)), longestWaitMillis)
  }
  if (policy.initialIntervalMillis === 0) return 0
  const longest = Math.min(policy.maximumIntervalMillis, longestWaitMillis)
  const planned = Math.min(longest, policy.initialIntervalMillis * policy.backoffCoefficient ** (attempt - 1))
  return Math.floor(Math.min(longest, planned * (1 + jitter * (2 * random - 1))))
}

/** Codes are compared without regard to how they are spelled: `InvalidArgument`, `ERROR_CODE_INVALID_ARGUMENT`. */
const plainCode = (code: string) =>
  code
    .replace(/^ERROR_CODE_/i, "")
    .replaceAll(/[^a-z]/gi, "")
    .toLowerCase()

/** Whether a policy's list of errors that are not retried names this one: by code, by tag, or by its message's start. */
export const isListed = (nonRetryableErrors: ReadonlyArray<string>, error: KagziError.Detail): boolean =>
  nonRetryableErrors.some(
    (entry) =>
      entry !== "" &&
      (plainCode(entry) === plainCode(error.code) ||
        entry === error.metadata[tagMark] ||
        error.message.startsWith(entry))
  )

/** When the next attempt may begin, or undefined when there is none. Times are milliseconds since the epoch. */
export const nextAttemptAt = (
  policy: RetryPolicy.Resolved,
  attempt: number,
  error: KagziError.Detail,
  now: number,
  random: number
): number | undefined => {
  const attemptsLeft = policy.maximumAttempts === 0 || attempt < policy.maximumAttempts
  if (!attemptsLeft || error.nonRetryable || isListed(policy.nonRetryableErrors, error)) return undefined
  return now + delayMillis(policy, attempt, error, random)
}
