/** How the schema comes into a database, whoever else brings it, and what is refused. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { migrations } from "../../src/store/postgres/migrations.ts"
import { emptyDatabase, query } from "../support/postgres.ts"
import { count, open, prepare } from "./counting.ts"
import { start } from "./process.ts"

const applied = (url: string) =>
  Effect.map(query(url, "SELECT migration_id FROM kagzi.kagzi_migrations ORDER BY 1"), (rows) =>
    rows.map(({ migration_id }) => Number(migration_id))
  )

const all = migrations.map((_, index) => index + 1)

describe("a schema that is not there yet", () => {
  it.live(
    "is made once by three stores that start at the same moment, twenty times over",
    () =>
      Effect.forEach(
        Array(20).keys(),
        () =>
          Effect.scoped(
            Effect.gen(function* () {
              const url = yield* emptyDatabase
              const stores = yield* Effect.all([open(url), open(url), open(url)], { concurrency: 3 })
              assert.deepStrictEqual(yield* applied(url), all)
              yield* prepare(stores[0]!, 1)
              for (const [name, store] of stores.entries()) yield* count(store, name, [1])
              assert.deepStrictEqual(yield* query(url, "SELECT attempts FROM kagzi.runs"), [{ attempts: 3 }])
            })
          ),
        { discard: true }
      ),
    120_000
  )

  it.live("is made once by three processes that start at the same moment, and whole if one of them is killed", () =>
    Effect.gen(function* () {
      const url = yield* emptyDatabase
      const victim = yield* start("hold", url)
      const others = yield* Effect.forEach([1, 2], () => start("hold", url))
      // somewhere in the middle of it, or before
      yield* Effect.repeat(query(url, "SELECT 1"), { times: 20 })
      yield* victim.kill
      for (const other of others) yield* other.said(1)
      assert.deepStrictEqual(
        others.map((other) => other.lines()),
        [["ready"], ["ready"]]
      )
      assert.deepStrictEqual(yield* applied(url), all)
    })
  )

  it.live("stands beside schemas of others, which are left as they are", () =>
    Effect.gen(function* () {
      const url = yield* emptyDatabase
      yield* query(
        url,
        "CREATE TABLE runs (mine integer)",
        "INSERT INTO runs VALUES (7)",
        "CREATE TABLE kagzi_migrations (migration_id integer)",
        "INSERT INTO kagzi_migrations VALUES (9999)"
      )
      const store = yield* open(url)
      const second = yield* open(url, { schema: "second" })
      yield* prepare(store, 3)
      yield* prepare(second, 2)
      const counts = "SELECT (SELECT count(*) FROM kagzi.runs)::int AS a, (SELECT count(*) FROM second.runs)::int AS b"
      assert.deepStrictEqual(yield* query(url, counts), [{ a: 3, b: 2 }])
      assert.deepStrictEqual(yield* query(url, "SELECT * FROM public.runs"), [{ mine: 7 }])
      assert.deepStrictEqual(yield* query(url, "SELECT * FROM public.kagzi_migrations"), [{ migration_id: 9999 }])
    })
  )
})

describe("a schema", () => {
  it.live("that a newer version wrote is refused, and left as it is", () =>
    Effect.gen(function* () {
      const url = yield* emptyDatabase
      yield* Effect.scoped(open(url))
      yield* query(url, "INSERT INTO kagzi.kagzi_migrations (migration_id, name) VALUES (9999, 'later')")
      const error = yield* Effect.flip(open(url))
      assert.deepStrictEqual([error.reason, error.transient], ["newer", false])
      assert.match(error.message, /was written by a newer kagzi/)
      assert.deepStrictEqual(yield* applied(url), [...all, 9999])
    })
  )

  it.live("with tables of others that have the names of ours is refused, and left as it is", () =>
    Effect.gen(function* () {
      const url = yield* emptyDatabase
      yield* query(url, "CREATE SCHEMA kagzi", "CREATE TABLE kagzi.runs (mine integer)")
      const error = yield* Effect.flip(open(url))
      assert.deepStrictEqual([error.reason, error.transient], ["damaged", false])
      const tables = yield* query(url, "SELECT tablename FROM pg_tables WHERE schemaname = 'kagzi'")
      assert.deepStrictEqual(tables, [{ tablename: "runs" }])
    })
  )

  it.live("that is up to date needs no right to make anything", () =>
    Effect.gen(function* () {
      const url = yield* emptyDatabase
      yield* Effect.scoped(open(url))
      const role = `kagzi_role_${new URL(url).pathname.slice(-8)}`
      yield* Effect.acquireRelease(
        query(
          url,
          `CREATE ROLE ${role} LOGIN PASSWORD 'plain'`,
          `GRANT USAGE ON SCHEMA kagzi TO ${role}`,
          `GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA kagzi TO ${role}`
        ),
        () => query(url, `DROP OWNED BY ${role}`, `DROP ROLE ${role}`)
      )
      const named = new URL(url)
      named.username = role
      named.password = "plain"
      yield* Effect.scoped(
        Effect.gen(function* () {
          const store = yield* open(named.href)
          yield* prepare(store, 1)
          yield* count(store, 1, [1])
        })
      )
      const error = yield* Effect.flip(open(named.href, { schema: "other" }))
      assert.include(error.message, "permission denied")
    })
  )
})
