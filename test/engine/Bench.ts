/** An engine on a real store in memory, with a gate and a fuse on the store's transactions. */
import { Context, Effect, Latch, Layer } from "effect"
import type { RegisterWorker, Reply, StartRun } from "../../src/engine/Command.ts"
import * as Engine from "../../src/engine/Engine.ts"
import { type Changes, Store, StoreError } from "../../src/store/Store.ts"
import * as Stores from "../support/stores.ts"
import { payload } from "./lifecycle/World.ts"

/** What a test can do to the store. */
export interface Control {
  /** Closed, it holds up transactions before they begin. */
  readonly gate: Latch.Latch
  /** Makes a transaction that would write that fail instead. */
  fuse: (changes: Changes) => StoreError | undefined
  /** Closed, it holds up the answer to when a run is next due. */
  readonly readGate: Latch.Latch
  /** Makes reading a run fail. */
  failReads: boolean
  /** Keeps due runs from claims, as another server does that is taking them. */
  hideClaims: boolean
  /** Whether other servers use the database, as far as the store knows. */
  isShared: boolean
  /** Transactions that were asked for, each with how much it wrote. */
  readonly transactions: Array<number>
}

const controlled = (control: Control) =>
  Layer.effect(
    Store,
    Effect.map(Store, (inner) => ({
      ...inner,
      isShared: () => control.isShared,
      getRun: (namespace, runId) =>
        Effect.suspend(() => (control.failReads ? Effect.fail(busy) : inner.getRun(namespace, runId))),
      nextDue: (...args) => Effect.tap(inner.nextDue(...args), () => control.readGate.await),
      transact: (wants, decide) =>
        Effect.andThen(
          control.gate.await,
          Effect.suspend(() => {
            let blown: StoreError | undefined
            const result = inner.transact(wants, (rows) => {
              const decided = decide(control.hideClaims ? { ...rows, claims: [] } : rows)
              blown = control.fuse(decided.changes)
              control.transactions.push(Object.values(decided.changes).flat().length)
              // A run that does not exist makes the real transaction roll back.
              return blown === undefined ? decided : { ...decided, changes: { ...decided.changes, outputs: [ghost] } }
            })
            return Effect.mapError(result, (error) => blown ?? error)
          })
        )
    }))
  ).pipe(Layer.provide(Stores.layer))

const busy = new StoreError({ message: "busy", transient: true })
const ghost = { runId: "00000000-0000-0000-0000-000000000000", payload: payload(null) }

export interface Bench {
  readonly engine: Engine.Engine["Service"]
  readonly control: Control
}

/** Stops with the scope. */
export const makeBench = Effect.fnUntraced(function* (options: Partial<Engine.Options> = {}) {
  const control: Control = {
    gate: Latch.makeUnsafe(true),
    readGate: Latch.makeUnsafe(true),
    fuse: () => undefined,
    failReads: false,
    hideClaims: false,
    isShared: false,
    transactions: []
  }
  const context = yield* Layer.build(Layer.provide(Engine.layer(options), controlled(control)))
  const engine = Context.get(context, Engine.Engine)
  control.transactions.length = 0
  return { engine, control }
})

export const start = Effect.fnUntraced(function* ({ engine }: Pick<Bench, "engine">, fields: Partial<StartRun> = {}) {
  const runId = yield* engine.newId
  return yield* engine.execute({
    _tag: "StartRun",
    runId,
    namespaceId: yield* engine.newId,
    namespace: "default",
    externalId: runId,
    taskQueue: "queue",
    workflowType: "order",
    version: "",
    input: payload("input"),
    ifExists: "use-active",
    ...fields
  })
})

export const register = Effect.fnUntraced(function* (
  { engine }: Bench,
  workflowTypes: ReadonlyArray<string> = ["order"],
  fields: Partial<RegisterWorker> = {}
) {
  const workerId = yield* engine.newId
  const worker: Reply["RegisterWorker"] = yield* engine.execute({
    _tag: "RegisterWorker",
    workerId,
    namespaceId: yield* engine.newId,
    namespace: "default",
    taskQueue: "queue",
    hostname: "host",
    pid: 1,
    instanceId: workerId,
    version: "1",
    workflowTypes,
    labels: {},
    workflowTypeConcurrency: {},
    ...fields
  })
  return worker.workerId
})

/** Waits for a run as that worker. */
export const claim = (
  { engine }: Bench,
  workerId: string,
  options: { readonly workflowTypes?: ReadonlyArray<string>; readonly timeoutMillis?: number } = {}
) => engine.claim({ namespace: "default", taskQueue: "queue", workerId, workflowTypes: ["order"], ...options })

/** A run that a worker holds. */
export const running = Effect.fnUntraced(function* (bench: Bench, workerId: string) {
  const { runId } = yield* start(bench)
  const task = yield* claim(bench, workerId)
  return { namespace: "default", runId, lease: task?.lease ?? -1 }
})

/** Lets forked fibers get as far as they can without time passing. */
export const settle = Effect.repeat(Effect.yieldNow, { times: 20 })
