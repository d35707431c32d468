/**
 * One course of events: servers, workers and clients on machines that crash and stand still, with a network and a
 * database between them that fail, in virtual time. The same seed gives the same course.
 */
import { Cause, Context, Effect, Exit, Layer, Random, type Scope } from "effect"
import * as Engine from "../../engine/Engine.ts"
import * as KagziClient from "../../KagziClient.ts"
import * as Unary from "../../protocol/unary.ts"
import { Rpc } from "../../protocol/Rpc.ts"
import { isTerminal } from "../../Run.ts"
import { makeServer, type ServerEnd } from "../../server/wire.ts"
import * as SqliteStore from "../../store/sqlite/SqliteStore.ts"
import { type Shape as StoreShape, Store } from "../../store/Store.ts"
import * as Worker from "../../Worker.ts"
import type * as Workflow from "../../Workflow.ts"
import { Chance } from "./Chance.ts"
import { findViolations } from "./checks.ts"
import { Database } from "./Database.ts"
import { draw, type Fault } from "./Faults.ts"
import { readFinal } from "./final.ts"
import { Fleet } from "./Fleet.ts"
import { Ledger } from "./Ledger.ts"
import { Limits } from "./limits.ts"
import { Loop } from "./Loop.ts"
import { type Machine, makeClock, type Wrong } from "./Machine.ts"
import { Network } from "./Network.ts"
import type { Violation } from "./promises.ts"
import { makeStrikes } from "./strikes.ts"
import { type Counts, Tally } from "./Tally.ts"
import { Trace } from "./Trace.ts"
import { hasEnded, outcomeOf, Witness } from "./Witness.ts"

/** What a client may use. */
export interface ClientTools {
  readonly index: number
  /** Chance of its own. */
  readonly chance: Chance
  /** Milliseconds in which things go wrong. */
  readonly period: number
  /** Succeeds when nothing goes wrong any more. */
  readonly healed: Effect.Effect<void>
  /** Succeeds when all runs have ended, after that. */
  readonly calm: Effect.Effect<void>
}

/** Wrong on purpose, to see whether that is found. */
export interface Sabotage {
  readonly store?: (store: StoreShape, server: string) => StoreShape
  readonly server?: (end: ServerEnd, store: StoreShape) => ServerEnd
}

export interface Options<W extends Workflow.Implementation.Any> {
  readonly seed: number
  readonly workflows: readonly [W, ...ReadonlyArray<W>]
  /**
   * What a client does. What it asks for has to come about in time. It may fail, since calls do; a defect of it, such as an
   * assertion that does not hold, is one of `run`.
   */
  readonly client: (tools: ClientTools) => Effect.Effect<unknown, unknown, KagziClient.KagziClient>
  /** 1 to 3 unless given, by the seed. */
  readonly servers?: number
  /** 1 to 3 unless given, by the seed. */
  readonly workers?: number
  /** 3 unless given. */
  readonly clients?: number
  /** How the worker of that number is set up. Each is given the same chance. */
  readonly worker?: (index: number, chance: Chance) => Partial<Omit<Worker.Options<W>, "workflows" | "taskQueue">>
  /** What goes wrong; drawn from the seed unless given. */
  readonly faults?: ReadonlyArray<Fault>
  /** For how many milliseconds things go wrong; 30,000 unless given. */
  readonly period?: number
  /** How many milliseconds it may take after that until all is done; 300,000 unless given. */
  readonly patience?: number
  /** Whether to keep the lines of what happened; they are not kept unless asked for. */
  readonly keepTrace?: boolean
}

/** A course with servers that may be wrong on purpose. */
export interface Trial<W extends Workflow.Implementation.Any> extends Options<W> {
  readonly sabotage?: Sabotage
}

export interface Outcome {
  readonly seed: number
  readonly faults: ReadonlyArray<Fault>
  readonly violations: ReadonlyArray<Violation>
  /** The same for the same course of events. */
  readonly digest: number
  readonly trace: ReadonlyArray<string>
  /** How many clients failed. */
  readonly failedClients: number
  /** How often each fault met somebody, and what runs did in spite of them. */
  readonly counts: Counts
  /** Runs, and attempts of steps, that there were in the end. */
  readonly runs: number
  readonly steps: number
  /** Virtual milliseconds, and how much there was to do in them. */
  readonly millis: number
  readonly turns: number
}

/** Short, so that leases are lost often. */
const engineOptions: Partial<Engine.Options> = {
  heartbeatMillis: 2_000,
  staleMillis: 6_000,
  leaseMillis: 10_000,
  pollTimeoutMillis: 10_000
}

const beginning = Date.UTC(2030, 0, 1)

const numbered = (name: string, count: number) => Array.from({ length: count }, (_, index) => `${name}-${index + 1}`)

