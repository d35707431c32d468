/**
 * The time of the database, which servers that share it have in common: asked for now and then, and carried on by the
 * monotonic clock in between, so that a clock of this machine that is wrong, or is set, makes no difference.
 */
import { Clock, Effect, Latch, type Scope } from "effect"
import type { Read } from "./queries/reads.ts"

const question: Read<number> = {
  sql: "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8",
  params: [],
  decode: (rows) => rows[0]?.[0] as number
}

/** How long one answer is good for. Quartz drifts by less than a tenth of a millisecond in that time. */
const refreshMillis = 5_000

/** Questions for one answer: the one that was answered fastest is the most exact. */
const samples = 3

/** Clocks that differ by more were set; below, time waits rather than going back. */
const setMillis = 1_000

/** The wall clock has moved by more against the monotonic one when it was set or the machine was suspended. */
const movedMillis = 100

/** How long what needs the time waits for the database to tell it then, and for the next attempt. Milliseconds. */
const patienceMillis = 5_000
const retryMillis = 100

const nanosPerMilli = 1_000_000

/** `read` asks the database. Fails when it can't be asked at first; later failures leave the time as it was. */
export const make = Effect.fnUntraced(function* <E>(
  read: (question: Read<number>) => Effect.Effect<number, E>
): Effect.fn.Return<Effect.Effect<number>, E, Scope.Scope> {
  const clock = yield* Clock.Clock
  const monotonic = () => Number(clock.monotonicTimeNanosUnsafe()) / nanosPerMilli
  /** Changes when the wall clock is set, and when the machine is suspended: then the monotonic clock stands still. */
  const difference = () => clock.currentTimeMillisUnsafe() - monotonic()
  let offset = 0
  let latest = 0
  let known = difference()

  const sample = Effect.gen(function* () {
    const asked = monotonic()
    const answer = yield* read(question)
    const answered = monotonic()
    // the database answered at some time in between
    return { least: answer - answered, most: answer - asked }
  })
  const best = Effect.gen(function* () {
    let best = yield* sample
    for (let n = 1; n < samples; n++) {
      const next = yield* sample
      if (next.most - next.least < best.most - best.least) best = next
    }
    return best
  })
  // What agrees with an answer stays as it is: one that was slow to come, of a busy server, says little.
  const refresh = Effect.suspend(() => {
    const before = difference()
    return Effect.map(best, ({ least, most }) => {
      offset = Math.min(Math.max(offset, least), most)
      known = before
    })
  })

  const { least, most } = yield* best
  offset = (least + most) / 2
  const wanted = Latch.makeUnsafe()
  const asked = Latch.makeUnsafe()
  const refreshing = Effect.gen(function* () {
    yield* Effect.raceFirst(wanted.await, Effect.sleep(refreshMillis))
    wanted.closeUnsafe()
    yield* Effect.catch(refresh, () => Effect.sleep(retryMillis))
    asked.openUnsafe()
  })
  yield* Effect.forkScoped(Effect.forever(refreshing))

  const now = Effect.sync(() => {
    const now = Math.floor(monotonic() + offset)
    if (now > latest || latest - now > setMillis) latest = now
    return latest
  })
  const hasMoved = () => Math.abs(difference() - known) > movedMillis
  const settled: Effect.Effect<void> = Effect.suspend(() => {
    if (!hasMoved()) return Effect.void
    asked.closeUnsafe()
    wanted.openUnsafe()
    return Effect.andThen(asked.await, settled)
  })
  return Effect.suspend(() => (hasMoved() ? Effect.andThen(Effect.timeoutOption(settled, patienceMillis), now) : now))
})
