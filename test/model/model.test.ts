import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Layer, Scope } from "effect"
import * as PostgresStore from "../../src/store/postgres/PostgresStore.ts"
import * as SqliteStore from "../../src/store/sqlite/SqliteStore.ts"
import { Store, type StoreError } from "../../src/store/Store.ts"
import { clear, database } from "../support/postgres.ts"
import { followsTheModel } from "./sequences.ts"

const scope = Scope.makeUnsafe()
let url = ""

beforeAll(async () => {
  url = await Effect.runPromise(Scope.provide(database, scope))
})
afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

/** Each sequence on a store of its own. */
const sequences = (store: Layer.Layer<Store, StoreError>, count: number, length: number) =>
  Effect.gen(function* () {
    let runs = 0
    for (let seed = 1; seed <= count; seed++) {
      runs += yield* Effect.scoped(
        Effect.flatMap(Layer.build(Layer.fresh(store)), (context) =>
          followsTheModel(Context.get(context, Store), seed, length)
        )
      )
    }
    assert.isAbove(runs, count)
  })

describe("the rules, on the rows of a store", () => {
  it.live("are those of the model in any sequence of commands on SQLite", () =>
    sequences(SqliteStore.layerMemory, 150, 120)
  )

  it.live(
    "are those of the model in any sequence of commands on PostgreSQL",
    () =>
      Effect.gen(function* () {
        const empty = Layer.unwrap(
          Effect.map(
            Effect.suspend(() => clear(url)),
            () => PostgresStore.layer(url)
          )
        )
        yield* sequences(empty, 15, 100)
      }),
    60_000
  )
})
