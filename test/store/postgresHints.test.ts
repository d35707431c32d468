/** What stores of one database tell each other, and which time they go by. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, Queue, Scope, Stream } from "effect"
import type { Changes, Hint, Shape } from "../../src/store/Store.ts"
import { emptyDatabase, query } from "../support/postgres.ts"
import { at, endedRun, id, noChanges, noWants, runOf, workerOf } from "../contract/store/fixtures.ts"
import { open, prepare } from "./counting.ts"

const write = (store: Shape, changes: Partial<Changes>) =>
  store.transact(noWants, () => ({ changes: { ...noChanges, ...changes }, value: undefined }))

/** What a store is told from now on. */
const listen = Effect.fnUntraced(function* (store: Shape) {
  const heard = yield* Queue.unbounded<Hint>()
  yield* Effect.forkScoped(
    Stream.runForEach(store.hints!, (hint) => Queue.offer(heard, hint)),
    { startImmediately: true }
  )
  /** Waits for a hint like that, and gives what was heard until then. */
  const until = (tag: Hint["_tag"]) =>
    Effect.gen(function* () {
      const hints: Array<Hint> = []
      do hints.push(yield* Queue.take(heard))
      while (hints.at(-1)!._tag !== tag)
      return hints
    })
  /** Waits for that hint. */
  const untilLast = (hint: Hint) =>
    Effect.repeat(Queue.take(heard), { until: (heard) => JSON.stringify(heard) === JSON.stringify(hint) })
  return { until, untilLast }
})

/** Two stores, each of which listens: what was missed before that is behind them. */
const pair = Effect.gen(function* () {
  const url = yield* emptyDatabase
  const [a, b] = [yield* open(url), yield* open(url)] as const
  const heard = { a: yield* listen(a), b: yield* listen(b) }
  // what is written before they know of each other is not told
  const met = yield* Effect.forkChild(Effect.all([heard.a.until("RunEnded"), heard.b.until("RunEnded")]))
  let n = 900
  while (met.pollUnsafe() === undefined) {
    yield* write(a, { insertRuns: [endedRun(++n)] })
    yield* write(b, { insertRuns: [endedRun(++n)] })
  }
  yield* write(a, { insertRuns: [endedRun(++n)] })
  yield* write(b, { insertRuns: [endedRun(++n)] })
  yield* heard.b.untilLast(ended(n - 1))
  yield* heard.a.untilLast(ended(n))
  return { url, a, b, heard }
})

const ended = (n: number): Hint => ({ _tag: "RunEnded", runId: id(n) })
const place = { namespace: "default", taskQueue: "orders", workflowType: "Order" }

