/** Transactions that decide by what their server wrote last, while another server changes just that. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, type Scope } from "effect"
import type { Changes, Rows, RunRecord, Shape, StoreError, Wants } from "../../src/store/Store.ts"
import {
  at,
  endedRun,
  id,
  namespaceOf,
  noChanges,
  noWants,
  payload,
  runOf,
  stepOf,
  workerOf
} from "../contract/store/fixtures.ts"
import { emptyDatabase, query, session } from "../support/postgres.ts"
import { open } from "./counting.ts"

const write = (store: Shape, changes: Partial<Changes>, wants: Partial<Wants> = {}) =>
  store.transact({ ...noWants, ...wants }, () => ({ changes: { ...noChanges, ...changes }, value: undefined }))

/** Writes what is decided, and gives the rows of each decision: of the one that held, and of those before it. */
const decide = Effect.fnUntraced(function* (
  store: Shape,
  wants: Partial<Wants>,
  changesOf: (rows: Rows) => Partial<Changes>
) {
  const seen: Array<Rows> = []
  yield* store.transact({ ...noWants, ...wants }, (rows) => {
    seen.push(rows)
    return { changes: { ...noChanges, ...changesOf(rows) }, value: undefined }
  })
  return seen
})

const executing = runOf(1, { status: "RUNNING", workerId: id(800), leaseEpoch: 1, claimedAt: at, dueAt: at + 100 })
const later: Partial<Wants> = { runs: new Set([id(1)]), steps: [{ runId: id(1), name: "charge" }] }
const counted = ({ runs }: Rows): Partial<Changes> => ({
  updateRuns: runs.map((run): RunRecord => ({ ...run, sequence: run.sequence + 1 }))
})

const claim = {
  namespace: "default",
  taskQueue: "orders",
  workflowTypes: ["Order"],
  dueBy: at + 10,
  limit: 2
}
const start: Partial<Wants> = {
  namespaces: new Set(["default"]),
  workers: new Set([id(800)]),
  externalIds: [{ namespace: "default", externalId: "order-2" }],
  claims: [claim]
}
const started = (): Partial<Changes> => ({
  insertRuns: [runOf(2, { status: "RUNNING", workerId: id(800), dueAt: at + 100 })],
  inputs: [{ runId: id(2), payload: payload("1") }]
})

/** A clock by which no connection is ever left alone for long. */
const standing = (clock: Clock.Clock): Clock.Clock =>
  Object.assign(Object.create(clock), { monotonicTimeNanosUnsafe: () => 0n })

