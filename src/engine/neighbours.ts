/**
 * The other servers of a database: hears what they change, and looks for itself now and then, since that may be lost.
 *
 * **Details**
 *
 * What is lost with a server that dies, or with the connection that hints come over, is found within these times:
 *
 * | what | at the latest |
 * | --- | --- |
 * | runs for workers that wait, room under limits | the next look |
 * | schedules | the next look |
 * | the end of an awaited run, a held run that was ended or taken away | the next look, later ones where more than 10,000 are awaited or held |
 * | a worker that is to drain | its next heartbeat |
 * | a worker that another server serves | it is handed nothing when silent for two heartbeats, and let go of when stale or longer silent than it may be |
 *
 * An end that is found so late that the run was removed meanwhile is told as what it is by then: there is no such run.
 *
 * A look comes every 4 to 6 seconds. Of each queue that workers wait on it asks once for runs, and as long as there are
 * some; of runs it asks for 1,000 at a time.
 */
import { Effect, Latch, Random, Stream } from "effect"
import type * as KagziError from "../KagziError.ts"
import { isTerminal } from "../Run.ts"
import type { Hint, Shape, StoreError, WorkerRecord } from "../store/Store.ts"
import type { Held } from "./Command.ts"
import type { Endings } from "./Endings.ts"
import type { Servings } from "./Servings.ts"
import { logStoreError } from "./storeErrors.ts"
import type { Waiters } from "./Waiters.ts"

/** From one look to the next in the mean, varied by a fifth so that servers don't look in step. Milliseconds. */
const lookMillis = 5_000

/** How many runs are asked for in one query. */
const pageRuns = 1_000

/** How many awaited runs one look is for, and how many held ones; the next one goes on with the others. */
const lookRuns = 10_000

/** After hints were missed servers look within so many milliseconds, not all at once. */
const spreadMillis = 100

/** How long to wait when the store could not be read. */
const retryMillis = 1_000

export interface Needs {
  readonly store: Pick<Shape, "now" | "endedRuns" | "missingRuns" | "lostRuns">
  readonly hints: Stream.Stream<Hint>
  readonly waiters: Waiters
  readonly endings: Endings
  readonly servings: Servings
  /** Opened to have the schedules read. */
  readonly schedulesChanged: Latch.Latch
  /** How long a worker may be silent. */
  readonly staleMillis: number
  readonly findWorker: (
    workerId: string
  ) => Effect.Effect<Pick<WorkerRecord, "status"> | undefined, KagziError.KagziError>
}

/** Hands out what there is, some at a time, and begins again when all of it was handed out. */
const rounds = <A>(all: () => Iterable<A>) => {
  let left: Array<A> = []
  return (count: number): ReadonlyArray<A> => {
    if (left.length === 0) left = Array.from(all())
    return left.splice(Math.max(0, left.length - count))
  }
}

const take = <A>(items: Set<A>, count: number): Array<A> => {
  const taken: Array<A> = []
  for (const item of items) {
    if (taken.length === count) break
    items.delete(item)
    taken.push(item)
  }
  return taken
}