describe("stores of one database", () => {
  it.live("tell each other of runs that are due and have ended, and of workers and schedules, and not themselves", () =>
    Effect.gen(function* () {
      const { a, b, heard } = yield* pair
      yield* write(a, { insertRuns: [runOf(1, { dueAt: at + 7 })], insertWorkers: [workerOf(800)] })
      assert.deepStrictEqual(yield* heard.b.until("RunsDue"), [{ _tag: "RunsDue", ...place, dueAt: at + 7 }])
      yield* b.transact({ ...noWants, runs: new Set([id(1)]) }, ({ runs }) => ({
        changes: { ...noChanges, updateRuns: runs.map(({ dueAt, ...run }) => ({ ...run, status: "FAILED" })) },
        value: undefined
      }))
      const hints = yield* heard.a.until("RunEnded")
      assert.deepStrictEqual(hints, [{ _tag: "SlotFreed", ...place }, ended(1)])
      yield* a.transact({ ...noWants, workers: new Set([id(800)]) }, ({ workers }) => ({
        changes: { ...noChanges, updateWorkers: workers.map((worker) => ({ ...worker, status: "DRAINING" })) },
        value: undefined
      }))
      assert.deepStrictEqual(yield* heard.b.until("WorkerChanged"), [
        { _tag: "WorkerChanged", workerId: id(800), namespace: "default", taskQueue: "orders" }
      ])
    })
  )

  it.live("tell now and then when leases run out, and at once what does not wait for that", () =>
    Effect.gen(function* () {
      const { a, heard } = yield* pair
      const told = yield* Effect.forEach(
        Array(20).keys(),
        Effect.fnUntraced(function* (n) {
          const run = runOf(n, { status: "RUNNING", dueAt: at + 100 - n })
          yield* write(a, { insertRuns: [run, endedRun(100 + n)] })
          return yield* heard.b.until("RunEnded")
        })
      )
      assert.isBelow(told.flat().filter(({ _tag }) => _tag === "RunsDue").length, 10)
      yield* write(a, { insertRuns: [runOf(20, { status: "RUNNING", dueAt: at + 80 })] })
      yield* heard.b.untilLast({ _tag: "RunsDue", ...place, dueAt: at + 80 })
    })
  )

  it.live("tell what is left when they close, and know of each other while they write", () =>
    Effect.gen(function* () {
      const { a, heard, url } = yield* pair
      const scope = yield* Scope.make()
      const c = yield* Scope.provide(open(url), scope)
      assert.isFalse(c.isShared!())
      // it may not listen yet
      for (let n = 10; !c.isShared!(); n++) yield* write(a, { insertRuns: [endedRun(n)] })
      yield* write(c, { insertRuns: [runOf(2, { status: "RUNNING", dueAt: at + 3 })] })
      yield* Scope.close(scope, Exit.void)
      yield* heard.b.untilLast({ _tag: "RunsDue", ...place, dueAt: at + 3 })
    })
  )

  it.live("say that something may have been missed when the connection that listens breaks, and listen again", () =>
    Effect.gen(function* () {
      const { a, b, heard, url } = yield* pair
      const killed = yield* query(
        url,
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
          WHERE datname = current_database() AND query LIKE 'LISTEN%' AND pid <> pg_backend_pid()`
      )
      assert.lengthOf(killed, 2)
      // nobody hears this
      yield* write(a, { insertRuns: [endedRun(1)] })
      assert.include(yield* Effect.map(heard.b.until("Missed"), (hints) => hints.map(({ _tag }) => _tag)), "Missed")
      yield* heard.a.until("Missed")
      yield* write(a, { insertRuns: [endedRun(2)] })
      yield* write(b, { insertRuns: [endedRun(3)] })
      assert.deepStrictEqual((yield* heard.b.until("RunEnded")).at(-1), ended(2))
      assert.deepStrictEqual((yield* heard.a.until("RunEnded")).at(-1), ended(3))
    })
  )

  it.live("say only that something was missed where there is more to tell than a notification holds", () =>
    Effect.gen(function* () {
      const { a, heard } = yield* pair
      yield* write(a, { insertRuns: [runOf(1, { workflowType: "x".repeat(9_000) })] })
      assert.deepStrictEqual(yield* heard.b.until("Missed"), [{ _tag: "Missed" }])
      // several notifications
      yield* write(a, { insertRuns: Array.from({ length: 300 }, (_, index) => endedRun(1_000 + index)) })
      const hints = []
      while (hints.length < 300) hints.push(...(yield* heard.b.until("RunEnded")))
      assert.deepStrictEqual(
        hints,
        Array.from({ length: 300 }, (_, index) => ended(1_000 + index))
      )
    })
  )

  it.live("are not heard by those of another schema", () =>
    Effect.gen(function* () {
      const { a, heard, url } = yield* pair
      const other = yield* open(url, { schema: "other" })
      yield* write(other, { insertRuns: [endedRun(1)] })
      yield* write(a, { insertRuns: [endedRun(2)] })
      assert.deepStrictEqual(yield* heard.b.until("RunEnded"), [ended(2)])
    })
  )
})

const hour = 3_600_000

describe("the time of a store", () => {
  it.live("is the database's, whatever the clock of the machine says", () =>
    Effect.gen(function* () {
      const url = yield* emptyDatabase
      const clock = yield* Clock.Clock
      const wrong: Clock.Clock = Object.assign(Object.create(clock), {
        currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe() - hour,
        currentTimeMillis: Effect.map(clock.currentTimeMillis, (now) => now - hour)
      })
      const store = yield* Effect.provideService(open(url), Clock.Clock, wrong)
      const ask = Effect.map(
        query(url, "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS now"),
        ([row]) => Number(row?.now)
      )
      const before = yield* ask
      const now = yield* store.now
      const after = yield* ask
      assert.isTrue(Number.isInteger(now))
      // how exact it is depends on how soon the database answers
      assert.isAtLeast(now, before - 1_000)
      assert.isAtMost(now, after + 1_000)
    })
  )

  it.live("never goes back, and goes on while the database is asked again", () =>
    Effect.gen(function* () {
      const store = yield* open(yield* emptyDatabase)
      yield* prepare(store, 1)
      let last = yield* store.now
      const first = last
      while (last < first + 20) {
        const now = yield* store.now
        assert.isAtLeast(now, last)
        last = now
        yield* Effect.yieldNow
      }
    })
  )
})
