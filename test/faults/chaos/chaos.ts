/**
 * Trials on real processes: servers, workers and a database that are killed, stopped and cut off from each other while
 * runs are executed, and what comes of it held against what is promised.
 */
import { Context, Effect, Fiber, Layer, Option, References, Stream } from "effect"
import * as KagziClient from "../../../src/KagziClient.ts"
import type { KagziError } from "../../../src/KagziError.ts"
import type { Shape as Protocol } from "../../../src/protocol/Protocol.ts"
import * as Schedules from "../../../src/Schedules.ts"
import { Store } from "../../../src/store/Store.ts"
import { Chance } from "../../../src/testing/simulator/Chance.ts"
import { findViolations } from "../../../src/testing/simulator/checks.ts"
import { readFinal } from "../../../src/testing/simulator/final.ts"
import type { Violation } from "../../../src/testing/simulator/promises.ts"
import { Witness } from "../../../src/testing/simulator/Witness.ts"
import { Line, oneRun, patiently } from "../../../src/testing/simulator/workload.ts"
import * as Databases from "./databases.ts"
import * as Ledger from "./ledger.ts"
import * as Limits from "./limited.ts"
import { Limited } from "./limited.ts"
import * as Plan from "./plan.ts"
import { real, silent } from "./post.ts"
import { Removals } from "./removals.ts"
import * as Recovery from "./recovery.ts"
import * as Site from "./site.ts"
import { temporaryFolder } from "../temporaryFolder.ts"

export interface Options {
  readonly seed: string
  readonly store: Plan.StoreKind
  /** For how long things go wrong. */
  readonly seconds: number
  /** How many milliseconds there are between two faults in the mean; 1500 unless given. */
  readonly every?: number
  /** What goes wrong; drawn from the seed unless given. */
  readonly faults?: ReadonlyArray<Plan.Fault>
  /** The most seconds that it may take, once nothing goes wrong any more, until all is done; 90 unless given. */
  readonly patience?: number
  /** What is wrong with the servers on purpose, by its name. */
  readonly sabotage?: string
}

export interface Outcome {
  readonly seed: string
  readonly store: Plan.StoreKind
  readonly incidents: ReadonlyArray<Site.Incident>
  readonly violations: ReadonlyArray<Violation>
  /** What witnesses noted of some runs that violations are of, by their ids. */
  readonly noted: ReadonlyMap<string, ReadonlyArray<string>>
  /** What went wrong beside the promises. */
  readonly complaints: ReadonlyArray<string>
  readonly runs: number
  /** Runs that retention removed meanwhile. */
  readonly removed: number
  readonly steps: number
  readonly executions: number
  readonly recoveries: Recovery.Recoveries
  /** The most runs of a queue with a limit that were held at a time for sure. */
  readonly mostLimited: number
  /** Seconds that all of it took. */
  readonly took: number
}

const numbered = (name: string, count: number) => Array.from({ length: count }, (_, index) => `${name}-${index + 1}`)

/** As many as PostgreSQL is to bear; a file has one server. */
export const machinesOf = (store: Plan.StoreKind): Plan.Machines => ({
  servers: numbered("server", store === "postgres" ? 3 : 1),
  workers: numbered("worker", 4)
})

const uuid = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g

/** Of how many runs it is told what was noted. */
const mostNoted = 3

/** How many times faster runs are than those that are simulated. */
const pace = 10

/** Runs of all sorts that are started in a second, and runs that are busy all the time. */
const startsPerSecond = 3
const busyClients = 12
const busyRun = { steps: Array.from({ length: 30 }, () => ({ takes: 60, failures: 0 })), sleeps: [] }

/** Servers learn the time of a database by asking for it, and answers may be slow where the machine is busy. */
const clockError = 25

/** So many that a limit keeps some of them back. */
const limitedClients = 8

/** A machine on which all of it runs is not idle. */
const lateness = 2_000

/** What a start and a result may fail with here. */
const expected = new Set(["Unavailable", "Timeout", "Conflict", "PreconditionFailed"])

