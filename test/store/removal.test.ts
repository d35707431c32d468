/** What is left in the database itself of runs that were removed, also by processes that are killed or by two at once. */
import { statSync } from "node:fs"
import { DatabaseSync } from "node:sqlite"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Option } from "effect"
import * as PostgresStore from "../../src/store/postgres/PostgresStore.ts"
import * as SqliteStore from "../../src/store/sqlite/SqliteStore.ts"
import { type Removable, type Shape, Store, type StoreError } from "../../src/store/Store.ts"
import { id, write } from "../contract/store/fixtures.ts"
import { database, query, session } from "../support/postgres.ts"
import { open } from "./counting.ts"
import { start } from "./process.ts"
import { temporaryFile } from "./temporary.ts"
import { ended, smallRoom, stepCountOf } from "./written.ts"

const count = 400

const all: Removable = { namespace: "default", status: "COMPLETED", endedBy: Number.MAX_SAFE_INTEGER }

const removeAll = Effect.fnUntraced(function* (store: Shape) {
  let removed = 0
  while (yield* store.removeLeftSteps(smallRoom)) {}
  let next: Removable | undefined = all
  while (next !== undefined) {
    const removal: Effect.Success<ReturnType<Shape["removeEnded"]>> = yield* store.removeEnded(next, smallRoom)
    removed += removal.removed
    if (removal.stepsLeft) while (yield* store.removeLeftSteps(smallRoom)) {}
    next = removal.next === undefined ? undefined : { ...all, after: removal.next }
  }
  return removed
})

/** How many of the runs there are. Fails unless they are the newest, each is whole, and they are counted as many. */
const wholeRuns = Effect.fnUntraced(function* (store: Shape) {
  let gone = 0
  for (let n = 1; n <= count; n++) {
    const run = Option.getOrUndefined(yield* store.getRun("default", id(n)))
    const steps = yield* store.listSteps({ namespace: "default", runId: id(n) }, { limit: 100, count: true })
    if (run === undefined) {
      assert.strictEqual(gone, n - 1)
      gone = n
      assert.deepStrictEqual(steps, { items: [], hasMore: false, total: 0 })
      assert.isTrue(Option.isNone(yield* store.getStep("default", id(n * 100))))
    } else {
      assert.deepStrictEqual(new TextDecoder().decode(run.input.data), `"input ${n}"`)
      assert.deepStrictEqual(new TextDecoder().decode(run.output?.data), `"output ${n}"`)
      assert.strictEqual(steps.items.length, stepCountOf(n))
    }
  }
  const counts = yield* store.countRuns(undefined)
  assert.strictEqual(counts[0]?.count ?? 0, count - gone)
  return count - gone
})

/** Kills a process again and again that removes runs, and looks at what it leaves. */
const killRepeatedly = Effect.fnUntraced(function* (
  place: string,
  withStore: <A>(effect: (store: Shape) => Effect.Effect<A, StoreError>) => Effect.Effect<A, StoreError>
) {
  let left = count
  for (const transactions of [1, 9, 25, 2, 30]) {
    // it is killed while it goes on, and can't get far before
    const child = yield* start("remove", place, String(transactions + 4))
    yield* child.said(transactions)
    yield* child.kill
    const told = child
      .lines()
      .map(Number)
      .reduce((sum, removed) => sum + removed, 0)
    const remaining = yield* withStore(wholeRuns)
    // what was acknowledged, and at most one transaction that nobody was told of
    assert.isAtMost(remaining, left - told)
    assert.isAtLeast(remaining, left - told - 3)
    left = remaining
  }
  assert.isAbove(left, 0)
  assert.strictEqual(yield* withStore(removeAll), left)
})

