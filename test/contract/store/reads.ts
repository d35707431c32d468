/** The reads outside of transactions. */
import { assert, describe } from "@effect/vitest"
import { Effect, Option } from "effect"
import type { Run } from "../../../src/Run.ts"
import { type Cursor, type Page, pageBytes, pageSteps, type RunFilter, Store } from "../../../src/store/Store.ts"
import type { Case } from "./case.ts"
import { at, detail, endedRun, fullRun, fullStep, id, payload, runOf, stepOf, workerOf, write } from "./fixtures.ts"

/** A time that is not over while the tests run. */
const future = 32_503_680_000_000

const withInput = (...runs: ReadonlyArray<ReturnType<typeof runOf>>) => ({
  insertRuns: runs,
  inputs: runs.map((run) => ({ runId: run.runId, payload: payload(`"${run.externalId}"`) }))
})

/** Follows a listing to its end; each page must say exactly whether more follows. */
const follow = <A, E, R>(
  page: (after: Cursor | undefined) => Effect.Effect<Page<A>, E, R>,
  cursor: (item: A) => Cursor
): Effect.Effect<ReadonlyArray<ReadonlyArray<A>>, E, R> =>
  Effect.gen(function* () {
    const pages: Array<ReadonlyArray<A>> = []
    let after: Cursor | undefined
    for (;;) {
      const { hasMore, items } = yield* page(after)
      pages.push(items)
      if (!hasMore) return pages
      after = cursor(items.at(-1)!)
    }
  })

const pagesOfRuns = (filter: RunFilter, limit: number) =>
  Store.use((store) =>
    follow(
      (after) => store.listRuns(filter, { limit, count: false, ...(after && { after }) }),
      (run: Run) => ({ at: run.createdAt, id: run.runId })
    )
  ).pipe(Effect.map((pages) => pages.map((page) => page.map((run) => run.runId))))

