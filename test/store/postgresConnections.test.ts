/** Connections that lead to what can't be written, or to a pooler that keeps settings to itself: none is used for good. */
import { chownSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Queue, Stream } from "effect"
import type { Shape, StoreError } from "../../src/store/Store.ts"
import { startEmbedded } from "../support/embeddedPostgres.ts"
import * as Pooler from "../support/pooler.ts"
import { emptyDatabase, query, session } from "../support/postgres.ts"
import { endedRun, id, noChanges, noWants } from "../contract/store/fixtures.ts"
import { count, open, prepare } from "./counting.ts"

const ours = "pg_stat_activity WHERE datname = current_database() AND application_name = 'kagzi'"

const instance = Effect.acquireRelease(
  Effect.promise(() => startEmbedded()),
  (server) => Effect.promise(server.remove)
)

const assertReadOnly = (error: StoreError) => {
  assert.match(error.message, /25006/)
  assert.isTrue(error.transient)
}

/** Waits until so many stores listen. */
const listening = Effect.fnUntraced(function* (url: string, stores: number) {
  for (;;) {
    const [row] = yield* query(url, `SELECT count(*)::int AS listeners FROM ${ours} AND query LIKE 'LISTEN%'`)
    if (row?.listeners === stores) break
  }
})

/** Neither a transaction nor a check succeeds, which is no fault of the caller. */
const checkRefused = Effect.fnUntraced(function* (store: Shape, name: number) {
  assertReadOnly(yield* Effect.flip(count(store, name, [1])))
  assertReadOnly(yield* Effect.flip(store.ping))
})

const checkServes = Effect.fnUntraced(function* (store: Shape, name: number) {
  yield* count(store, name, [1])
  // it may share a connection that was made a moment before, to tell others that this store is there
  yield* Effect.retry(store.ping, { times: 1 })
})

describe("a store whose address leads to a database that can't be written", () => {
  it.live("connects anew when it is asked again, however often it found none that can", () =>
    Effect.gen(function* () {
      const url = yield* emptyDatabase
      const store = yield* open(url)
      yield* prepare(store, 1)
      const admin = yield* session(url)
      const name = new URL(url).pathname.slice(1)
      yield* admin(`ALTER DATABASE ${name} SET default_transaction_read_only = on`)
      yield* admin(`SELECT pg_terminate_backend(pid, 10000) FROM ${ours}`)
      yield* checkRefused(store, 1)
      yield* checkRefused(store, 2)
      // only connections made after it see that
      yield* admin(`ALTER DATABASE ${name} RESET default_transaction_read_only`)
      yield* checkServes(store, 3)
      assert.deepStrictEqual(yield* query(url, "SELECT name FROM kagzi.steps"), [{ name: "3" }])
    })
  )

  it.live(
    "gives up all connections that it has used, those that read and hear too, when a primary becomes one",
    () =>
      Effect.gen(function* () {
        const server = yield* instance
        const url = `${server.url}/postgres`
        const [store, other] = [yield* open(url), yield* open(url)] as const
        yield* prepare(store, 1)
        const admin = yield* session(url)
        yield* admin("SET default_transaction_read_only = off")
        yield* listening(url, 2)
        const before = (yield* admin(`SELECT pid FROM ${ours}`)).map(({ pid }) => Number(pid))
        assert.isAtLeast(before.length, 5)
        yield* admin("ALTER SYSTEM SET default_transaction_read_only = on")
        yield* admin("SELECT pg_reload_conf()")
        while ((yield* query(url, "SHOW default_transaction_read_only"))[0]?.default_transaction_read_only !== "on");
        yield* checkRefused(store, 1)
        yield* checkRefused(other, 2)
        for (;;) {
          const left = yield* admin(`SELECT pid FROM ${ours} AND pid IN (${before.join(", ")})`)
          if (left.length === 0) break
          yield* Effect.sleep("50 millis")
        }
        yield* admin("ALTER SYSTEM RESET default_transaction_read_only")
        yield* admin("SELECT pg_reload_conf()")
        while ((yield* query(url, "SHOW default_transaction_read_only"))[0]?.default_transaction_read_only !== "off");
        yield* checkServes(store, 3)
        yield* checkServes(other, 4)
        const heard = yield* Queue.unbounded<string>()
        yield* Effect.forkScoped(
          Stream.runForEach(other.hints!, (hint) => Queue.offer(heard, hint._tag)),
          { startImmediately: true }
        )
        // it says so when it listens again, which may be before
        yield* listening(url, 2)
        yield* store.transact(noWants, () => ({
          changes: { ...noChanges, insertRuns: [endedRun(9)] },
          value: undefined
        }))
        while ((yield* Queue.take(heard)) !== "RunEnded");
      }),
    60_000
  )

  it.live(
    "is not healthy on a standby, and goes on when that is promoted",
    () =>
      Effect.gen(function* () {
        const server = yield* instance
        const url = `${server.url}/postgres`
        const store = yield* open(url)
        yield* prepare(store, 1)
        yield* checkServes(store, 1)
        const folder = String((yield* query(url, "SHOW data_directory"))[0]?.data_directory)
        yield* Effect.promise(server.stop)
        const signal = join(folder, "standby.signal")
        writeFileSync(signal, "")
        const { gid, uid } = statSync(folder)
        chownSync(signal, uid, gid)
        // which waits for a primary
        const started = server.start()
        while ((yield* Effect.exit(query(url, "SELECT 1").pipe(Effect.sandbox)))._tag === "Failure") {
          yield* Effect.sleep("20 millis")
        }
        yield* checkRefused(store, 2)
        assertReadOnly(yield* Effect.flip(open(url)))
        yield* query(url, "SELECT pg_promote()")
        yield* Effect.promise(() => started)
        yield* checkServes(store, 3)
        const steps = yield* query(url, "SELECT name FROM kagzi.steps ORDER BY name")
        assert.deepStrictEqual(steps, [{ name: "1" }, { name: "3" }])
      }),
    60_000
  )
})

