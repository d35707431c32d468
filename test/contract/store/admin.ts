/** What operators read: namespaces, workers, and how many runs there are of what. */
import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import type { RunRecord } from "../../../src/store/Store.ts"
import { type Cursor, type Page, Store, type WorkerFilter } from "../../../src/store/Store.ts"
import type { Case } from "./case.ts"
import { at, endedRun, id, namespaceOf, noWants, noChanges, runOf, workerOf, write } from "./fixtures.ts"

/** The ids of all items of a listing, page by page. */
const follow = <A, E, R>(
  page: (after: Cursor | undefined) => Effect.Effect<Page<A>, E, R>,
  idOf: (item: A) => string
): Effect.Effect<ReadonlyArray<ReadonlyArray<string>>, E, R> =>
  Effect.gen(function* () {
    const pages: Array<ReadonlyArray<string>> = []
    let after: Cursor | undefined
    for (;;) {
      const { hasMore, items } = yield* page(after)
      pages.push(items.map(idOf))
      if (!hasMore) return pages
      after = { at: 0, id: idOf(items.at(-1)!) }
    }
  })

const workerPages = (filter: WorkerFilter, limit: number) =>
  Store.use((store) =>
    follow(
      (after) => store.listWorkers(filter, { limit, count: false, ...(after && { after }) }),
      ({ workerId }) => workerId
    )
  )