const untilSomebodyWaits = Effect.fnUntraced(function* (url: string) {
  const waiting = query(url, "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
  while ((yield* waiting).length === 0) yield* Effect.sleep("5 millis")
})

const test = (
  name: string,
  body: (a: Shape, b: Shape, url: string) => Effect.Effect<void, StoreError, Scope.Scope>
): void =>
  it.live(name, () =>
    Effect.gen(function* () {
      const url = yield* emptyDatabase
      const [a, b] = [yield* open(url), yield* open(url)] as const
      yield* write(a, {
        insertNamespaces: [namespaceOf()],
        insertWorkers: [workerOf(800)],
        insertRuns: [executing]
      })
      // a has written the run, and looked at the rest
      yield* decide(a, start, () => ({ insertRuns: [endedRun(3)] }))
      yield* body(a, b, url)
    }).pipe(Effect.updateService(Clock.Clock, standing))
  )

describe("a store that knows what it wrote", () => {
  test("asks for nothing of it, nor of steps that it knows there are none of", (a) =>
    Effect.gen(function* () {
      const [first, ...more] = yield* decide(a, later, (rows) => ({
        ...counted(rows),
        insertSteps: [stepOf(10, { runId: id(1), name: "charge" })]
      }))
      assert.lengthOf(more, 0)
      assert.deepStrictEqual([first!.runs, first!.steps], [[executing], []])
      const [second] = yield* decide(a, { ...later, stepIds: new Set([id(10)]) }, counted)
      assert.deepStrictEqual(second!.runs, [{ ...executing, sequence: 1 }])
      assert.deepStrictEqual(second!.steps, [stepOf(10, { runId: id(1), name: "charge" })])
    }))

  test("decides again when another one has changed the run", (a, b) =>
    Effect.gen(function* () {
      yield* decide(b, { runs: new Set([id(1)]) }, ({ runs }) => ({
        updateRuns: runs.map((run) => ({ ...run, leaseEpoch: 2 }))
      }))
      const seen = yield* decide(a, later, counted)
      assert.deepStrictEqual(
        seen.map(({ runs }) => runs),
        [[executing], [{ ...executing, leaseEpoch: 2 }]]
      )
      assert.deepStrictEqual((yield* decide(b, later, counted)).at(-1)!.runs, [
        { ...executing, leaseEpoch: 2, sequence: 1 }
      ])
    }))

  test("decides again when another one has written a step of the run, and nothing else", (a, b) =>
    Effect.gen(function* () {
      const step = stepOf(10, { runId: id(1), name: "charge" })
      yield* write(b, { insertSteps: [step] })
      const seen = yield* decide(a, later, counted)
      assert.deepStrictEqual(
        seen.map(({ steps }) => steps),
        [[], [step]]
      )
    }))

  test("does not answer by rows that nobody has verified", (a, b) =>
    Effect.gen(function* () {
      yield* decide(b, { runs: new Set([id(1)]) }, ({ runs }) => ({
        updateRuns: runs.map((run) => ({ ...run, leaseEpoch: 2 }))
      }))
      const seen = yield* decide(a, later, () => ({}))
      assert.deepStrictEqual(
        seen.map(({ runs }) => runs[0]?.leaseEpoch),
        [1, 2]
      )
    }))

  test("starts and claims without a look where nothing is due", (a) =>
    Effect.gen(function* () {
      const seen = yield* decide(a, start, started)
      assert.lengthOf(seen, 1)
      assert.deepStrictEqual(
        [seen[0]!.namespaces, seen[0]!.workers, seen[0]!.claims, seen[0]!.occupancy],
        [[namespaceOf()], [workerOf(800)], [[]], []]
      )
    }))

  test("sees a run that another one has put into the queue", (a, b) =>
    Effect.gen(function* () {
      yield* write(b, { insertRuns: [runOf(4)] })
      const seen = yield* decide(a, start, started)
      assert.deepStrictEqual(
        seen.map(({ claims }) => claims),
        [[[]], [[id(4)]]]
      )
    }))

  test("sees a limit that another one has declared", (a, b) =>
    Effect.gen(function* () {
      yield* write(b, { insertWorkers: [workerOf(801, { queueConcurrencyLimit: 5 })] })
      const seen = yield* decide(a, start, started)
      assert.deepStrictEqual(
        seen.map(({ occupancy }) => occupancy.map(({ limit }) => limit)),
        [[], [5]]
      )
    }))

  test("sees a limit that was declared while it waited for the worker", (a, b, url) =>
    Effect.gen(function* () {
      const other = yield* session(url)
      yield* other("BEGIN")
      yield* other(`SELECT FROM kagzi.workers WHERE worker_id = '${id(800)}' FOR UPDATE`)
      const deciding = yield* Effect.forkChild(decide(a, start, started))
      yield* untilSomebodyWaits(url)
      yield* write(b, { insertWorkers: [workerOf(801, { queueConcurrencyLimit: 5 })] })
      yield* other("COMMIT")
      assert.deepStrictEqual(
        (yield* Fiber.join(deciding)).map(({ occupancy }) => occupancy.map(({ limit }) => limit)),
        [[], [5]]
      )
    }))

  test("takes no id for new while starts are repeated", (a) =>
    Effect.gen(function* () {
      const wants = { externalIds: [{ namespace: "default", externalId: "order-1" }] }
      const repeat = decide(a, wants, ({ runs }) =>
        runs.length === 0 ? { insertRuns: [runOf(9, { externalId: "order-1" })] } : {}
      )
      yield* repeat
      assert.lengthOf(yield* repeat, 1)
    }))

  test("sees that a worker drains and that a namespace is switched off", (a, b) =>
    Effect.gen(function* () {
      yield* decide(b, { workers: new Set([id(800)]) }, ({ workers }) => ({
        updateWorkers: workers.map((worker) => ({ ...worker, status: "DRAINING" }))
      }))
      const drained = yield* decide(a, start, started)
      assert.deepStrictEqual(
        drained.map(({ workers }) => workers[0]?.status),
        ["ONLINE", "DRAINING"]
      )
      yield* decide(b, { namespaces: new Set(["default"]) }, () => ({
        updateNamespaces: [namespaceOf({ enabled: false })]
      }))
      const off = yield* decide(a, { namespaces: start.namespaces! }, () => ({ insertRuns: [endedRun(5)] }))
      assert.deepStrictEqual(
        off.map(({ namespaces }) => namespaces[0]?.enabled),
        [true, false]
      )
    }))

  for (const [what, run] of [
    ["that executes", runOf(6, { externalId: "order-2" })],
    ["that has ended since", endedRun(6, { externalId: "order-2" })]
  ] as const) {
    test(`sees a run with the same id ${what}`, (a, b) =>
      Effect.gen(function* () {
        yield* write(b, { insertRuns: [run] })
        const seen = yield* decide(a, { ...start, claims: [] }, ({ runs }) =>
          runs.length === 0 ? started() : { insertRuns: [endedRun(7)] }
        )
        assert.deepStrictEqual(
          seen.map(({ runs }) => runs.map(({ runId }) => runId)),
          [[], [run.runId]]
        )
      }))
  }

  test("sees a run with the same id that has begun and ended while it waited for the id", (a, _, url) =>
    Effect.gen(function* () {
      const other = yield* session(url)
      yield* other("BEGIN")
      // a run that another one has under way, which ends before it is committed
      yield* other(`INSERT INTO kagzi.runs (run_id, namespace, external_id, status, created_at, lease_epoch, priority,
          attempts, expiries, step_count, sequence, step_failed, task_queue, workflow_type, version)
        VALUES ('${id(6)}', 'default', 'order-2', 2, 0, 0, 0, 0, 0, 0, 0, 0, 'orders', 'Order', '')`)
      const deciding = yield* Effect.forkChild(
        decide(a, { ...start, claims: [] }, ({ runs }) =>
          runs.length === 0 ? started() : { insertRuns: [endedRun(7)] }
        )
      )
      yield* untilSomebodyWaits(url)
      yield* other(`UPDATE kagzi.runs SET status = 4 WHERE run_id = '${id(6)}'`)
      yield* other("COMMIT")
      assert.deepStrictEqual(
        (yield* Fiber.join(deciding)).map(({ runs }) => runs.map(({ runId }) => runId)),
        [[], [id(6)]]
      )
    }))

  test("waits for nothing that it knows, since it would not see what came meanwhile", (a, b, url) =>
    Effect.gen(function* () {
      const other = yield* session(url)
      yield* other("BEGIN")
      yield* other(`SELECT FROM kagzi.runs WHERE run_id = '${id(1)}' FOR UPDATE`)
      const deciding = yield* Effect.forkChild(decide(a, { ...later, claims: [claim] }, counted))
      yield* untilSomebodyWaits(url)
      yield* write(b, { insertRuns: [runOf(4)] })
      yield* other("COMMIT")
      assert.deepStrictEqual(
        (yield* Fiber.join(deciding)).map(({ claims }) => claims),
        [[[]], [[id(4)]]]
      )
    }))

  test("looks again when its connection was broken, behind which may be another database", (a, b, url) =>
    Effect.gen(function* () {
      yield* query(
        url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
      )
      // as a database would be that has lost the last commits, and was written since
      yield* query(url, `UPDATE kagzi.runs SET sequence = 7 WHERE run_id = '${id(1)}'`)
      const seen = yield* decide(a, later, counted)
      assert.strictEqual(seen.at(-1)!.runs[0]?.sequence, 7)
      assert.strictEqual((yield* decide(b, later, counted)).at(-1)!.runs[0]?.sequence, 8)
    }))
})
