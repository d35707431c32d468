/** Several engines on one database, each of which knows of the others by the database only, and what they tell. */
import { afterAll, assert, beforeAll, beforeEach } from "@effect/vitest"
import { Context, Effect, Exit, Latch, Layer, Logger, References, Scope, Stream } from "effect"
import * as Engine from "../../src/engine/Engine.ts"
import type { Listener } from "../../src/engine/Serving.ts"
import type { Held } from "../../src/engine/Command.ts"
import * as PostgresStore from "../../src/store/postgres/PostgresStore.ts"
import { type Hint, type Shape, Store } from "../../src/store/Store.ts"
import { clear, database, query } from "../support/postgres.ts"

const scope = Scope.makeUnsafe()
let url = ""

beforeAll(async () => {
  url = await Effect.runPromise(Scope.provide(database, scope))
})
beforeEach(() => Effect.runPromise(clear(url)))
afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

/** A server, as far as the engine goes. */
export interface Server {
  readonly engine: Engine.Engine["Service"]
  readonly store: Shape
  /** What it has heard from others. */
  readonly heard: ReadonlyArray<Hint>
  /** Claims that it has sent to the store, and how many runs they got in all. */
  readonly claims: { asked: number; got: number }
  /** Transactions at a time. */
  readonly transactions: { now: number; most: number }
}

interface Settings extends Partial<Engine.Options> {
  /** Whether it hears nothing of what others tell. */
  readonly deaf?: boolean
  /** How much longer each transaction takes than it has to, in milliseconds. */
  readonly slowness?: number
}

export const server = Effect.fnUntraced(function* ({ deaf = false, slowness, ...options }: Settings = {}) {
  const heard: Array<Hint> = []
  const claims = { asked: 0, got: 0 }
  const transactions = { now: 0, most: 0 }
  const inner = Context.get(yield* Layer.build(Layer.fresh(PostgresStore.layer(url, { poolSize: 7 }))), Store)
  const store: Shape = {
    ...inner,
    hints: deaf
      ? Stream.never
      : Stream.tap(inner.hints ?? Stream.never, (hint) => Effect.sync(() => void heard.push(hint))),
    transact: (wants, decide) =>
      Effect.gen(function* () {
        transactions.most = Math.max(transactions.most, ++transactions.now)
        if (slowness !== undefined) yield* Effect.sleep(slowness)
        const value = yield* inner.transact(wants, (rows) => decide(rows))
        if (wants.claims.length === 0) return value
        claims.asked++
        const { replies } = value as { replies: ReadonlyArray<{ success?: { runs?: ReadonlyArray<unknown> } }> }
        for (const { success } of replies) claims.got += success?.runs?.length ?? 0
        return value
      }).pipe(
        Effect.ensuring(
          Effect.sync(() => {
            transactions.now--
          })
        )
      )
  }
  const context = yield* Layer.build(
    Layer.fresh(Engine.layer(options)).pipe(Layer.provide(Layer.succeed(Store, store)))
  )
  return { engine: Context.get(context, Engine.Engine), store, heard, claims, transactions } satisfies Server
})

export const servers = (count: number, settings: Settings = {}) =>
  Effect.forEach(Array.from({ length: count }), () => server(settings), { concurrency: "unbounded" })

export const bench = ({ engine }: Server) => ({ engine, control: undefined as never })

/** Waits until it is so. */
export const until = (isSo: () => boolean) =>
  Effect.gen(function* () {
    while (!isSo()) yield* Effect.sleep("2 millis")
  })

interface Told {
  readonly tasks: Array<Engine.Task>
  readonly lost: Array<Held & { readonly ended: boolean }>
  drains: number
  forgotten: number
  replaced: number
}

/** Has a server send runs to a worker. */
export const serve = (
  on: Server,
  workerId: string,
  capacity: number,
  held: ReadonlyArray<Held> = [],
  heardAt?: number
) => {
  const told: Told = { tasks: [], lost: [], drains: 0, forgotten: 0, replaced: 0 }
  const listener: Listener = {
    hasRoom: Latch.makeUnsafe(true),
    onTask: (task) => told.tasks.push(task),
    onLost: (of, ended) => told.lost.push({ ...of, ended }),
    onDrain: () => told.drains++,
    onForgotten: () => told.forgotten++,
    onReplaced: () => told.replaced++
  }
  const request = { namespace: "default", workerId, taskQueue: "queue", workflowTypes: ["order"], capacity }
  const serving = on.engine.servings.serve(request, held, listener, heardAt)
  return { told, serving }
}

export const heldOf = ({ lease, run: { namespace, runId } }: Engine.Task) => ({ namespace, runId, lease })

export const ended = (on: Server, runId: string) =>
  Effect.callback<unknown>((resume) => {
    on.engine.watchEnd("default", runId, (reply) => resume(Effect.succeed(reply)))
  })

/** The test fails if anything is logged above that level. */
export const quietly = <A, E, R>(effect: Effect.Effect<A, E, R>) => {
  const said: Array<unknown> = []
  const logger = Logger.make<unknown, void>(({ logLevel, message }) => {
    if (logLevel === "Error" || logLevel === "Fatal" || logLevel === "Warn") said.push(message)
  })
  return Effect.tap(effect, () => Effect.sync(() => assert.deepStrictEqual(said, []))).pipe(
    Effect.provide(Logger.layer([logger])),
    Effect.provideService(References.MinimumLogLevel, "Warn")
  )
}

/** Far longer than a hint takes, and shorter than until servers look for themselves. */
export const soon = Effect.timeout("3 seconds")

/** Asks the database itself. */
export const ask = (sql: string) => query(url, sql)
