/**
 * Time as a workflow body sees it: what was recorded. It stands still while the body computes and moves on when a step
 * or sleep of the branch ends, to the server's time of that end, so it reads the same on every replay.
 */
import { type Clock, type Duration, Effect, Fiber, type Random } from "effect"
import { CurrentBranch } from "./Branch.ts"

/** `start` is read outside any branch, in milliseconds since the epoch; `sleep` is the durable one. */
export const make = (start: number, sleep: (duration: Duration.Duration) => Effect.Effect<void>): Clock.Clock => {
  const millis = () => Fiber.getCurrent()?.getRef(CurrentBranch)?.time ?? start
  const nanos = () => BigInt(millis()) * 1_000_000n
  return {
    currentTimeMillisUnsafe: millis,
    currentTimeNanosUnsafe: nanos,
    monotonicTimeNanosUnsafe: nanos,
    currentTimeMillis: Effect.sync(millis),
    currentTimeNanos: Effect.sync(nanos),
    monotonicTimeNanos: Effect.sync(nanos),
    sleep
  }
}

/** Random numbers as a body sees them: each branch has its own generator, seeded by the run. */
export const random = (fallback: Random.Random): Random.Random => {
  const current = () => Fiber.getCurrent()?.getRef(CurrentBranch)?.random ?? fallback
  return {
    nextIntUnsafe: () => current().nextIntUnsafe(),
    nextDoubleUnsafe: () => current().nextDoubleUnsafe()
  }
}