const complaining = (protocol: Protocol, complain: (what: string) => void): Protocol => {
  const watched = <A>(what: string, effect: Effect.Effect<A, KagziError>) =>
    Effect.tapError(effect, (error) =>
      Effect.sync(() => {
        if (!expected.has(error._tag)) complain(`${what} failed with ${error._tag}: ${error.message}`)
      })
    )
  return {
    ...protocol,
    start: (request) => watched("a start", protocol.start(request)),
    awaitRun: (...args) => watched("a wait for a result", protocol.awaitRun(...args))
  }
}

/** Waits until it is so, looking now and then. */
const untilSo = <E, R>(look: Effect.Effect<boolean, E, R>): Effect.Effect<void, E, R> =>
  Effect.repeat(Effect.andThen(Effect.sleep("100 millis"), look), { until: (isSo) => isSo }).pipe(Effect.asVoid)

/** Runs that are always in the middle of something, one after the other. */
const keepBusy = Effect.fnUntraced(function* (client: number, goesOn: () => boolean) {
  for (let number = 1; goesOn(); number++) {
    const start = patiently(Line.start(busyRun, { id: `busy ${client} ${number}` }))
    const handle = yield* start
    // some are started again while they are busy
    const { result } = number % 2 === 1 ? yield* start : handle
    yield* Effect.result(result)
  }
})

/** Runs of a queue with a limit, one after the other. */
const pressOn = Effect.fnUntraced(function* (client: number, goesOn: () => boolean) {
  for (let number = 1; goesOn(); number++) {
    const { result } = yield* patiently(Limited.start(undefined, { id: `limited ${client} ${number}` }))
    yield* Effect.result(result)
  }
})

/** Whether no run is left to do. */
const isDone = Effect.gen(function* () {
  const { workflows } = yield* KagziClient.KagziClient
  for (const status of ["PENDING", "RUNNING", "SLEEPING"] as const) {
    if (Option.isSome(yield* Stream.runHead(workflows.list({ status })))) return false
  }
  return true
})

/** Looks again and again, also when the database was away for a while. */
const watchRemovals = (removals: Removals, { store }: Databases.Database) =>
  Effect.gen(function* () {
    const look = Effect.andThen(removals.look(yield* Store), Effect.sleep("10 seconds"))
    yield* Effect.forever(Effect.catch(look, () => Effect.sleep("500 millis")))
  }).pipe(Effect.provide(store))

/** Pauses a schedule that has fired for everything until then. */
const pauseAfter = Effect.fnUntraced(function* (scheduleId: string, until: number) {
  yield* untilSo(
    Effect.map(
      patiently(Schedules.get(scheduleId)),
      (found) => Option.isSome(found) && Number(found.value.nextFireAt ?? 0) > until
    )
  )
  yield* patiently(Schedules.pause(scheduleId))
})

/** Carries out one trial. */
export const run = (options: Options): Effect.Effect<Outcome> =>
  trial(options).pipe(Effect.scoped, Effect.orDie, Effect.provideService(References.MinimumLogLevel, "Error"))