export const reads = (test: Case) => {
  describe("a run", () => {
    test(
      "is shown with its payloads and without what only the engine needs",
      Effect.gen(function* () {
        const run = fullRun(1, { status: "COMPLETED" })
        yield* write({
          insertRuns: [run],
          inputs: [{ runId: id(1), payload: payload("1") }],
          outputs: [{ runId: id(1), payload: payload("2") }]
        })
        const { claimedAt, dueAt, expiries, leaseEpoch, retryPolicy, sequence, stepCount, stepFailed, ...shown } = run
        const expected = Option.some({ ...shown, error: detail, input: payload("1"), output: payload("2") })
        const store = yield* Store
        assert.deepStrictEqual(yield* store.getRun("default", id(1)), expected)
        assert.deepStrictEqual(yield* store.getRunByExternalId("default", run.externalId), expected)
        assert.deepStrictEqual(yield* store.getRun("other", id(1)), Option.none())
        assert.deepStrictEqual(yield* store.getRun("default", id(2)), Option.none())
        assert.deepStrictEqual(yield* store.getRunByExternalId("other", run.externalId), Option.none())
      })
    )
    test(
      "can be read in parts, each for itself",
      Effect.gen(function* () {
        yield* write({
          insertRuns: [fullRun(1, { status: "COMPLETED" }), runOf(2)],
          inputs: [{ runId: id(1), payload: payload("1", { a: "b" }) }],
          outputs: [{ runId: id(1), payload: payload("2") }]
        })
        const store = yield* Store
        assert.deepStrictEqual(
          yield* store.getRunRecord("default", id(1)),
          Option.some(fullRun(1, { status: "COMPLETED" }))
        )
        assert.deepStrictEqual(yield* store.getRunRecord("other", id(1)), Option.none())
        assert.deepStrictEqual(yield* store.getInput(id(1)), Option.some(payload("1", { a: "b" })))
        assert.deepStrictEqual(yield* store.getOutput(id(1)), Option.some(payload("2")))
        assert.deepStrictEqual(yield* store.getOutput(id(2)), Option.none())
        assert.deepStrictEqual(yield* store.getInput(id(3)), Option.none())
      })
    )
    test(
      "is told with its output, with others, when it has ended",
      Effect.gen(function* () {
        const failed = endedRun(2, { status: "FAILED", error: detail })
        yield* write({
          insertRuns: [endedRun(1), failed, runOf(3), endedRun(4, { status: "CANCELLED" }), endedRun(5)],
          outputs: [{ runId: id(1), payload: payload("1", { a: "b" }) }]
        })
        const store = yield* Store
        assert.deepStrictEqual(yield* store.endedRuns([id(4), id(3), id(2), id(1), id(9), id(1)]), {
          runs: [
            { run: endedRun(1), output: payload("1", { a: "b" }) },
            { run: failed },
            { run: endedRun(4, { status: "CANCELLED" }) }
          ],
          hasMore: false
        })
        assert.deepStrictEqual(yield* store.endedRuns([]), { runs: [], hasMore: false })
      })
    )
    test(
      "is told with others that have ended as far as their outputs fit into a page",
      Effect.gen(function* () {
        const large = (n: number) => ({
          runId: id(n),
          payload: { data: new Uint8Array(pageBytes / 2), metadata: {} }
        })
        yield* write({ insertRuns: [1, 2, 3, 4].map((n) => endedRun(n)), outputs: [1, 2, 3].map(large) })
        const store = yield* Store
        const ask = (...runs: ReadonlyArray<number>) =>
          Effect.map(store.endedRuns(runs.map(id)), ({ hasMore, runs }) => [runs.map(({ run }) => run.runId), hasMore])
        assert.deepStrictEqual(yield* ask(1, 2, 3, 4), [[id(1), id(2)], true])
        assert.deepStrictEqual(yield* ask(3, 4), [[id(3), id(4)], false])
        assert.deepStrictEqual(yield* ask(1, 4), [[id(1), id(4)], false])
      })
    )
    test(
      "counts as lost where it is not executed under that lease",
      Effect.gen(function* () {
        const held = (n: number, lease: number) => ({ runId: id(n), lease })
        const runs = [
          runOf(1, { status: "RUNNING", leaseEpoch: 3 }),
          runOf(2, { status: "RUNNING", leaseEpoch: 4 }),
          runOf(3, { leaseEpoch: 3 }),
          endedRun(4, { leaseEpoch: 3 })
        ]
        yield* write({ insertRuns: runs })
        const store = yield* Store
        const lost = yield* store.lostRuns([1, 2, 3, 4, 5].map((n) => held(n, 3)))
        assert.deepStrictEqual(
          [...lost].sort((a, b) => (a.runId < b.runId ? -1 : 1)),
          runs.slice(1)
        )
        assert.deepStrictEqual(yield* store.lostRuns([]), [])
      })
    )
    test(
      "says when it wakes while it sleeps or is delayed, and not otherwise",
      Effect.gen(function* () {
        yield* write(
          withInput(
            runOf(1, { status: "SLEEPING", dueAt: 5 }),
            runOf(2, { dueAt: future }),
            runOf(3, { dueAt: 5 }),
            runOf(4, { status: "RUNNING", dueAt: future })
          )
        )
        const store = yield* Store
        const wakes = yield* Effect.forEach([1, 2, 3, 4], (n) =>
          Effect.map(store.getRun("default", id(n)), (run) => Option.getOrThrow(run).wakeUpAt)
        )
        assert.deepStrictEqual(wakes, [5, future, undefined, undefined])
      })
    )
    test(
      "with an external id is the active one, else the newest that has ended",
      Effect.gen(function* () {
        const store = yield* Store
        const found = Effect.map(store.getRunByExternalId("default", "x"), (run) => Option.getOrThrow(run).runId)
        yield* write(withInput(endedRun(1, { externalId: "x" }), endedRun(2, { externalId: "x", createdAt: at + 1 })))
        assert.strictEqual(yield* found, id(2))
        yield* write(withInput(runOf(3, { externalId: "x", createdAt: at - 1 })))
        assert.strictEqual(yield* found, id(3))
      })
    )
  })

  describe("listing runs", () => {
    test(
      "pages newest first, and neither skips nor repeats a run among many of one millisecond",
      Effect.gen(function* () {
        const runs = Array.from({ length: 60 }, (_, n) => runOf(n, { createdAt: at + (n < 7 ? 2 : n < 50 ? 1 : 0) }))
        yield* write(withInput(...[...runs].sort((a, b) => (Number(a.runId.at(-1)) > Number(b.runId.at(-1)) ? 1 : -1))))
        const newest = [...runs].sort((a, b) => b.createdAt - a.createdAt || (a.runId < b.runId ? 1 : -1))
        for (const limit of [1, 7, 20, 59, 60, 61]) {
          const pages = yield* pagesOfRuns({ namespace: "default" }, limit)
          assert.deepStrictEqual(
            pages.flat(),
            newest.map((run) => run.runId)
          )
          assert.strictEqual(pages.length, Math.ceil(60 / limit))
        }
      })
    )
    test(
      "honours every filter, alone and together",
      Effect.gen(function* () {
        yield* write(
          withInput(
            runOf(1),
            runOf(2, { workflowType: "Refund", createdAt: at + 1 }),
            runOf(3, { taskQueue: "slow", createdAt: at + 2, status: "SLEEPING" }),
            endedRun(4, { taskQueue: "slow", workflowType: "Refund", createdAt: at + 3 }),
            runOf(5, { namespace: "other" })
          )
        )
        const listed = (filter: Partial<RunFilter>) =>
          Store.use((store) =>
            store.listRuns({ namespace: "default", ...filter }, { limit: 10, count: true }).pipe(
              Effect.map((page) => {
                assert.strictEqual(page.total, page.items.length)
                assert.isFalse(page.hasMore)
                return page.items.map((run) => run.runId)
              })
            )
          )
        assert.deepStrictEqual(yield* listed({}), [4, 3, 2, 1].map(id))
        assert.deepStrictEqual(yield* listed({ namespace: "other" }), [id(5)])
        assert.deepStrictEqual(yield* listed({ namespace: "none" }), [])
        assert.deepStrictEqual(yield* listed({ status: "PENDING" }), [2, 1].map(id))
        assert.deepStrictEqual(yield* listed({ workflowType: "Refund" }), [4, 2].map(id))
        assert.deepStrictEqual(yield* listed({ taskQueue: "slow" }), [4, 3].map(id))
        assert.deepStrictEqual(yield* listed({ createdAfter: at + 1 }), [4, 3].map(id))
        assert.deepStrictEqual(yield* listed({ createdBefore: at + 1 }), [id(1)])
        assert.deepStrictEqual(yield* listed({ createdAfter: at, createdBefore: at + 3 }), [3, 2].map(id))
        const all = {
          status: "COMPLETED",
          workflowType: "Refund",
          taskQueue: "slow",
          createdAfter: at + 2,
          createdBefore: at + 4
        } as const
        assert.deepStrictEqual(yield* listed(all), [id(4)])
        assert.deepStrictEqual(yield* listed({ ...all, status: "FAILED" }), [])
      })
    )
    test(
      "counts all that match, whatever the page, and only when asked to",
      Effect.gen(function* () {
        yield* write(withInput(...Array.from({ length: 5 }, (_, n) => runOf(n))))
        const store = yield* Store
        const first = yield* store.listRuns({ namespace: "default" }, { limit: 2, count: true })
        const last = { at: first.items[1]!.createdAt, id: first.items[1]!.runId }
        const second = yield* store.listRuns({ namespace: "default" }, { limit: 2, count: true, after: last })
        assert.deepStrictEqual([first.total, second.total], [5, 5])
        assert.notProperty(yield* store.listRuns({ namespace: "default" }, { limit: 2, count: false }), "total")
      })
    )
    test(
      "ends a page before its payloads grow too large, and goes on with the next",
      Effect.gen(function* () {
        const large = { data: new Uint8Array(pageBytes / 2), metadata: {} }
        const runs = Array.from({ length: 5 }, (_, n) => runOf(n))
        yield* write({ insertRuns: runs, inputs: runs.map(({ runId }) => ({ runId, payload: large })) })
        yield* write({ outputs: [{ runId: id(2), payload: { data: new Uint8Array(pageBytes), metadata: {} } }] })
        const pages = yield* pagesOfRuns({ namespace: "default" }, 100)
        assert.deepStrictEqual(pages, [[4, 3].map(id), [id(2)], [1, 0].map(id)])
      })
    )
  })

  describe("steps", () => {
    test(
      "are shown without what only the engine needs",
      Effect.gen(function* () {
        yield* write({ insertRuns: [runOf(1), runOf(2)], insertSteps: [fullStep(1), stepOf(2)] })
        const { position, retryPolicy, ...shown } = fullStep(1)
        const store = yield* Store
        assert.deepStrictEqual(yield* store.getStep("default", id(1)), Option.some(shown))
        assert.deepStrictEqual(yield* store.getStep("other", id(1)), Option.none())
        assert.deepStrictEqual(yield* store.getStep("default", id(3)), Option.none())
        const page = yield* store.listSteps(
          { namespace: "default", runId: id(1), name: "step-1" },
          { limit: 9, count: false }
        )
        assert.deepStrictEqual(page, { items: [shown], hasMore: false })
      })
    )
    test(
      "are listed with all attempts, oldest first, and pages neither skip nor repeat one",
      Effect.gen(function* () {
        const steps = Array.from({ length: 40 }, (_, n) =>
          stepOf(n, { name: n % 2 === 0 ? "even" : "odd", attempt: n + 1, createdAt: at - (n < 30 ? 0 : 1) })
        )
        yield* write({ insertRuns: [runOf(1), runOf(2)], insertSteps: [...steps, stepOf(50, { runId: id(2) })] })
        const oldest = [...steps].sort((a, b) => a.createdAt - b.createdAt || (a.stepId < b.stepId ? -1 : 1))
        const store = yield* Store
        for (const name of [undefined, "even"]) {
          const expected = oldest.filter((step) => name === undefined || step.name === name).map((step) => step.stepId)
          const filter = { namespace: "default", runId: id(1), ...(name && { name }) }
          for (const limit of [1, 7, 20, 40, 41]) {
            const pages = yield* follow(
              (after) => store.listSteps(filter, { limit, count: false, ...(after && { after }) }),
              (step) => ({ at: step.createdAt, id: step.stepId })
            )
            assert.deepStrictEqual(
              pages.flat().map((step) => step.stepId),
              expected
            )
            assert.strictEqual(pages.length, Math.ceil(expected.length / limit))
          }
          const page = yield* store.listSteps(filter, { limit: 3, count: true })
          assert.deepStrictEqual([page.items.length, page.total, page.hasMore], [3, expected.length, true])
        }
        const other = yield* store.listSteps({ namespace: "other", runId: id(1) }, { limit: 3, count: true })
        assert.deepStrictEqual(other, { items: [], hasMore: false, total: 0 })
      })
    )
  })

  describe("history", () => {
    const sized = (n: number, bytes: number) =>
      stepOf(n, { status: "COMPLETED", input: payload("1"), output: { data: new Uint8Array(bytes - 1), metadata: {} } })
    const history = (after: number, maxBytes: number) =>
      Store.use((store) => store.history(id(1), after, maxBytes)).pipe(
        Effect.map(({ hasMore, steps }) => ({ hasMore, positions: steps.map((step) => step.position) }))
      )
    test(
      "is the latest attempt of every step by position, as it was recorded",
      Effect.gen(function* () {
        const latest = fullStep(4, { name: "a", attempt: 3, position: 1 })
        yield* write({
          insertRuns: [runOf(1), runOf(2)],
          insertSteps: [
            stepOf(1, { name: "b", position: 2 }),
            stepOf(2, { name: "a", attempt: 1, position: 1 }),
            stepOf(3, { name: "a", attempt: 2, position: 1 }),
            latest,
            stepOf(5, { runId: id(2), position: 1 })
          ]
        })
        const store = yield* Store
        assert.deepStrictEqual(yield* store.history(id(1), 0, 1000), {
          steps: [latest, stepOf(1, { name: "b", position: 2 })],
          hasMore: false
        })
        assert.deepStrictEqual(yield* store.history(id(9), 0, 1000), { steps: [], hasMore: false })
      })
    )
    test(
      "skips older attempts, however many there are",
      Effect.gen(function* () {
        const attempts = (position: number, count: number) =>
          Array.from({ length: count }, (_, n) =>
            stepOf(1_000 * position + n, { name: `step-${position}`, position, attempt: n + 1, status: "FAILED" })
          )
        const steps = [
          attempts(1, 1),
          attempts(2, 300),
          attempts(3, 2),
          attempts(4, 48),
          attempts(5, 101),
          attempts(6, 1)
        ]
        yield* write({ insertRuns: [runOf(1)], insertSteps: steps.flat() })
        const store = yield* Store
        const found = yield* store.history(id(1), 0, 1e9)
        assert.isFalse(found.hasMore)
        assert.deepStrictEqual(
          found.steps.map(({ attempt, position }) => [position, attempt]),
          steps.map((all, index) => [index + 1, all.length])
        )
      })
    )
    test(
      "has so many steps a page at most, however small they are",
      Effect.gen(function* () {
        const steps = Array.from({ length: 2 * pageSteps }, (_, n) => sized(n + 1, 1))
        yield* write({ insertRuns: [runOf(1)], insertSteps: steps })
        const pages = yield* Effect.forEach([0, pageSteps, 2 * pageSteps], (after) => history(after, 1e9))
        assert.deepStrictEqual(
          pages.map(({ hasMore, positions }) => [positions[0], positions.length, hasMore]),
          [
            [1, pageSteps, true],
            [pageSteps + 1, pageSteps, false],
            [undefined, 0, false]
          ]
        )
      })
    )
    test(
      "pages by bytes of payloads, with one step at least",
      Effect.gen(function* () {
        yield* write({
          insertRuns: [runOf(1), runOf(2)],
          insertSteps: [sized(1, 100), sized(2, 100), sized(3, 5000), sized(4, 1), sized(5, 99)]
        })
        assert.deepStrictEqual(yield* history(0, 200), { positions: [1, 2], hasMore: true })
        assert.deepStrictEqual(yield* history(0, 199), { positions: [1], hasMore: true })
        assert.deepStrictEqual(yield* history(2, 200), { positions: [3], hasMore: true })
        assert.deepStrictEqual(yield* history(3, 100), { positions: [4, 5], hasMore: false })
        assert.deepStrictEqual(yield* history(0, 10_000), { positions: [1, 2, 3, 4, 5], hasMore: false })
        assert.deepStrictEqual(yield* history(5, 100), { positions: [], hasMore: false })
      })
    )
  })

  describe("timers", () => {
    test(
      "nextDue is the earliest due time of the types on the queue, due or not",
      Effect.gen(function* () {
        yield* write({
          insertRuns: [
            runOf(1, { dueAt: at + 9 }),
            runOf(2, { dueAt: at + 7, workflowType: "Refund" }),
            runOf(3, { dueAt: at + 8, status: "SLEEPING" }),
            runOf(4, { dueAt: at, workflowType: "Other" }),
            runOf(5, { dueAt: at, taskQueue: "other" }),
            runOf(6, { dueAt: at, namespace: "other" }),
            endedRun(7)
          ]
        })
        const store = yield* Store
        const next = (types: ReadonlyArray<string>) => store.nextDue("default", "orders", types)
        assert.deepStrictEqual(yield* next(["Order"]), Option.some(at + 8))
        assert.deepStrictEqual(yield* next(["Order", "Refund"]), Option.some(at + 7))
        assert.deepStrictEqual(yield* next(["None"]), Option.none())
        assert.deepStrictEqual(yield* next([]), Option.none())
      })
    )
    test(
      "quietest is when the worker that was silent longest was last heard of, offline ones left out",
      Effect.gen(function* () {
        const store = yield* Store
        assert.deepStrictEqual(yield* store.quietest, Option.none())
        yield* write({
          insertWorkers: [
            workerOf(1, { lastHeartbeatAt: at + 2 }),
            workerOf(2, { lastHeartbeatAt: at + 1, status: "DRAINING" }),
            workerOf(3, { lastHeartbeatAt: at, status: "OFFLINE" })
          ]
        })
        assert.deepStrictEqual(yield* store.quietest, Option.some(at + 1))
      })
    )
    test(
      "now is a time and ping succeeds",
      Effect.gen(function* () {
        const store = yield* Store
        assert.isAbove(yield* store.now, at - 1e12)
        yield* store.ping
      })
    )
  })
}
