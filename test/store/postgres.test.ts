/** The store contract, on PostgreSQL. */
import { afterAll, beforeAll } from "@effect/vitest"
import { Effect, Exit, Layer, Scope } from "effect"
import * as PostgresStore from "../../src/store/postgres/PostgresStore.ts"
import { storeContract } from "../contract/store.ts"
import { clear, database } from "../support/postgres.ts"

const scope = Scope.makeUnsafe()
let url = ""

beforeAll(async () => {
  url = await Effect.runPromise(Scope.provide(database, scope))
})
afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

const empty = Layer.unwrap(
  Effect.map(
    Effect.suspend(() => clear(url)),
    () => PostgresStore.layer(url)
  )
)

storeContract("PostgreSQL", empty)