describe("a SQLite store", () => {
  const withStore =
    (file: string) =>
    <A, R>(effect: (store: Shape) => Effect.Effect<A, StoreError, R>) =>
      Store.use(effect).pipe(Effect.provide(Layer.fresh(SqliteStore.layer(file)), { local: true }))

  const fill = (file: string) =>
    write(ended(count)).pipe(Effect.provide(Layer.fresh(SqliteStore.layer(file)), { local: true }))

  const rows = (file: string) => {
    const db = new DatabaseSync(file)
    const tables = [
      "runs",
      "run_progress",
      "run_inputs",
      "run_outputs",
      "steps",
      "step_inputs",
      "step_outputs",
      "removals"
    ]
    const found = tables.map((table) => db.prepare(`SELECT count(*) AS rows FROM ${table}`).get()?.rows)
    db.close()
    return found
  }
  const none = Array(8).fill(0)

  it.live("holds whole runs only, whenever it is killed while it removes some", () =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      yield* fill(file)
      yield* killRepeatedly(file, withStore(file))
      assert.deepStrictEqual(rows(file), none)
    })
  )

  it.live("uses the room of what was removed again", () =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      const sizes: Array<number> = []
      for (let round = 0; round < 3; round++) {
        yield* fill(file)
        sizes.push(statSync(file).size)
        assert.strictEqual(yield* withStore(file)(removeAll), count)
        assert.deepStrictEqual(rows(file), none)
      }
      assert.isAbove(sizes[0]!, 500_000)
      for (const size of sizes) assert.isAtMost(size, sizes[0]! * 1.05)
    })
  )
})

describe("a PostgreSQL store", () => {
  const rows = (url: string) =>
    query(
      url,
      `SELECT (SELECT count(*) FROM kagzi.runs)::integer AS runs, (SELECT count(*) FROM kagzi.steps)::integer AS steps,
        (SELECT count(*) FROM kagzi.removals)::integer AS removals,
        (SELECT coalesce(sum(runs), 0) FROM kagzi.run_counts)::integer AS counted`
    )
  const none = [{ runs: 0, steps: 0, removals: 0, counted: 0 }]

  const filled = Effect.gen(function* () {
    const url = yield* database
    yield* write(ended(count)).pipe(Effect.provide(Layer.fresh(PostgresStore.layer(url)), { local: true }))
    return url
  })

  it.live("holds whole runs only, whenever a process is killed that removes some", () =>
    Effect.gen(function* () {
      const url = yield* filled
      // what was asked for by a process that is gone may still be carried out
      const alone = query(
        url,
        `SELECT FROM pg_stat_activity
          WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'`
      ).pipe(Effect.repeat({ until: (others) => others.length === 0 }))
      yield* killRepeatedly(url, (effect) => Effect.andThen(alone, Effect.scoped(Effect.flatMap(open(url), effect))))
      assert.deepStrictEqual(yield* rows(url), none)
    })
  )

  it.live("has each run removed once when several servers remove them at the same time", () =>
    Effect.gen(function* () {
      const url = yield* filled
      const stores = yield* Effect.all([open(url), open(url), open(url)], { concurrency: 3 })
      const removed = yield* Effect.forEach(stores, removeAll, { concurrency: 3 })
      assert.strictEqual(
        removed.reduce((sum, more) => sum + more),
        count
      )
      // what one of them held was passed over by the others
      yield* removeAll(stores[0])
      assert.deepStrictEqual(yield* rows(url), none)
    })
  )

  it.live("does not wait for a run that somebody uses, and removes it later", () =>
    Effect.gen(function* () {
      const url = yield* filled
      const store = yield* open(url)
      yield* Effect.scoped(
        Effect.gen(function* () {
          const run = yield* session(url)
          yield* run("BEGIN")
          yield* run(`SELECT FROM kagzi.runs WHERE run_id = '${id(7)}' FOR UPDATE`)
          assert.strictEqual(yield* removeAll(store), count - 1)
          assert.isTrue(Option.isSome(yield* store.getRun("default", id(7))))
          // PostgreSQL may see only later that a connection was closed, and holds its locks until then
          yield* run("ROLLBACK")
        })
      )
      assert.strictEqual(yield* removeAll(store), 1)
      assert.deepStrictEqual(yield* rows(url), none)
    })
  )
})