export const admin = (test: Case) => {
  describe("namespaces", () => {
    test(
      "are listed by name, over pages that neither skip nor repeat one",
      Effect.gen(function* () {
        const names = ["b", "a", "B", "a b", "ä", "😀", "\uffff"]
        yield* write({
          insertNamespaces: names.map((namespace, index) => namespaceOf({ namespace, id: id(index) }))
        })
        const sorted = ["B", "a", "a b", "b", "ä", "\uffff", "😀"]
        for (const limit of [1, 2, 7, 100]) {
          const pages = yield* Store.use((store) =>
            follow(
              (after) => store.listNamespaces({ limit, count: false, ...(after && { after }) }),
              ({ namespace }) => namespace
            )
          )
          assert.deepStrictEqual(pages.flat(), sorted)
          assert.strictEqual(pages.length, Math.ceil(sorted.length / limit))
        }
        const counted = yield* Store.use((store) => store.listNamespaces({ limit: 1, count: true }))
        assert.strictEqual(counted.total, 7)
        assert.deepStrictEqual(counted.items[0], namespaceOf({ namespace: "B", id: id(2) }))
      })
    )
  })

  describe("workers", () => {
    test(
      "are listed by id, the last first, by namespace, queue and status",
      Effect.gen(function* () {
        yield* write({
          insertWorkers: [
            workerOf(1),
            workerOf(2, { status: "OFFLINE" }),
            workerOf(3, { taskQueue: "mails" }),
            workerOf(4, { status: "DRAINING", taskQueue: "mails" }),
            workerOf(5, { namespace: "other" }),
            workerOf(6)
          ]
        })
        const namespace = "default"
        for (const limit of [1, 2, 5, 9]) {
          assert.deepStrictEqual((yield* workerPages({ namespace }, limit)).flat(), [6, 4, 3, 2, 1].map(id))
        }
        const ids = (filter: Omit<WorkerFilter, "namespace">) => workerPages({ namespace, ...filter }, 1)
        assert.deepStrictEqual((yield* ids({ taskQueue: "mails" })).flat(), [4, 3].map(id))
        assert.deepStrictEqual((yield* ids({ status: "ONLINE" })).flat(), [6, 3, 1].map(id))
        assert.deepStrictEqual((yield* ids({ status: "ONLINE", taskQueue: "mails" })).flat(), [id(3)])
        assert.deepStrictEqual((yield* ids({ status: "OFFLINE", taskQueue: "mails" })).flat(), [])
        const counted = yield* Store.use((store) =>
          store.listWorkers({ namespace, status: "ONLINE" }, { limit: 1, count: true })
        )
        assert.deepStrictEqual([counted.items.length, counted.hasMore, counted.total], [1, true, 3])
      })
    )
    test(
      "are counted, in one namespace or in all",
      Effect.gen(function* () {
        yield* write({
          insertWorkers: [
            workerOf(1),
            workerOf(2, { status: "OFFLINE" }),
            workerOf(3, { status: "DRAINING" }),
            workerOf(5, { namespace: "other" })
          ]
        })
        const store = yield* Store
        assert.deepStrictEqual(yield* store.countWorkers("default"), { total: 3, online: 1 })
        assert.deepStrictEqual(yield* store.countWorkers("none"), { total: 0, online: 0 })
        assert.deepStrictEqual(yield* store.countWorkers(undefined), { total: 4, online: 2 })
      })
    )
    test(
      "come with the number of runs that they execute",
      Effect.gen(function* () {
        const held = (n: number, worker: number, over: Partial<RunRecord> = {}) =>
          runOf(n, { status: "RUNNING", workerId: id(worker), ...over })
        yield* write({
          insertWorkers: [workerOf(801), workerOf(802)],
          insertRuns: [held(1, 801), held(2, 801), held(3, 801, { status: "PENDING" }), held(4, 803)]
        })
        const store = yield* Store
        const { items } = yield* store.listWorkers({ namespace: "default" }, { limit: 9, count: false })
        assert.deepStrictEqual(
          items.map(({ activeRuns, workerId }) => [workerId, activeRuns]),
          [
            [id(802), 0],
            [id(801), 2]
          ]
        )
        assert.strictEqual((yield* Effect.flatMap(store.getWorker(id(801)), Effect.fromOption)).activeRuns, 2)
      })
    )
  })

  describe("the numbers of runs", () => {
    const counted = (namespace?: string) =>
      Store.use((store) =>
        Effect.map(store.countRuns(namespace), (counts) =>
          counts.map(({ count, ...of }) => [of.namespace, of.taskQueue, of.workflowType, of.status, count].join(" "))
        )
      )
    test(
      "follow every write, by namespace, queue, type and status",
      Effect.gen(function* () {
        yield* write({
          insertRuns: [
            runOf(1),
            runOf(2),
            runOf(3, { taskQueue: "mails" }),
            runOf(4, { workflowType: "Mail" }),
            endedRun(5),
            runOf(6, { namespace: "other" })
          ]
        })
        const before = [
          "default mails Order PENDING 1",
          "default orders Mail PENDING 1",
          "default orders Order PENDING 2",
          "default orders Order COMPLETED 1"
        ]
        assert.deepStrictEqual(yield* counted("default"), before)
        assert.deepStrictEqual(yield* counted(), [...before, "other orders Order PENDING 1"])
        assert.deepStrictEqual(yield* counted("none"), [])
        // With and without the rows as they were.
        yield* write({ updateRuns: [runOf(1, { status: "RUNNING" }), endedRun(4, { workflowType: "Mail" })] })
        const store = yield* Store
        yield* store.transact({ ...noWants, runs: new Set([id(1), id(2)]) }, () => ({
          changes: {
            ...noChanges,
            updateRuns: [endedRun(1, { status: "FAILED" }), runOf(2, { dueAt: at + 7 })],
            insertRuns: [endedRun(7)]
          },
          value: undefined
        }))
        assert.deepStrictEqual(yield* counted("default"), [
          "default mails Order PENDING 1",
          "default orders Mail COMPLETED 1",
          "default orders Order PENDING 1",
          "default orders Order COMPLETED 2",
          "default orders Order FAILED 1"
        ])
      })
    )
    test(
      "stay as they are when a transaction fails",
      Effect.gen(function* () {
        yield* write({ insertRuns: [runOf(1)] })
        yield* Effect.flip(write({ insertRuns: [runOf(2)], updateRuns: [runOf(9)] }))
        assert.deepStrictEqual(yield* counted(), ["default orders Order PENDING 1"])
      })
    )
  })
}
