/**
 * A real server in this process, and workers on it that can be made to crash.
 */
import { assert } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, References, Stream } from "effect"
import { TestClock } from "effect/testing"
import { KagziClient, type KagziError, Worker, type Workflow } from "../../src/index.ts"
import * as Engine from "../../src/engine/Engine.ts"
import type { Protocol } from "../../src/protocol/Protocol.ts"
import * as Unary from "../../src/protocol/unary.ts"
import * as InProcess from "../../src/server/inProcess.ts"
import * as Stores from "./stores.ts"
import { type CrashPoint, crashing, Witness } from "./crash.ts"

/** A client of a fresh server with an empty store, and the protocol below it. */
export const clientOf = (options: Partial<Engine.Options>): Layer.Layer<KagziClient | Protocol> =>
  KagziClient.layerProtocol.pipe(
    Layer.provideMerge(Unary.layer),
    Layer.provide(InProcess.layer),
    Layer.provide(Layer.provide(Engine.layer(options), Stores.layer)),
    Layer.provideMerge(Layer.succeed(References.MinimumLogLevel, "Error")),
    Layer.orDie,
    Layer.fresh
  )

const minute = 60_000

/** The same with heartbeats and polls so rare that hours of virtual time are not spent on them. */
export const client = clientOf({
  heartbeatMillis: 30 * minute,
  leaseMillis: 120 * minute,
  staleMillis: 60 * minute,
  pollTimeoutMillis: 30 * minute
})

/** What the code of steps did, outside of any record: names in the order in which they were carried out. */
export class Ledger {
  readonly entries: Array<string> = []

  /** Puts down that something was done. */
  readonly note = (entry: string): Effect.Effect<string> =>
    Effect.sync(() => {
      this.entries.push(entry)
      return entry
    })

  count(entry: string): number {
    return this.entries.filter((other) => other === entry).length
  }
}

type AnyImplementation = Workflow.Implementation<never>

/** Runs a worker beside an effect, and stops it when the effect ends. `cached` is how many parked bodies it keeps. */
export const withWorker =
  (implementation: AnyImplementation, options: { readonly cached?: number } = {}) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | KagziError, R | KagziClient> =>
    Effect.gen(function* () {
      const worker = yield* Effect.forkChild(
        Worker.run({
          taskQueue: implementation.definition.taskQueue,
          workflows: [implementation],
          maxCached: options.cached ?? 1_000,
          gracePeriod: 0
        })
      )
      const result = yield* Effect.raceFirst(effect, Fiber.join(worker))
      yield* Fiber.interrupt(worker)
      return result
    })

export interface Outcome<A, E> {
  readonly exit: Exit.Exit<A, E>
  readonly ledger: Ledger
  /** Completed steps by name, each with the outcome on record. */
  readonly steps: ReadonlyArray<{ readonly name: string; readonly status: string; readonly attempt: number }>
  readonly witness: Witness
}

/**
 * One execution of a workflow from start to result. With a point, its first worker crashes there and a second one
 * finishes the run. `make` gives the implementation for a ledger.
 */
export const execute = <I, O, E>(
  definition: Workflow.Workflow<I, O, E>,
  make: (ledger: Ledger) => AnyImplementation,
  input: I,
  options: { readonly crash?: CrashPoint; readonly cached?: number } = {}
) =>
  Effect.gen(function* () {
    const ledger = new Ledger()
    const implementation = make(ledger)
    const witness = new Witness()
    const crashed = Deferred.await(witness.crash)
    const through = (point?: CrashPoint) =>
      Effect.provide(KagziClient.layerProtocol.pipe(Layer.provide(crashing(witness, point)), Layer.fresh))
    const handle = yield* definition.start(input)
    const result = withWorker(implementation, options)(Effect.exit(handle.result))
    const first = Effect.raceFirst(through(options.crash)(result), Effect.as(crashed, undefined))
    const exit = (yield* first) ?? (yield* through()(result))
    const steps = yield* Stream.runCollect((yield* KagziClient).workflows.steps(handle.runId))
    assert.deepStrictEqual(witness.repeated, [], "a step that was recorded as completed was executed again")
    return { exit, ledger, steps, witness } satisfies Outcome<O, unknown>
  })

/** Whether bodies are kept makes no difference to a store; where they are not, it is asked more. */
const cachedBodies = Stores.onPostgres ? [0] : [1_000, 0]

/**
 * Executes a workflow once undisturbed and then once for each durable boundary, with the worker crashing just before
 * and just after it, with parked bodies kept and dropped. Every execution must end the same; `check` sees each.
 */
export const crashEverywhere = <I, O, E>(
  definition: Workflow.Workflow<I, O, E>,
  make: (ledger: Ledger) => AnyImplementation,
  input: I,
  check: (outcome: Outcome<O, unknown>) => void
) =>
  Effect.gen(function* () {
    const undisturbed = yield* execute(definition, make, input)
    check(undisturbed)
    const { commands } = undisturbed.witness
    let crashes = 0
    for (const cached of cachedBodies) {
      for (let command = 1; command <= commands; command++) {
        for (const when of ["before", "after"] as const) {
          const outcome = yield* execute(definition, make, input, { crash: { command, when }, cached })
          const at = `crashed ${when} command ${command}, ${cached === 0 ? "bodies dropped" : "bodies kept"}`
          assert.deepStrictEqual(Exit.isSuccess(outcome.exit), Exit.isSuccess(undisturbed.exit), at)
          assert.deepStrictEqual(plain(outcome.exit), plain(undisturbed.exit), at)
          check(outcome)
          if (outcome.witness.crashed) crashes++
        }
      }
    }
    // Timing decides whether some commands are sent at all; most always are.
    assert.isAtLeast(crashes, commands * cachedBodies.length)
  }).pipe(Effect.provide(client))

/** Run ids differ from one execution to the next; all else must not. */
const plain = (exit: Exit.Exit<unknown, unknown>) =>
  JSON.stringify(exit, (key, value) => (key === "runId" ? "" : value))

/** Lets virtual time pass, a little at a time, until the effect has ended. */
export const inVirtualTime = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(effect)
    while (fiber.pollUnsafe() === undefined) {
      yield* TestClock.adjust("1 minute")
      for (let turn = 0; turn < 20; turn++) yield* Effect.yieldNow
    }
    return yield* Fiber.join(fiber)
  })