const trial = Effect.fnUntraced(
  function* (options: Options) {
    const { every = 1_500, patience = 90, seconds, seed, store } = options
    const begun = performance.now()
    const chance = new Chance(`chaos ${seed}`)
    const machines = machinesOf(store)
    const millis = seconds * 1_000
    const faults = options.faults ?? Plan.draw(chance.fork("faults"), machines, { store, millis, every })
    const folder = yield* temporaryFolder
    const database = yield* Databases.make(store, folder, chance.fork("database"))
    const site = yield* Site.make({
      folder,
      database,
      ...machines,
      chance: chance.fork("ways"),
      ...(options.sabotage === undefined ? {} : { sabotage: options.sabotage })
    })
    const complaints: Array<string> = []
    const context = yield* Layer.build(KagziClient.KagziClient.layer({ address: site.address }))
    const { protocol } = Context.get(context, KagziClient.KagziClient)
    const witness = new Witness(Ledger.notes(folder), real("a client"), silent)
    const watched = complaining(protocol, (what) => complaints.push(what))
    const client = KagziClient.make(witness.protocol(watched))

    const removals = new Removals()
    const course = Effect.gen(function* () {
      if (database.isShared) yield* Effect.forkChild(watchRemovals(removals, database))
      const unfinished = new Set<string>()
      const going = <A, E, R>(name: string, effect: Effect.Effect<A, E, R>) => {
        unfinished.add(name)
        return Effect.forkChild(
          Effect.ensuring(
            Effect.asVoid(Effect.exit(effect)),
            Effect.sync(() => unfinished.delete(name))
          )
        )
      }
      let isHealed = false
      const schedules = yield* Effect.forEach(["*/2 * * * * *", "*/5 * * * * *"], (cron) =>
        patiently(
          Line.schedule({ cron, input: { steps: [{ takes: 5, failures: 0 }], sleeps: [] }, maxCatchup: "unlimited" })
        )
      )
      const clients = [
        ...(yield* Effect.forEach(Array.from({ length: busyClients }).keys(), (index) =>
          going(
            `busy client ${index}`,
            keepBusy(index, () => !isHealed)
          )
        )),
        ...(yield* Effect.forEach(Array.from({ length: limitedClients }).keys(), (index) =>
          going(
            `client ${index} of what is limited`,
            pressOn(index, () => !isHealed)
          )
        )),
        ...(yield* Effect.forEach(Array.from({ length: startsPerSecond * seconds }).keys(), (index) =>
          going(`client ${index}`, oneRun({ chance: chance.fork(`run ${index}`), index, pace, period: millis }, 0))
        ))
      ]
      const strikes = yield* Effect.forEach(faults, (fault) =>
        Effect.forkChild(Effect.andThen(Effect.sleep(fault.at), site.suffer(fault)))
      )
      yield* Effect.sleep(millis)
      yield* Fiber.joinAll(strikes)
      isHealed = true
      const healedAt = Date.now()
      const calm = Effect.gen(function* () {
        yield* Effect.forEach(schedules, ({ scheduleId }) => pauseAfter(scheduleId, healedAt), {
          concurrency: "unbounded"
        })
        for (const fiber of clients) yield* Fiber.await(fiber)
        yield* untilSo(patiently(isDone))
        const calmAt = Date.now()
        const nap = { steps: [1, 2, 3].map(() => ({ takes: 0, failures: 0 })), sleeps: [300, 1_200] }
        const { result } = yield* patiently(Line.start(nap, { id: "nap" }))
        yield* result
        return calmAt
      })
      const reached = yield* Effect.timeoutOption(calm, patience * 1_000)
      yield* Effect.forEach(clients, Fiber.interrupt, { concurrency: "unbounded", discard: true })
      return {
        healedAt,
        calmAt: Option.getOrElse(reached, () => Number.POSITIVE_INFINITY),
        unfinished: [...unfinished]
      }
    })
    const { calmAt, healedAt, unfinished } = yield* Effect.provideService(course, KagziClient.KagziClient, client)
    const endedAt = Date.now()
    yield* site.end
    const left = yield* Effect.flatMap(Store, readFinal).pipe(Effect.provide(database.store))
    const final = database.isShared ? removals.restore(left, endedAt) : left
    const ledger = Ledger.read(folder)
    const busy = new Set(
      ledger.starts.filter(({ externalId }) => externalId.startsWith("busy ")).map(({ runId }) => runId)
    )
    const recoveries = Recovery.measure(ledger, final, site.incidents, busy)
    const limited = Limits.check(ledger, final)
    const stuck = recoveries.stuck.map(
      ({ kind, runId }): Violation => ({
        promise: 1,
        kind: "liveness",
        message: `${runId} never got on after "${kind}"`
      })
    )
    const violations = [
      ...limited.violations,
      ...findViolations({
        ledger,
        final,
        databaseSkew: 0,
        clockError,
        calmAt,
        scheduledUntil: healedAt,
        unfinished,
        lateness
      }),
      ...stuck
    ]
    const broken = violations.flatMap(({ message }) => message.match(uuid) ?? []).slice(0, mostNoted)
    return {
      seed,
      store,
      incidents: site.incidents,
      complaints: [...site.complaints, ...new Set(complaints), ...removals.complaints],
      violations,
      noted: Ledger.notesOf(folder, new Set(broken)),
      runs: final.runs.size,
      removed: removals.count,
      steps: final.steps.length,
      executions: ledger.executions.length,
      recoveries,
      mostLimited: limited.most,
      took: (performance.now() - begun) / 1_000
    } satisfies Outcome
  },
  Effect.provideService(References.MinimumLogLevel, "Error")
)
