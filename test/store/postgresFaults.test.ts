/** What became of transactions whose connections broke: none is lost, and none takes place twice. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope } from "effect"
import type { Shape } from "../../src/store/Store.ts"
import * as CommitCutter from "../support/commitCutter.ts"
import * as CuttingProxy from "../support/cuttingProxy.ts"
import { forTests, startEmbedded } from "../support/embeddedPostgres.ts"
import { emptyDatabase, query, session } from "../support/postgres.ts"
import { open, prepare, Witness } from "./counting.ts"
import { start } from "./process.ts"
import { id } from "../contract/store/fixtures.ts"
import { written } from "./written.ts"

const runs = 5

/** Counts in many fibers on those stores, until it is interrupted or has counted so often. */
const counting = (witness: Witness, stores: ReadonlyArray<Shape>, times: number) => {
  let name = 0
  return Effect.forEach(
    Array.from({ length: times }, () => ++name),
    (name) => witness.count(stores[name % stores.length]!, name, 1 + (name % runs)),
    { concurrency: 16, discard: true }
  )
}

/** Does something again and again beside the effect. */
const beside = <A, E, R>(effect: Effect.Effect<A, E, R>, act: Effect.Effect<unknown>) =>
  Effect.gen(function* () {
    const acting = yield* Effect.forkChild(Effect.forever(act))
    const result = yield* effect
    yield* Fiber.interrupt(acting)
    return result
  })

const instance = (...flags: ReadonlyArray<string>) =>
  Effect.acquireRelease(
    Effect.promise(() => startEmbedded([...forTests, ...flags])),
    (server) => Effect.promise(server.remove)
  )

const seed = Number(process.env.KAGZI_TEST_SEED ?? Math.floor(Math.random() * 1e9))

