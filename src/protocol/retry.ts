/** How calls are repeated when the server does not answer. */
import { Duration, Effect, Schedule } from "effect"
import { Unavailable, type KagziError } from "../KagziError.ts"

/** Whether a call failed without an answer, so that the same call may do better. */
export const isLost = (error: KagziError): boolean => error._tag === "Unavailable" || error._tag === "Timeout"

const backoff = Schedule.jittered(Schedule.min([Schedule.exponential("50 millis"), Schedule.spaced("1 second")]))

/** Repeats a call for as long as the server does not answer. */
export const patiently: <A, R>(call: Effect.Effect<A, KagziError, R>) => Effect.Effect<A, KagziError, R> = Effect.retry(
  { while: isLost, schedule: backoff }
)

/** Repeats a call until the server answers or that many milliseconds have passed; then it fails with `Unavailable`. */
export const persistently = (limitMillis: number) => {
  const schedule = Schedule.upTo(backoff, { duration: Duration.millis(limitMillis) })
  return <A, R>(call: Effect.Effect<A, KagziError, R>): Effect.Effect<A, KagziError, R> =>
    Effect.retry(call, { while: isLost, schedule }).pipe(
      Effect.mapError((error) => (error._tag === "Timeout" ? new Unavailable({ message: error.message }) : error))
    )
}
