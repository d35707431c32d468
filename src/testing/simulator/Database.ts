/**
 * One database for all servers. It takes its time, fails before a commit or loses the answer to it, is not there for a
 * while, and tells servers late, twice or not at all what others have changed.
 */
import { Clock, Effect, Queue, Stream } from "effect"
import { isTerminal } from "../../Run.ts"
import { type Changes, type Hint, type Rows, type Shape, StoreError } from "../../store/Store.ts"
import type { Chance } from "./Chance.ts"
import type { Machine } from "./Machine.ts"
import type { Tally } from "./Tally.ts"
import type { Trace } from "./Trace.ts"

/** What goes wrong with one transaction of a server. */
export type Mishap =
  /** It fails and nothing is written. */
  | "abort"
  /** It is written and fails. */
  | "lose the answer"
  /** The server crashes before it, or after it and before anyone hears of it. */
  | "crash before"
  | "crash after"

/** How hints travel. */
export interface HintWeather {
  /** At most, in milliseconds. */
  delay: number
  loss: number
  repetition: number
}

export const fairDelay = 2

export const fairHints: HintWeather = { delay: 5, loss: 0, repetition: 0 }

/** What there is to know of a transaction before it is decided whether to keep it. */
export interface Written {
  readonly server: string
  readonly changes: Changes
}

const happenings = {
  abort: "aborted transaction",
  "lose the answer": "unanswered commit",
  "crash before": "crash before a commit",
  "crash after": "crash after a commit"
} as const

const unavailable = (message: string) => new StoreError({ message, transient: true })

const isEmpty = (changes: Changes): boolean => Object.values(changes).every((list) => list.length === 0)

/** What others are told of a transaction. */
const hintsOf = (changes: Changes, before: Rows): ReadonlyArray<Hint> => {
  const hints = new Map<string, Hint>()
  for (const runs of [changes.insertRuns, changes.updateRuns]) {
    for (const { dueAt, namespace, runId, status, taskQueue, workflowType } of runs) {
      const place = { namespace, taskQueue, workflowType }
      const key = JSON.stringify(place)
      if (isTerminal(status)) hints.set(`end ${runId}`, { _tag: "RunEnded", runId })
      if (runs === changes.updateRuns && status !== "RUNNING") hints.set(`slot ${key}`, { _tag: "SlotFreed", ...place })
      const known = hints.get(`due ${key}`)
      if (dueAt !== undefined && (known?._tag !== "RunsDue" || dueAt < known.dueAt)) {
        hints.set(`due ${key}`, { _tag: "RunsDue", ...place, dueAt })
      }
    }
  }
  for (const { namespace, status, taskQueue, workerId } of changes.updateWorkers) {
    const known = before.workers.find((worker) => worker.workerId === workerId)
    if (known?.status === status) continue
    hints.set(`worker ${workerId}`, { _tag: "WorkerChanged", workerId, namespace, taskQueue })
  }
  if (changes.insertSchedules.length + changes.updateSchedules.length > 0) {
    hints.set("schedules", { _tag: "SchedulesChanged" })
  }
  return [...hints.values()]
}

interface Listener {
  readonly machine: Machine
  readonly hear: (hint: Hint) => void
}

export class Database {
  readonly #store: Shape
  readonly #clock: Clock.Clock
  readonly #chance: Chance
  readonly #trace: Trace
  readonly #tally: Tally
  readonly #listeners = new Set<Listener>()
  /** How many transactions that write each server has begun, over all its lives. */
  readonly #begun = new Map<string, number>()
  readonly #mishaps = new Map<string, Mishap>()
  readonly #awayUntil = new Map<string, number>()
  readonly hints = new Map<string, HintWeather>()
  /** How long the way to the database and the way back take at most, in milliseconds each. */
  delay = fairDelay
  /** Crashes a server. */
  onCrash: (machine: Machine) => void = (machine) => machine.crash()
  /** Told of every transaction when it is committed. */
  onCommit: (written: Written) => void = () => undefined

  constructor(options: {
    readonly store: Shape
    readonly clock: Clock.Clock
    readonly chance: Chance
    readonly trace: Trace
    readonly tally: Tally
  }) {
    this.#store = options.store
    this.#clock = options.clock
    this.#chance = options.chance
    this.#trace = options.trace
    this.#tally = options.tally
  }

  /** What goes wrong with a transaction, by the place among those of its server. */
  plan(server: string, place: number, mishap: Mishap): void {
    this.#mishaps.set(`${server} ${place}`, mishap)
  }