const randomOf = (seed: number) => {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

describe("a store whose connections are terminated by the server", () => {
  it.live(
    "carries out each transaction once",
    () =>
      Effect.gen(function* () {
        const url = yield* emptyDatabase
        const stores = [yield* open(url), yield* open(url)]
        yield* prepare(stores[0]!, runs, true)
        const admin = yield* session(url)
        let killed = 0
        const kill = Effect.gen(function* () {
          const rows = yield* admin(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = 'kagzi' AND pid <> pg_backend_pid()
              AND (state <> 'idle' OR random() < 0.05) ORDER BY random() LIMIT 1`)
          killed += rows.length
          yield* Effect.sleep("10 millis")
        })
        const witness = new Witness()
        yield* beside(counting(witness, stores, 3_000), kill)
        assert.isAbove(killed, 20)
        assert.isAbove(witness.acknowledged.length, 2_500)
        for (const { transient } of witness.failures) assert.isTrue(transient)
        yield* witness.check(url)
        process.stdout.write(`${killed} connections terminated, ${witness.failures.length} transactions failed\n`)
      }),
    120_000
  )
})

describe("a store whose idle connections are all dead", () => {
  it.live("carries out the next transaction on a new one, however many it meets", () =>
    Effect.gen(function* () {
      const url = yield* emptyDatabase
      const poolSize = 21
      const store = yield* open(url, { poolSize })
      const lanes = store.lanes ?? 0
      assert.strictEqual(lanes, 10)
      yield* prepare(store, runs)
      const admin = yield* session(url)
      const backends =
        "pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
      // all at once, behind a lock: each needs a connection of its own
      const locked = yield* Scope.make()
      const locking = yield* Scope.provide(session(url), locked)
      yield* locking("BEGIN")
      yield* locking("LOCK TABLE kagzi.runs")
      const witness = new Witness()
      const working = yield* Effect.forkChild(counting(witness, [store], lanes))
      for (;;) {
        const [found] = yield* admin(`SELECT count(*)::int AS waiting FROM ${backends} AND wait_event_type = 'Lock'`)
        if (found?.waiting === lanes) break
        yield* Effect.sleep("5 millis")
      }
      yield* Scope.close(locked, Exit.void)
      yield* Fiber.join(working)
      yield* admin(`SELECT pg_terminate_backend(pid, 10000) FROM ${backends}`)
      yield* witness.count(store, 1_000, 1)
      assert.deepStrictEqual(witness.failures, [])
      yield* witness.check(url)
    })
  )
})

describe(`a store whose connections break while transactions end (KAGZI_TEST_SEED=${seed})`, () => {
  it.live(
    "finds out what became of each, however late its commit arrives, and carries out each once",
    () =>
      Effect.gen(function* () {
        const url = yield* emptyDatabase
        const cutter = yield* CommitCutter.make(Number(new URL(url).port), randomOf(seed))
        const through = new URL(url)
        through.host = cutter.host
        const stores = [yield* open(through.href), yield* open(through.href)]
        yield* prepare(stores[0]!, runs, true)
        cutter.chance = 0.03
        const witness = new Witness()
        yield* counting(witness, stores, 3_000)
        cutter.chance = 0
        for (const [manner, count] of Object.entries(cutter.counts)) assert.isAbove(count, 10, manner)
        assert.isAbove(witness.acknowledged.length, 2_500)
        for (const { transient } of witness.failures) assert.isTrue(transient)
        yield* witness.check(url)
        process.stdout.write(`${JSON.stringify(cutter.counts)}, ${witness.failures.length} transactions failed\n`)
      }),
    120_000
  )

  it.live(
    "carries out each once when they break at any moment",
    () =>
      Effect.gen(function* () {
        const url = yield* emptyDatabase
        const proxy = yield* CuttingProxy.make({
          target: `http://${new URL(url).host}`,
          seed: String(seed),
          meanMillis: 60
        })
        const through = new URL(url)
        through.host = new URL(proxy.address).host
        const stores = [yield* open(through.href), yield* open(through.href)]
        yield* prepare(stores[0]!, runs, true)
        proxy.startCutting()
        const witness = new Witness()
        yield* counting(witness, stores, 2_000)
        proxy.stopCutting()
        assert.isAbove(proxy.counts().cuts, 50)
        assert.isAbove(witness.acknowledged.length, 1_000)
        yield* witness.check(url)
        process.stdout.write(`${JSON.stringify(proxy.counts())}, ${witness.failures.length} transactions failed\n`)
      }),
    120_000
  )
})

describe.each([
  { how: "is stopped", down: "stop" },
  { how: "is killed", down: "kill" }
] as const)("a store whose database $how and started again in the middle of its work", ({ down }) => {
  it.live(
    "carries out each transaction once, and goes on by itself",
    () =>
      Effect.gen(function* () {
        const server = yield* instance()
        const url = `${server.url}/postgres`
        const store = yield* open(url)
        yield* prepare(store, runs, true)
        const witness = new Witness()
        let name = 0
        let isEnough = false
        const work = Effect.gen(function* () {
          while (!isEnough) {
            const failures = witness.failures.length
            yield* witness.count(store, ++name, 1 + (name % runs))
            if (witness.failures.length > failures) yield* Effect.sleep("20 millis")
          }
        })
        const working = yield* Effect.forkChild(Effect.replicateEffect(work, 16, { concurrency: 16 }))
        const progress = Effect.gen(function* () {
          const before = witness.acknowledged.length
          while (witness.acknowledged.length < before + 200) yield* Effect.sleep("5 millis")
        })
        for (let round = 0; round < 2; round++) {
          yield* progress
          yield* Effect.promise(server[down])
          yield* Effect.flip(store.ping)
          yield* Effect.promise(server.start)
        }
        yield* progress
        isEnough = true
        yield* Fiber.join(working)
        assert.isAbove(witness.failures.length, 0)
        for (const { transient } of witness.failures) assert.isTrue(transient)
        yield* witness.check(url)
      }),
    120_000
  )
})

describe("a store whose commits wait for a standby that is not there", () => {
  it.live("takes no transaction for rolled back whose wait is cut short", () =>
    Effect.gen(function* () {
      const server = yield* instance()
      const url = `${server.url}/postgres`
      const store = yield* open(url)
      yield* prepare(store, runs)
      const admin = yield* session(url)
      const waitFor = (standby: string) =>
        Effect.andThen(
          admin(`ALTER SYSTEM SET synchronous_standby_names = '${standby}'`),
          admin("SELECT pg_reload_conf()")
        )
      const waiting = Effect.gen(function* () {
        for (;;) {
          const [found] = yield* admin("SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
          if (found !== undefined) return Number(found.pid)
          yield* Effect.sleep("5 millis")
        }
      })
      const witness = new Witness()
      yield* admin("SET synchronous_commit = local")
      yield* waitFor("nobody")

      let name = 0
      /** A transaction that waits. PostgreSQL takes a moment to make them wait. */
      const held = Effect.gen(function* () {
        for (;;) {
          const working = yield* Effect.forkChild(witness.count(store, ++name, 1))
          const pid = yield* Effect.raceFirst(waiting, Effect.as(Fiber.await(working), undefined))
          if (pid !== undefined) return { working, pid }
        }
      })
      const cancelled = yield* held
      yield* admin(`SELECT pg_cancel_backend(${cancelled.pid})`)
      yield* Fiber.join(cancelled.working)

      const terminated = yield* held
      yield* admin(`SELECT pg_terminate_backend(${terminated.pid}, 10000)`)
      // what finds out what became of it waits too
      assert.notStrictEqual(yield* waiting, terminated.pid)
      yield* waitFor("")
      yield* Fiber.join(terminated.working)
      assert.deepStrictEqual(
        witness.acknowledged,
        Array.from({ length: name }, (_, index) => index + 1)
      )
      assert.deepStrictEqual(witness.failures, [])
      yield* witness.check(url)
    })
  )
})

describe("a store that gets too few connections", () => {
  it.live("works with those that it gets, and with more when there are more", () =>
    Effect.gen(function* () {
      const server = yield* instance("-c", "max_connections=9", "-c", "superuser_reserved_connections=0")
      const url = `${server.url}/postgres`
      const store = yield* open(url)
      yield* prepare(store, runs)
      const witness = new Witness()
      yield* Effect.scoped(
        Effect.gen(function* () {
          // leaves it with what it has
          const others: Array<unknown> = []
          for (;;) {
            const more = yield* Effect.exit(session(url))
            if (more._tag === "Failure") break
            others.push(more)
          }
          assert.isAbove(others.length, 0)
          const refused = yield* Effect.flip(Effect.scoped(open(url)))
          assert.include(refused.message, "too many clients")
          assert.isTrue(refused.transient)
          yield* counting(witness, [store], 200)
          assert.deepStrictEqual(witness.failures, [])
        })
      )
      yield* Effect.scoped(open(url, { poolSize: 3 }))
      yield* witness.check(url)
    })
  )
})

describe("a store whose process stands still in the middle of a transaction", () => {
  it.live(
    "holds nothing for long, and then carries out that transaction and the next ones",
    () =>
      Effect.gen(function* () {
        const url = yield* emptyDatabase
        const child = yield* start("write", url, "1")
        yield* child.said(20)
        const admin = yield* session(url)
        const open = admin(`SELECT pid FROM pg_stat_activity
          WHERE datname = current_database() AND application_name = 'kagzi' AND state = 'idle in transaction'`)
        for (;;) {
          if ((yield* open).length === 0) continue
          yield* child.signal("SIGSTOP")
          // what it sent before is carried out
          yield* Effect.sleep("100 millis")
          if ((yield* open).length > 0) break
          yield* child.signal("SIGCONT")
        }
        while ((yield* open).length > 0) yield* Effect.sleep("50 millis")
        const before = child.lines().length
        yield* child.signal("SIGCONT")
        yield* child.said(before + 20)
        yield* child.kill
        const said = child.lines().map(Number)
        assert.deepStrictEqual(
          said,
          said.map((_, index) => index + 1)
        )
        const [row] = yield* query(url, "SELECT count(*)::int AS runs FROM kagzi.runs")
        assert.oneOf(row?.runs, [said.length, said.length + 1])
      }).pipe(Effect.scoped),
    60_000
  )
})

describe("a store whose process is killed in a stream of transactions", () => {
  it.live(
    "leaves exactly the acknowledged transactions and at most the one in flight, each of them whole",
    () =>
      Effect.gen(function* () {
        const url = yield* emptyDatabase
        let next = 1
        for (const count of [1, 40, 7, 300]) {
          const child = yield* start("write", url, String(next))
          yield* child.said(count)
          yield* child.kill
          const last = next + child.lines().length - 1
          // waits for one that is still under way
          const rows = yield* query(
            url,
            "BEGIN",
            "LOCK TABLE kagzi.runs IN SHARE MODE",
            `SELECT r.run_id, convert_from(r.input, 'UTF8') AS input, convert_from(r.output, 'UTF8') AS output,
              (SELECT count(*)::int FROM kagzi.steps AS s WHERE s.run_id = r.run_id) AS steps FROM kagzi.runs AS r
              ORDER BY run_id`
          )
          assert.isAtLeast(rows.length, last)
          assert.isAtMost(rows.length, last + 1)
          for (const [index, row] of rows.entries()) {
            const { inputs, outputs } = written(index + 1)
            const text = (data: Uint8Array | undefined) => new TextDecoder().decode(data)
            assert.deepStrictEqual(row, {
              run_id: id(index + 1),
              input: text(inputs[0]?.payload.data),
              output: text(outputs[0]?.payload.data),
              steps: 1
            })
          }
          next = rows.length + 1
        }
      }),
    60_000
  )
})