/** Never ends. */
export const heed = (needs: Needs): Effect.Effect<never> => {
  const { endings, schedulesChanged, servings, store, waiters } = needs
  /** What is to be asked for, by id: once, however long the store can't be read. */
  const awaited = new Set<string>()
  /** Awaited runs whose end may have been missed for so long that they were removed since. */
  const doubtful = new Set<string>()
  const held = new Set<string>()
  const workers = new Set<string>()
  let isMissed = false
  const bell = Latch.makeUnsafe()

  const hear = (hint: Hint, now: number): void => {
    switch (hint._tag) {
      case "RunsDue":
        waiters.runsDue(hint, now)
        return
      case "SlotFreed":
        waiters.slotsFreed(hint)
        return
      case "RunEnded": {
        const { runId } = hint
        if (endings.isAwaited(runId)) awaited.add(runId)
        if (servings.heldOf(runId) !== undefined) held.add(runId)
        if (awaited.size + held.size > 0) bell.openUnsafe()
        return
      }
      case "WorkerChanged":
        waiters.limitsRelaxed(hint)
        waiters.workerLeft(hint.workerId)
        if (servings.find(hint.workerId) === undefined) return
        workers.add(hint.workerId)
        bell.openUnsafe()
        return
      case "WorkerServed":
        servings.servedElsewhere(hint.workerId, hint.at)
        return
      case "SchedulesChanged":
        schedulesChanged.openUnsafe()
        return
      case "Missed":
        isMissed = true
        bell.openUnsafe()
    }
  }

  /** Whatever is done by those that are told something, the defect of one keeps nothing from the rest. */
  const guarded = (run: () => void): Effect.Effect<void> =>
    Effect.catchDefect(Effect.sync(run), (defect) => Effect.logError("What others did could not be told", defect))

  const hearing = Stream.runForEachArray(needs.hints, (hints) =>
    Effect.flatMap(store.now, (now) =>
      Effect.forEach(hints, (hint) => guarded(() => hear(hint, now)), { discard: true })
    )
  )

  const askForEnded = Effect.gen(function* () {
    while (awaited.size > 0) {
      const page = take(awaited, pageRuns)
      const found = yield* Effect.onError(store.endedRuns(page), () =>
        Effect.sync(() => {
          for (const runId of page) awaited.add(runId)
        })
      )
      for (const { output, run } of found.runs) {
        yield* guarded(() => {
          endings.ended(run, output)
          servings.runChanged(run)
        })
      }
      const last = found.runs.at(-1)
      if (found.hasMore && last !== undefined) {
        for (const runId of page) if (runId > last.run.runId) awaited.add(runId)
      }
    }
  })

  const askForMissing = Effect.gen(function* () {
    while (doubtful.size > 0) {
      const page = take(doubtful, pageRuns).filter((runId) => endings.isAwaited(runId))
      // most were told of their end just before
      if (page.length === 0) continue
      const missing = yield* Effect.onError(store.missingRuns(page), () =>
        Effect.sync(() => {
          for (const runId of page) doubtful.add(runId)
        })
      )
      for (const runId of missing) yield* guarded(() => endings.missing(runId))
    }
  })

  const askForLost = Effect.gen(function* () {
    while (held.size > 0) {
      const page = take(held, pageRuns)
      const asked = page.flatMap((runId): ReadonlyArray<Held> => {
        const of = servings.heldOf(runId)
        return of === undefined ? [] : [of]
      })
      if (asked.length === 0) continue
      const lost = yield* Effect.onError(store.lostRuns(asked), () =>
        Effect.sync(() => {
          for (const { runId } of asked) held.add(runId)
        })
      )
      for (const run of lost) {
        yield* guarded(() => servings.runChanged(run))
        // who came for its end meanwhile did not look, because it was held here
        if (isTerminal(run.status) && endings.isAwaited(run.runId)) awaited.add(run.runId)
      }
    }
  })

  const askForWorkers = Effect.gen(function* () {
    for (const workerId of take(workers, workers.size)) {
      const worker = yield* Effect.option(needs.findWorker(workerId))
      // one that can't be read is found out by its next heartbeat
      if (worker._tag === "None") continue
      yield* guarded(() => servings.find(workerId)?.workerChanged(worker.value ?? { status: "OFFLINE" }))
    }
  })

  const answer = Effect.gen(function* () {
    yield* bell.await
    bell.closeUnsafe()
    if (isMissed) {
      yield* Effect.sleep((yield* Random.next) * spreadMillis)
      isMissed = false
      yield* guarded(() => {
        waiters.ringAll()
        schedulesChanged.openUnsafe()
        for (const runId of endings.awaited()) {
          awaited.add(runId)
          doubtful.add(runId)
        }
        for (const { runId } of servings.held()) held.add(runId)
        for (const workerId of servings.workerIds()) workers.add(workerId)
      })
    }
    yield* askForLost
    yield* askForEnded
    yield* askForMissing
    yield* askForWorkers
  }).pipe(
    Effect.catch((error: StoreError) =>
      Effect.andThen(
        logStoreError(error),
        Effect.map(Effect.sleep(retryMillis), () => bell.openUnsafe())
      )
    )
  )

  const nextAwaited = rounds(() => endings.awaited())
  const nextHeld = rounds(() => servings.held())
  const look = Effect.gen(function* () {
    yield* Effect.sleep(lookMillis * (yield* Random.nextBetween(0.8, 1.2)))
    const now = yield* store.now
    yield* guarded(() => {
      waiters.look()
      schedulesChanged.openUnsafe()
      for (const runId of nextAwaited(lookRuns)) {
        if (!endings.isAwaited(runId)) continue
        awaited.add(runId)
        doubtful.add(runId)
      }
      for (const { runId } of nextHeld(lookRuns)) held.add(runId)
      if (awaited.size + held.size > 0) bell.openUnsafe()
      servings.replaceSilent(needs.staleMillis, now)
    })
  })

  /** Whatever happens, it goes on. */
  const forever = (work: Effect.Effect<void>): Effect.Effect<never> =>
    Effect.forever(
      Effect.catchDefect(work, (defect) =>
        Effect.andThen(Effect.logError("What others did could not be heeded", defect), Effect.sleep(retryMillis))
      )
    )

  return Effect.raceFirst(Effect.raceFirst(forever(hearing), forever(answer)), forever(look))
}
