/**
 * Stores for tests that run on either: SQLite in memory, or a PostgreSQL database, as the project says that vitest runs.
 * Each is empty when it is opened.
 */
import { Clock, Context, Effect, Exit, Layer, Scope } from "effect"
import { afterAll, inject } from "vitest"
import { KagziServer } from "../../src/server/index.ts"
import * as PostgresStore from "../../src/store/postgres/PostgresStore.ts"
import * as SqliteStore from "../../src/store/sqlite/SqliteStore.ts"
import { type Shape, Store, type StoreError } from "../../src/store/Store.ts"
import * as Blocking from "./blocking.ts"
import * as Postgres from "./postgres.ts"

export const onPostgres: boolean = inject("store") === "postgres"

/** What this file has opened, until it ends. */
const scope = Scope.makeUnsafe()
if (onPostgres) afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

/**
 * Those of this file that nobody uses are used again, emptied. All of it happens in real time, whatever the time of the
 * test.
 */
const pooled = <A extends { readonly url: string }>(make: Effect.Effect<A, StoreError, Scope.Scope>) => {
  const free: Array<A> = []
  const take = Effect.gen(function* () {
    const known = free.pop()
    if (known === undefined) return yield* Scope.provide(make, scope)
    yield* Postgres.clear(known.url)
    return known
  })
  return Effect.acquireRelease(
    Effect.promise(() => Effect.runPromise(take)),
    (taken) => Effect.sync(() => free.push(taken))
  )
}

const databases = pooled(Effect.map(Postgres.database, (url) => ({ url })))

const blocking = pooled(
  Effect.flatMap(Postgres.database, (url) => Effect.map(Blocking.open(url), (store) => ({ url, store })))
)

/** The url of an empty database, taken until the scope closes. */
export const emptyDatabase = Effect.map(databases, ({ url }) => url)

/** Virtual time does not wait for a database. */
const isVirtual = Effect.map(Clock.Clock, (clock) => "adjust" in clock)

const onDatabase: Layer.Layer<Store, StoreError> = Layer.unwrap(
  Effect.gen(function* () {
    return (yield* isVirtual)
      ? Layer.effect(
          Store,
          Effect.map(blocking, ({ store }) => store)
        )
      : PostgresStore.layer(yield* emptyDatabase, { poolSize: 4 })
  })
)

/** An empty store each time that it is built. */
export const layer: Layer.Layer<Store, StoreError> = Layer.fresh(onPostgres ? onDatabase : SqliteStore.layerMemory)

/** The same for a server. */
export const serverStore: KagziServer.ServerStore = onPostgres
  ? Layer.fresh(Layer.orDie(onDatabase))
  : KagziServer.memory

/** One that other stores of the same test may be opened beside. */
export const open: Effect.Effect<Shape, StoreError, Scope.Scope> = Effect.map(Layer.build(layer), (context) =>
  Context.get(context, Store)
)