const total = (numbers: ReadonlyArray<number>) => numbers.reduce((sum, number) => sum + number, 0)

/** When clients begin: servers and workers are there by then. */
const firstCallMillis = 500

/** How late a timer may be: what is promised, and the ways of messages and questions to the database. */
const lateness = 50 + 50

/** Carries out one course of events. */
export const run = <W extends Workflow.Implementation.Any>(
  options: Trial<W>
): Effect.Effect<Outcome, never, Workflow.Implementation.Services<W>> =>
  Effect.scoped(course(options)) as Effect.Effect<Outcome, never, Workflow.Implementation.Services<W>>

const course = <W extends Workflow.Implementation.Any>(
  options: Trial<W>
): Effect.Effect<Outcome, never, Workflow.Implementation.Services<W> | Scope.Scope> =>
  Effect.gen(function* () {
    const services = (yield* Effect.context<Workflow.Implementation.Services<W>>()) as Context.Context<never>
    const { patience = 300_000, period = 30_000, seed } = options
    const chance = new Chance(`kagzi ${seed}`)
    const names = {
      servers: numbered("server", options.servers ?? chance.fork("servers").between(1, 3)),
      workers: numbered("worker", options.workers ?? chance.fork("workers").pick([1, 2, 2, 3, 3])),
      clients: numbered("client", options.clients ?? 3)
    }
    const allNames = [...names.servers, ...names.workers, ...names.clients]
    const faultChance = chance.fork("faults")
    const faults = options.faults ?? draw(faultChance, names, faultChance.between(2, 28), period)
    const wrong = (name: string): Wrong => ({
      millis: total(faults.map((fault) => (fault._tag === "Skew" && fault.machine === name ? fault.millis : 0))),
      rate: total(faults.map((fault) => (fault._tag === "Drift" && fault.machine === name ? fault.rate : 0)))
    })

    const loop = new Loop(beginning + chance.fork("beginning").between(0, 3_600_000))
    const startedAt = loop.now
    const trace = new Trace(loop, options.keepTrace ?? false)
    const ledger = new Ledger()
    const tally = new Tally()
    if (names.servers.length > 1) tally.add("several servers")
    if (names.workers.length > 1) tally.add("several workers")
    const network = new Network(loop, chance.fork("network"), trace, tally)
    const databaseSkew = chance.fork("database clock").between(-30_000, 30_000)
    const clock = makeClock(
      () => loop.now + databaseSkew,
      (millis, task) => loop.after(millis, task)
    )
    const storeChance = chance.fork("store")
    const built = yield* Layer.build(Layer.fresh(SqliteStore.layerMemory)).pipe(
      Effect.provideService(Random.Random, {
        nextDoubleUnsafe: () => storeChance.fraction(),
        nextIntUnsafe: () => storeChance.between(0, 0xffff_ffff)
      }),
      Effect.orDie
    )
    const store = Context.get(built, Store)
    const database = new Database({ store, clock, chance: chance.fork("database"), trace, tally })

    // what is on record, as it comes there
    const open = new Set<string>()
    const limits = new Limits(tally)
    database.onCommit = ({ changes, server }) => {
      limits.committed(changes, loop.now + databaseSkew)
      for (const { status } of changes.updateWorkers) if (status === "OFFLINE") tally.add("worker that was given up")
      for (const runs of [changes.insertRuns, changes.updateRuns]) {
        for (const { runId, status } of runs) {
          if (status === "SLEEPING") tally.add("run that sleeps")
          if (isTerminal(status)) open.delete(runId)
          else open.add(runId)
        }
      }
      for (const steps of [changes.insertSteps, changes.updateSteps]) {
        for (const step of steps) {
          if (!hasEnded(step)) continue
          const { name, runId } = step
          const where = `on record by ${server}`
          ledger.sightings.push({ runId, name, outcome: outcomeOf(step), order: ledger.next(), at: loop.now, where })
        }
      }
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Machines
    // ---------------------------------------------------------------------------------------------------------------

    const waitingFor = { healed: [] as Array<() => void>, calm: [] as Array<() => void> }
    let phase: "stormy" | "healed" | "calm" = "stormy"
    let clientsAtWork = names.clients.length
    const atWork = new Set(names.clients)

    const reached = (which: "healed" | "calm"): Effect.Effect<void> =>
      Effect.callback((resume) => {
        if (phase === "calm" || phase === which) resume(Effect.void)
        else waitingFor[which].push(() => resume(Effect.void))
      })

    const serve = (machine: Machine) =>
      Effect.scoped(
        Effect.gen(function* () {
          const honest = database.of(machine)
          const own = options.sabotage?.store?.(honest, machine.name) ?? honest
          const engine = yield* Layer.build(
            Layer.fresh(Engine.layer(engineOptions)).pipe(Layer.provide(Layer.succeed(Store, own)))
          )
          const end = yield* Effect.provideContext(makeServer, engine)
          network.listen({ machine, end: options.sabotage?.server?.(end, store) ?? end })
          return yield* Effect.never
        })
      )

    const client = (machine: Machine, witness: Witness, session: boolean) =>
      Effect.gen(function* () {
        tally.add(session ? "client with a session" : "client without a session")
        const protocol = yield* Effect.provideService(Unary.make({ session }), Rpc, network.rpc(machine))
        return KagziClient.make(witness.protocol(protocol))
      })

    const work = (machine: Machine, index: number) =>
      Effect.scoped(
        Effect.gen(function* () {
          const witness = new Witness(ledger, machine, trace)
          const settings = chance.fork(machine.name)
          const kagzi = yield* client(machine, witness, settings.happens(0.7))
          const [first, ...others] = options.workflows
          yield* Worker.run<W>({
            maxConcurrent: 5,
            gracePeriod: "1 second",
            hostname: machine.name,
            ...options.worker?.(index, chance.fork("settings of workers")),
            taskQueue: first.definition.taskQueue,
            workflows: [witness.workflow(first), ...others.map((workflow) => witness.workflow(workflow))]
          }).pipe(Effect.provideService(KagziClient.KagziClient, kagzi))
        })
      )

    const ask = (machine: Machine, index: number) =>
      Effect.scoped(
        Effect.gen(function* () {
          const own = chance.fork(machine.name)
          const kagzi = yield* client(machine, new Witness(ledger, machine, trace), own.happens(0.7))
          const tools = { index, chance: own, period, healed: reached("healed"), calm: reached("calm") }
          yield* Effect.provideService(options.client(tools), KagziClient.KagziClient, kagzi)
        })
      )

    let failedClients = 0
    const defects: Array<unknown> = []
    const fleet: Fleet = new Fleet({
      names,
      loop,
      trace,
      tally,
      chance,
      services,
      wrong,
      program: (role, machine, index) =>
        (role === "server"
          ? serve(machine)
          : role === "worker"
            ? work(machine, index)
            : // what services the workflows of a user need is known where the outcome is given
              ask(machine, index)) as Effect.Effect<unknown, unknown>,
      onClient: (name, exit) => {
        if (Exit.isFailure(exit)) {
          failedClients++
          if (Cause.hasDies(exit.cause)) defects.push(Cause.squash(exit.cause))
        }
        atWork.delete(name)
        clientsAtWork--
      },
      onLeave: (server) => network.leave(server),
      onGone: (machine) => {
        network.gone(machine)
        database.forget(machine)
      }
    })
    database.onCrash = (machine) => fleet.crash(machine)
    const { heal, strike } = makeStrikes({ fleet, network, database, loop, trace, tally })

    // ---------------------------------------------------------------------------------------------------------------
    // The course
    // ---------------------------------------------------------------------------------------------------------------

    for (const fault of faults) {
      if (fault._tag === "Mishap") database.plan(fault.machine, fault.transaction, fault.mishap)
      else if ("at" in fault) {
        loop.after(fault.at, () => {
          if (phase === "stormy") strike(fault)
        })
      }
    }
    for (const name of [...names.servers, ...names.workers]) fleet.start(name)
    for (const name of names.clients) loop.after(firstCallMillis, () => fleet.start(name))
    const reach = (which: "healed" | "calm") => {
      phase = which
      const waiting = waitingFor[which]
      waitingFor[which] = []
      for (const resume of waiting) loop.post(resume)
    }
    yield* loop.until(() => false, startedAt + period)
    trace.add("all", "nothing goes wrong from here on")
    heal()
    const healedAt = loop.now
    reach("healed")
    const deadline = healedAt + patience
    const hasClients = () => clientsAtWork > waitingFor.calm.length
    yield* loop.until(() => !hasClients() && open.size === 0, deadline)
    const calmAt = loop.now
    reach("calm")
    yield* loop.until(() => clientsAtWork === 0 && open.size === 0, deadline + 60_000)
    const final = yield* Effect.orDie(readFinal(store))
    tally.end(ledger, final, lateness)
    for (const machine of fleet.all) machine.crash()
    if (defects.length > 0) return yield* Effect.die(defects[0])
    return {
      seed,
      faults,
      violations: [
        ...limits.violations,
        ...findViolations({
          ledger,
          final,
          databaseSkew,
          calmAt,
          scheduledUntil: healedAt,
          unfinished: [...atWork],
          lateness,
          clockDrift: Math.max(...allNames.map((name) => Math.abs(wrong(name).rate)))
        })
      ],
      digest: trace.digest,
      trace: trace.lines,
      failedClients,
      counts: tally.counts,
      runs: final.runs.size,
      steps: final.steps.length,
      millis: loop.now - startedAt,
      turns: loop.turns
    }
  })
