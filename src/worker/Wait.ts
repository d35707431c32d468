/** Times and durations that a workflow is given, checked. */
import { DateTime, Duration, Option, Result } from "effect"
import { InvalidArgument } from "../KagziError.ts"
import { longestWaitMillis } from "../Run.ts"

/** A point in time; a number is milliseconds since the epoch. */
export type Instant = Date | DateTime.DateTime | number

/** A duration of 0 or more that a server can wait for, or what is wrong with it. */
export const duration = (input: Duration.Input, what: string): Result.Result<Duration.Duration, InvalidArgument> => {
  const parsed = Duration.fromInput(input)
  const refuse = (reason: string) => Result.fail(new InvalidArgument({ message: `${what}: ${reason}` }))
  if (Option.isNone(parsed) || (typeof input === "number" && Number.isNaN(input))) {
    return refuse(`${JSON.stringify(input)} is not a duration`)
  }
  const value = parsed.value
  if (Duration.isNegative(value)) return refuse(`a duration must be 0 or more, and this is ${Duration.format(value)}`)
  if (Duration.toMillis(value) > longestWaitMillis) return refuse("a duration must be at most 10 years")
  return Result.succeed(value)
}

/** Milliseconds since the epoch, or what is wrong with it. */
export const instant = (input: Instant, what: string): Result.Result<number, InvalidArgument> => {
  const millis = toMillis(input)
  return Number.isFinite(millis)
    ? Result.succeed(millis)
    : Result.fail(new InvalidArgument({ message: `${what}: this is not a point in time` }))
}

/** Milliseconds since the epoch. */
export const toMillis = (input: Instant): number =>
  typeof input === "number" ? input : input instanceof Date ? input.getTime() : DateTime.toEpochMillis(input)