const through = Effect.gen(function* () {
  const url = yield* emptyDatabase
  const pooler = yield* Pooler.make(Number(new URL(url).port))
  const address = new URL(url)
  address.host = pooler.host
  return { url, pooler, address: address.href }
})

const assertPooler = (error: StoreError, ...names: ReadonlyArray<string>) => {
  assert.include(error.message, "pooler")
  for (const name of names) assert.include(error.message, name)
  assert.isFalse(error.transient)
}

const standard = new Set(["user", "database", "client_encoding"])

describe("a store behind a pooler", () => {
  it.live("works where all is passed on", () =>
    Effect.gen(function* () {
      const { address } = yield* through
      const store = yield* open(address)
      yield* prepare(store, 1)
      yield* checkServes(store, 1)
    })
  )

  it.live("refuses one that ignores what a session is started with, before anything is made", () =>
    Effect.gen(function* () {
      const { address, pooler, url } = yield* through
      pooler.dropped = (name) => !standard.has(name)
      assertPooler(yield* Effect.flip(open(address)), "search_path", "idle_in_transaction_session_timeout")
      const [row] = yield* query(
        url,
        "SELECT count(*)::int AS made FROM pg_class WHERE relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname IN ('public', 'kagzi'))"
      )
      assert.deepStrictEqual(row, { made: 0 })
    })
  )

  it.live("refuses one that has commits answered before they are flushed", () =>
    Effect.gen(function* () {
      const { address, pooler, url } = yield* through
      yield* query(url, `ALTER DATABASE ${new URL(url).pathname.slice(1)} SET synchronous_commit = off`)
      pooler.dropped = (name) => name === "synchronous_commit"
      const error = yield* Effect.flip(open(address))
      assertPooler(error, "synchronous_commit")
      assert.notInclude(error.message, "search_path")
    })
  )

  it.live("uses no connection of one that begins to ignore it, and goes on afterwards", () =>
    Effect.gen(function* () {
      const { address, pooler, url } = yield* through
      const store = yield* open(address)
      yield* prepare(store, 1)
      const admin = yield* session(url)
      pooler.dropped = (name) => !standard.has(name) && name !== "application_name"
      yield* admin(`SELECT pg_terminate_backend(pid, 10000) FROM ${ours}`)
      assertPooler(yield* Effect.flip(count(store, 1, [1])), "search_path")
      assertPooler(yield* Effect.flip(store.getRun("default", id(1))), "search_path")
      assertPooler(yield* Effect.flip(store.ping), "search_path")
      pooler.dropped = () => false
      yield* checkServes(store, 2)
      assert.deepStrictEqual(yield* query(url, "SELECT name FROM kagzi.steps"), [{ name: "2" }])
    })
  )
})