  /** No mishap that has not come about yet will. */
  heal(): void {
    this.#mishaps.clear()
    this.#awayUntil.clear()
    this.delay = fairDelay
    this.hints.clear()
    for (const listener of this.#listeners) this.#tell(listener, { _tag: "Missed" })
  }

  /** The server does not reach the database for so many milliseconds. */
  away(server: string, millis: number): void {
    const until = this.#clock.currentTimeMillisUnsafe() + millis
    this.#awayUntil.set(server, Math.max(until, this.#awayUntil.get(server) ?? 0))
  }

  /** The database as one server has it, for as long as that lives. */
  of(machine: Machine): Shape {
    const store = this.#store
    const wait = Effect.suspend(() => Effect.sleep(this.#chance.between(0, this.delay)))
    const reachable = Effect.suspend(() => {
      if ((this.#awayUntil.get(machine.name) ?? 0) <= this.#clock.currentTimeMillisUnsafe()) return Effect.void
      this.#tally.add("database out of reach")
      return Effect.fail(unavailable("The database can't be reached"))
    })
    const read = <A>(effect: Effect.Effect<A, StoreError>): Effect.Effect<A, StoreError> =>
      Effect.andThen(wait, reachable).pipe(
        Effect.andThen(Effect.provideService(effect, Clock.Clock, this.#clock)),
        Effect.tap(wait)
      )
    const questions = Object.fromEntries(
      Object.entries(store).map(([name, member]) => [
        name,
        typeof member === "function"
          ? (...args: ReadonlyArray<never>) => read((member as (...args: ReadonlyArray<never>) => never)(...args))
          : read(member as Effect.Effect<unknown, StoreError>)
      ])
      // each member is wrapped as what it is, which a list of entries can't express
    ) as unknown as Shape
    return {
      ...questions,
      now: Effect.sync(() => this.#clock.currentTimeMillisUnsafe()),
      hints: this.#hintsFor(machine),
      tell: (hint) => {
        for (const listener of this.#listeners) if (listener.machine !== machine) this.#tell(listener, hint)
      },
      transact: (wants, decide) =>
        Effect.gen({ self: this }, function* () {
          yield* wait
          yield* reachable
          const { place, mishap } = this.#begin(machine.name)
          if (mishap === "abort" || mishap === "crash before") this.#tally.add(happenings[mishap])
          if (mishap === "abort") return yield* unavailable("The transaction was rolled back")
          if (mishap === "crash before") return yield* this.#crash(machine)
          let hints: ReadonlyArray<Hint> = []
          let changes: Changes | undefined
          const value = yield* Effect.provideService(
            store.transact(wants, (rows) => {
              const decided = decide(rows)
              changes = decided.changes
              hints = hintsOf(changes, rows)
              return decided
            }),
            Clock.Clock,
            this.#clock
          )
          if (changes === undefined || isEmpty(changes)) {
            yield* wait
            return value
          }
          this.#trace.add(machine.name, `commits ${place}`)
          this.onCommit({ server: machine.name, changes })
          if (mishap !== undefined) this.#tally.add(happenings[mishap])
          // nobody tells the others what was committed by one that died right after it
          if (mishap === "crash after") return yield* this.#crash(machine)
          for (const listener of this.#listeners) {
            if (mishap === "lose the answer") this.#tell(listener, { _tag: "Missed" })
            else if (listener.machine !== machine) for (const hint of hints) this.#tell(listener, hint)
          }
          yield* wait
          if (mishap === "lose the answer") return yield* unavailable("The connection was lost during the commit")
          return value
        })
    }
  }

  #begin(server: string): { readonly place: number; readonly mishap: Mishap | undefined } {
    const place = (this.#begun.get(server) ?? 0) + 1
    this.#begun.set(server, place)
    const mishap = this.#mishaps.get(`${server} ${place}`)
    if (mishap !== undefined) this.#trace.add(server, `${mishap} (${place})`)
    return { place, mishap }
  }

  #crash(machine: Machine): Effect.Effect<never> {
    return Effect.suspend(() => {
      this.onCrash(machine)
      return Effect.never
    })
  }

  #tell(listener: Listener, hint: Hint): void {
    const { delay, loss, repetition } = this.hints.get(listener.machine.name) ?? fairHints
    if (this.#chance.happens(loss)) {
      this.#tally.add("lost hint")
      // what carries them broke, and whoever listens anew is told so
      listener.machine.after(this.#chance.between(50, 2_000), () => listener.hear({ _tag: "Missed" }))
      return
    }
    const times = this.#chance.happens(repetition) ? 2 : 1
    if (times > 1) this.#tally.add("repeated hint")
    for (let time = 0; time < times; time++) {
      listener.machine.after(this.#chance.between(0, delay), () => listener.hear(hint))
    }
  }

  #hintsFor(machine: Machine): Stream.Stream<Hint> {
    return Stream.callback((queue) =>
      Effect.gen({ self: this }, function* () {
        const listener: Listener = { machine, hear: (hint) => Queue.offerUnsafe(queue, hint) }
        this.#listeners.add(listener)
        yield* Effect.addFinalizer(() => Effect.sync(() => this.#listeners.delete(listener)))
        this.#tell(listener, { _tag: "Missed" })
        yield* Effect.never
      })
    )
  }

  /** The server is gone. */
  forget(machine: Machine): void {
    for (const listener of [...this.#listeners]) if (listener.machine === machine) this.#listeners.delete(listener)
  }
}
