/**
 * Tells other servers of the same database what was changed, by NOTIFY, and hears what they tell.
 *
 * It is told after the commit and on a connection of its own: in the transaction itself, NOTIFY would have all servers
 * commit one after the other. What is lost with a server that dies in between costs time and no work.
 *
 * A server that hears of no other tells nothing but that it is there. When it hears of the first one it tells that
 * something was missed, and so does whoever hears of it for the first time tell that to itself.
 */
import type * as PgConnection from "@effect/sql-pg/PgConnection"
import { randomUUID } from "node:crypto"
import { Clock, Effect, Latch, PubSub, Queue, type Scope, Stream } from "effect"
import { isTerminal } from "../../Run.ts"
import { declaresTheSame } from "../rows/limits.ts"
import type { Changes, Hint, WorkerRecord } from "../Store.ts"
import { connect } from "./connect.ts"
import { decode, encode } from "./hintText.ts"
import type { Read } from "./queries/reads.ts"
import { text } from "./values.ts"

/** How long to wait before listening again, in milliseconds. */
const retryMillis = 250

/**
 * From one round of notifications to the next at least, in milliseconds: each costs the database a commit, and all
 * servers a message. The first after a pause goes at once.
 */
const apartMillis = 10

/** How long the end of a lease may wait to be told, in milliseconds. Leases last for seconds. */
const leasesMillis = 1_000

/** Who executes runs tells of something more often than that, since their leases are renewed. Milliseconds. */
const busyMillis = 3_000

/** How long what was committed last may take to be told before the server stops, in milliseconds. */
const farewellMillis = 1_000

// A notification is a commit like any other, but need not survive anything: nobody waits for a disk or a standby.
const notify = "SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, $2)"

/** How often to tell the others that one is there, in milliseconds. */
const presenceMillis = 5_000

/** Who was not heard of for so many milliseconds is gone. */
const absentMillis = 3 * presenceMillis

/** Hints not told yet. Above, the others are only told that they missed some. */
const maximumWaiting = 20_000

const placeOf = (hint: { readonly namespace: string; readonly taskQueue: string; readonly workflowType: string }) =>
  `${hint.namespace}\u0000${hint.taskQueue}\u0000${hint.workflowType}`

type RunsDue = Hint & { readonly _tag: "RunsDue" }

const addDue = (known: Map<string, RunsDue>, due: RunsDue): void => {
  const key = placeOf(due)
  const earliest = known.get(key)
  if (earliest === undefined || due.dueAt < earliest.dueAt) known.set(key, due)
}

/** Hints that wait to be told, those of one queue and type as one. */
class Waiting {
  readonly #due = new Map<string, RunsDue>()
  /** When runs are due that are executed now, unless their leases are renewed. */
  readonly #leases = new Map<string, RunsDue>()
  readonly #freed = new Map<string, Hint>()
  readonly #others = new Map<string, Hint>()

  add(changes: Changes, before: ReadonlyMap<string, WorkerRecord>): void {
    for (const runs of [changes.insertRuns, changes.updateRuns]) {
      for (const { dueAt, namespace, runId, status, taskQueue, workflowType } of runs) {
        const place = { namespace, taskQueue, workflowType }
        if (isTerminal(status)) this.#note(`end ${runId}`, { _tag: "RunEnded", runId })
        if (runs === changes.updateRuns && status !== "RUNNING") {
          this.#freed.set(placeOf(place), { _tag: "SlotFreed", ...place })
        }
        if (dueAt === undefined) continue
        addDue(status === "RUNNING" ? this.#leases : this.#due, { _tag: "RunsDue", ...place, dueAt })
      }
    }
    for (const worker of changes.updateWorkers) {
      const { namespace, status, taskQueue, workerId } = worker
      const known = before.get(workerId)
      if (known !== undefined && known.status === status && declaresTheSame(worker, known)) continue
      this.#note(`worker ${workerId}`, { _tag: "WorkerChanged", workerId, namespace, taskQueue })
    }
    if (changes.insertSchedules.length + changes.updateSchedules.length > 0) {
      this.#note("schedules", { _tag: "SchedulesChanged" })
    }
  }

  tell(hint: Hint & { readonly _tag: "WorkerServed" }): void {
    this.#note(`served ${hint.workerId}`, hint)
  }

  /** Has the ends of leases told with the rest. */
  addLeases(): void {
    for (const due of this.#leases.values()) addDue(this.#due, due)
    this.#leases.clear()
  }

  missed(): void {
    this.#clear()
    this.#leases.clear()
    this.#note("missed", { _tag: "Missed" })
  }

  get isEmpty(): boolean {
    return this.#due.size + this.#freed.size + this.#others.size === 0
  }

  take(): ReadonlyArray<Hint> {
    const taken = [...this.#due.values(), ...this.#freed.values(), ...this.#others.values()]
    this.#clear()
    return taken
  }

  #clear(): void {
    this.#due.clear()
    this.#freed.clear()
    this.#others.clear()
  }

  #note(key: string, hint: Hint): void {
    if (this.#others.size < maximumWaiting) this.#others.set(key, hint)
    else this.missed()
  }
}

export interface Hints {
  /** What others tell, from when it is run. */
  readonly hints: Stream.Stream<Hint>
  /** Tells the others what was committed. `before` are the workers as they were. */
  readonly committed: (changes: Changes, before: ReadonlyMap<string, WorkerRecord>) => void
  /** Whether others have changed something a moment ago, as far as is heard of. */
  readonly areOthersBusy: () => boolean
  /** Tells the others where a worker is served. */
  readonly tell: (hint: Hint & { readonly _tag: "WorkerServed" }) => void
  /** Tells the others, and those who hear hints here, that something may have been committed. */
  readonly unknown: () => void
}

/**
 * `read` runs a statement somewhere; `schema` keeps servers of other schemas apart. While `moved` is open, the address
 * may lead to another database than before, where those who change something tell it.
 */
export const make = Effect.fnUntraced(function* (
  connection: PgConnection.Config,
  schema: string,
  read: (question: Read<void>) => Effect.Effect<void, unknown>,
  moved: Latch.Latch
): Effect.fn.Return<Hints, never, Scope.Scope> {
  const sender = randomUUID()
  const channel = `kagzi ${schema}`
  const heard = yield* PubSub.unbounded<Hint>()
  const waiting = new Waiting()
  const bell = Latch.makeUnsafe()
  const clock = yield* Clock.Clock
  const millis = () => Number(clock.monotonicTimeNanosUnsafe()) / 1_000_000
  /** When each of the others was last heard of, by the monotonic clock. */
  const others = new Map<string, number>()
  /** When one of them last told of something, by the monotonic clock. */
  let changedAt = Number.NEGATIVE_INFINITY
  let isListening = false

  const tellAll = Effect.suspend(() =>
    Effect.forEach(
      encode(sender, waiting.take()),
      (payload) =>
        Effect.ignore(read({ sql: notify, params: [text(channel), text(payload)], decode: () => undefined })),
      { discard: true }
    ).pipe(Effect.onInterrupt(() => Effect.sync(() => waiting.missed())))
  )
  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => {
      waiting.addLeases()
      return waiting.isEmpty ? Effect.void : Effect.timeoutOption(tellAll, farewellMillis)
    })
  )

  const tell = Effect.gen(function* () {
    yield* bell.await
    // not before it is waited for: what came between two rounds would wait for the next commit
    bell.closeUnsafe()
    // meanwhile the next come together
    yield* tellAll
    yield* Effect.sleep(apartMillis)
  })
  yield* Effect.forkScoped(Effect.forever(tell))

  const tellLeases = Effect.sync(() => {
    waiting.addLeases()
    if (!waiting.isEmpty) bell.openUnsafe()
  })
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(leasesMillis), tellLeases)))

  const told = Effect.fnUntraced(function* (payload: string) {
    if (payload.startsWith(sender)) return
    const { hints, sender: from } = decode(payload)
    if (!others.has(from)) {
      yield* PubSub.publish(heard, { _tag: "Missed" })
      if (others.size === 0) waiting.missed()
      bell.openUnsafe()
    }
    others.set(from, millis())
    if (hints.some(({ _tag }) => _tag !== "Missed")) changedAt = millis()
    yield* PubSub.publishAll(heard, hints)
  })

  const listen = Effect.scoped(
    Effect.gen(function* () {
      const session = yield* connect(connection)
      // whatever it was opened for: this one was just checked
      moved.closeUnsafe()
      const notifications = yield* session.listen(channel)
      // whatever was told before nobody has heard
      yield* PubSub.publish(heard, { _tag: "Missed" })
      bell.openUnsafe()
      isListening = true
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          isListening = false
        })
      )
      const hear = Effect.flatMap(Queue.takeAll(notifications), (arrived) =>
        Effect.forEach(arrived, ({ payload }) => told(payload), { discard: true })
      )
      yield* Effect.raceFirst(Effect.forever(hear), moved.await)
    })
  )
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.ignore(listen), Effect.sleep(retryMillis))))

  const appear = Effect.sync(() => {
    const now = millis()
    // who does not listen hears nobody, and may still be heard
    if (isListening) for (const [other, at] of others) if (now - at > absentMillis) others.delete(other)
    bell.openUnsafe()
  })
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(presenceMillis), appear)))

  return {
    hints: Stream.fromPubSub(heard),
    areOthersBusy: () => millis() - changedAt < busyMillis,
    committed: (changes, before) => {
      if (others.size === 0) return
      waiting.add(changes, before)
      if (!waiting.isEmpty) bell.openUnsafe()
    },
    tell: (hint) => {
      if (others.size === 0) return
      waiting.tell(hint)
      bell.openUnsafe()
    },
    unknown: () => {
      if (others.size > 0) {
        waiting.missed()
        bell.openUnsafe()
      }
      PubSub.publishUnsafe(heard, { _tag: "Missed" })
    }
  }
})
