/** Runs that have ended are removed with all that belongs to them, and nothing else is. */
import { assert, describe } from "@effect/vitest"
import { Effect, Option } from "effect"
import {
  type Removable,
  type RemovalRoom,
  type RunRecord,
  type ScheduleRecord,
  Store
} from "../../../src/store/Store.ts"
import type { Case } from "./case.ts"
import { at, endedRun, fullStep, id, noChanges, noWants, payload, runOf, see, stepOf, write } from "./fixtures.ts"

const roomy: RemovalRoom = { rows: 100, bytes: 1_000_000 }

/** A run that has ended that many milliseconds after its start. */
const ended = (n: number, after = 10, over: Partial<RunRecord> = {}) =>
  endedRun(n, { createdAt: at + n, finishedAt: at + n + after, stepCount: 1, sequence: 1, ...over })

const schedule = (scheduleId: string): ScheduleRecord => ({
  scheduleId,
  namespace: "default",
  createdAt: at,
  taskQueue: "orders",
  workflowType: "Order",
  cronExpr: "* * * * *",
  timezone: "UTC",
  version: "1",
  enabled: true,
  maxCatchup: 1,
  overlap: "allow",
  updatedAt: at,
  totalRuns: 0,
  successfulRuns: 0,
  failedRuns: 0
})

const completed: Removable = { namespace: "default", status: "COMPLETED", endedBy: at + 1_000 }

const store = Store.use((store) => Effect.succeed(store))

/** Removes to the end of the listing, and gives how many each transaction removed. */
const removeAll = Effect.fnUntraced(function* (which: Removable = completed, room: RemovalRoom = roomy) {
  const { removeEnded, removeLeftSteps } = yield* store
  const removed: Array<number> = []
  let after = which.after
  do {
    const removal = yield* removeEnded(after === undefined ? which : { ...which, after }, room)
    removed.push(removal.removed)
    if (removal.stepsLeft) while (yield* removeLeftSteps(room)) {}
    after = removal.next
  } while (after !== undefined)
  return removed
})

const remaining = Effect.gen(function* () {
  const { items, total } = yield* (yield* store).listRuns({ namespace: "default" }, { limit: 1000, count: true })
  assert.strictEqual(total, items.length)
  return items.map(({ runId }) => Number(runId.slice(-12))).sort((a, b) => a - b)
})

const counts = Effect.map(
  Store.use((store) => store.countRuns(undefined)),
  (found) => found.map(({ count, namespace, status }) => `${namespace} ${status} ${count}`)
)

/** Steps of a run as clients see them. What is read for a replay is read of runs that are there. */
const stepsSeen = Effect.fnUntraced(function* (n: number, ...steps: ReadonlyArray<number>) {
  const { getStep, listSteps } = yield* store
  const listed = yield* listSteps({ namespace: "default", runId: id(n) }, { limit: 1000, count: true })
  const found = yield* Effect.forEach(steps, (step) => getStep("default", id(step)))
  return [listed.items.length, listed.total, found.filter(Option.isSome).length]
})

const stepsOf = (run: number, count: number, size = 10) =>
  Array.from({ length: count }, (_, index) =>
    stepOf(run * 1_000 + index, {
      runId: id(run),
      name: `s${index}`,
      position: index + 1,
      input: payload("x".repeat(size))
    })
  )

export const removal = (test: Case) => {
  describe("runs that have ended", () => {
    test(
      "are removed with steps, payloads and ids when they ended by then, and no others",
      Effect.gen(function* () {
        const { endedRuns, getInput, getOutput, getRun, getRunByExternalId, lostRuns, missingRuns } = yield* store
        const large = payload("y".repeat(5_000))
        yield* write({
          insertRuns: [
            ended(1),
            ended(2, 10_000),
            runOf(3, { createdAt: at }),
            runOf(4, { createdAt: at, status: "SLEEPING" }),
            ended(5, 10, { status: "FAILED" }),
            ended(6, 10, { namespace: "other" }),
            // one that ended without anyone noting when
            endedRun(7)
          ],
          inputs: [1, 2].map((n) => ({ runId: id(n), payload: payload(`in ${n}`) })),
          outputs: [1, 2].map((n) => ({ runId: id(n), payload: payload(`out ${n}`) })),
          insertSteps: [
            fullStep(11, { runId: id(1), name: "a" }),
            stepOf(12, { runId: id(1), name: "b", input: large, output: large }),
            stepOf(21, { runId: id(2), name: "a", input: large, output: large })
          ]
        })
        assert.deepStrictEqual(yield* removeAll(), [1])
        assert.deepStrictEqual(yield* remaining, [2, 3, 4, 5, 7])
        assert.isTrue(Option.isNone(yield* getRun("default", id(1))))
        assert.isTrue(Option.isNone(yield* getRunByExternalId("default", "order-1")))
        assert.isTrue(Option.isNone(yield* getInput(id(1))))
        assert.isTrue(Option.isNone(yield* getOutput(id(1))))
        assert.deepStrictEqual(yield* lostRuns([{ runId: id(1), lease: 1 }]), [])
        assert.deepStrictEqual((yield* endedRuns([id(1)])).runs, [])
        assert.deepStrictEqual(yield* missingRuns([id(3), id(1), id(2)]), [id(1)])
        assert.deepStrictEqual((yield* see({ runs: new Set([id(1)]), stepIds: new Set([id(11)]) })).steps, [])
        assert.deepStrictEqual(yield* stepsSeen(1, 11, 12), [0, 0, 0])
        assert.deepStrictEqual(yield* stepsSeen(2, 21), [1, 1, 1])
        const kept = Option.getOrThrow(yield* getRun("default", id(2)))
        assert.deepStrictEqual([kept.input, kept.output], [payload("in 2"), payload("out 2")])
        assert.isTrue(Option.isSome(yield* getRun("other", id(6))))
      })
    )
    test(
      "are removed at the millisecond that is given, and not one before",
      Effect.gen(function* () {
        yield* write({ insertRuns: [ended(1)] })
        assert.deepStrictEqual(yield* removeAll({ ...completed, endedBy: at + 10 }), [0])
        assert.deepStrictEqual(yield* removeAll({ ...completed, endedBy: at + 11 }), [1])
      })
    )
    test(
      "are no longer counted",
      Effect.gen(function* () {
        yield* write({
          insertRuns: [ended(1), ended(2), ended(3, 10_000), ended(4, 10, { status: "CANCELLED" }), runOf(5)]
        })
        yield* removeAll()
        assert.deepStrictEqual(yield* counts, ["default PENDING 1", "default COMPLETED 1", "default CANCELLED 1"])
        yield* removeAll({ ...completed, status: "CANCELLED" })
        yield* removeAll({ ...completed, endedBy: at + 20_000 })
        assert.deepStrictEqual(yield* counts, ["default PENDING 1"])
      })
    )
    test(
      "stay in the numbers of runs of their schedule",
      Effect.gen(function* () {
        const { getSchedule, listRuns } = yield* store
        const scheduleId = id(702)
        yield* write({ insertSchedules: [schedule(scheduleId)], insertRuns: [ended(1, 10, { scheduleId, slot: at })] })
        yield* write({ countScheduleRuns: [{ scheduleId, total: 1, successful: 1, failed: 0 }] })
        assert.deepStrictEqual(yield* removeAll(), [1])
        const found = Option.getOrThrow(yield* getSchedule("default", scheduleId))
        assert.deepStrictEqual([found.totalRuns, found.successfulRuns], [1, 1])
        const { items } = yield* listRuns({ namespace: "default", scheduleId }, { limit: 9, count: false })
        assert.deepStrictEqual(items, [])
        assert.deepStrictEqual((yield* see({ slots: [{ scheduleId, from: at, to: at }] })).slots, [])
      })
    )
    test(
      "are removed oldest first, as many at a time as there is room for rows",
      Effect.gen(function* () {
        const numbers = [1, 2, 3, 4, 5]
        yield* write({
          insertRuns: numbers.map((n) => ended(n)),
          insertSteps: numbers.flatMap((n) => stepsOf(n, 3))
        })
        const { removeEnded } = yield* store
        const first = yield* removeEnded(completed, { ...roomy, rows: 9 })
        assert.deepStrictEqual([first.removed, first.stepsLeft], [2, false])
        assert.deepStrictEqual(yield* remaining, [3, 4, 5])
        assert.strictEqual((yield* removeAll({ ...completed, after: first.next! }, { ...roomy, rows: 4 })).length, 3)
        assert.deepStrictEqual(yield* remaining, [])
      })
    )
    test(
      "are removed as many at a time as there is room for bytes",
      Effect.gen(function* () {
        const big = payload("z".repeat(1_000))
        const numbers = [1, 2, 3, 4]
        yield* write({
          insertRuns: numbers.map((n) => ended(n)),
          inputs: numbers.map((n) => ({ runId: id(n), payload: big })),
          outputs: numbers.map((n) => ({ runId: id(n), payload: big })),
          insertSteps: numbers.flatMap((n) => stepsOf(n, 1, 1_000))
        })
        assert.deepStrictEqual(yield* removeAll(completed, { rows: 100, bytes: 6_500 }), [2, 2])
      })
    )
    test(
      "are found behind any number of those that began before them and ended later",
      Effect.gen(function* () {
        const late = Array.from({ length: 25 }, (_, n) => ended(n + 1, 10_000))
        yield* write({ insertRuns: [...late, ended(30)] })
        const removed = yield* removeAll(completed, { ...roomy, rows: 10 })
        assert.deepStrictEqual(removed, [0, 0, 1])
        assert.strictEqual((yield* remaining).length, 25)
      })
    )
    test(
      "make room for others with their ids, and uncover older ones",
      Effect.gen(function* () {
        const { getRunByExternalId } = yield* store
        const newest = (externalId: string) =>
          Effect.map(getRunByExternalId("default", externalId), (found) => Option.getOrUndefined(found)?.runId)
        yield* write({ insertRuns: [ended(1, 10_000, { externalId: "a" })] })
        yield* write({ insertRuns: [ended(2, 10, { externalId: "a" }), ended(3, 10, { externalId: "b" })] })
        assert.strictEqual(yield* newest("a"), id(2))
        yield* removeAll()
        assert.deepStrictEqual([yield* newest("a"), yield* newest("b")], [id(1), undefined])
        const externalIds = ["a", "b"].map((externalId) => ({ namespace: "default", externalId }))
        assert.deepStrictEqual(
          (yield* see({ externalIds })).runs.map(({ runId }) => runId),
          [id(1)]
        )
        yield* write({ insertRuns: [runOf(4, { externalId: "a" }), runOf(5, { externalId: "b" })] })
        assert.deepStrictEqual([yield* newest("a"), yield* newest("b")], [id(4), id(5)])
      })
    )
    test(
      "leave nothing that a run made later would find",
      Effect.gen(function* () {
        yield* write({ insertRuns: [ended(1), ended(2)], insertSteps: [...stepsOf(1, 3), ...stepsOf(2, 30)] })
        yield* removeAll(completed, { ...roomy, rows: 10 })
        yield* write({ insertRuns: [runOf(3), runOf(4)] })
        const { history } = yield* store
        for (const n of [3, 4]) assert.deepStrictEqual((yield* history(id(n), 0, 1_000)).steps, [])
        for (const n of [3, 4]) assert.deepStrictEqual(yield* stepsSeen(n), [0, 0, 0])
        const { getInput, getOutput } = yield* store
        assert.isTrue(Option.isNone(yield* getOutput(id(3))))
        assert.isTrue(Option.isNone(yield* getInput(id(4))))
      })
    )
  })

  describe("a run that is larger than one transaction may remove", () => {
    const rows = { ...roomy, rows: 10 }
    const prepared = Effect.gen(function* () {
      yield* write({ insertRuns: [ended(1), ended(2), runOf(3)], insertSteps: [...stepsOf(1, 35), ...stepsOf(2, 2)] })
      return yield* store
    })
    test(
      "is gone at once, and its steps are seen no more",
      Effect.gen(function* () {
        const { removeEnded, transact } = yield* prepared
        const removal = yield* removeEnded(completed, rows)
        assert.deepStrictEqual([removal.removed, removal.stepsLeft], [1, true])
        assert.deepStrictEqual(yield* remaining, [2, 3])
        assert.deepStrictEqual(yield* stepsSeen(1, 1_000, 1_034), [0, 0, 0])
        assert.deepStrictEqual(yield* counts, ["default PENDING 1", "default COMPLETED 1"])
        const error = yield* Effect.flip(
          transact(noWants, () => ({
            changes: { ...noChanges, insertSteps: [stepOf(9_000, { runId: id(1) })] },
            value: undefined
          }))
        )
        assert.include(error.message, `run ${id(1)}`)
      })
    )
    test(
      "loses the rest of its steps bit by bit",
      Effect.gen(function* () {
        const { removeEnded, removeLeftSteps } = yield* prepared
        assert.isFalse(yield* removeLeftSteps(rows))
        yield* removeEnded(completed, rows)
        // the last one finds that there are no more
        for (let round = 0; round < 5; round++) assert.isTrue(yield* removeLeftSteps(rows))
        assert.isFalse(yield* removeLeftSteps(rows))
        assert.deepStrictEqual(yield* stepsSeen(2, 2_000, 2_001), [2, 2, 2])
        assert.deepStrictEqual(yield* removeAll(completed, rows), [1])
      })
    )
    test(
      "loses at least one step at a time, however large",
      Effect.gen(function* () {
        const { removeEnded, removeLeftSteps } = yield* store
        yield* write({ insertRuns: [ended(1), runOf(2)], insertSteps: stepsOf(1, 3, 5_000) })
        const small = { rows: 100, bytes: 100 }
        assert.deepStrictEqual(yield* removeEnded(completed, small).pipe(Effect.map(({ removed }) => removed)), 1)
        for (let round = 0; round < 4; round++) assert.isTrue(yield* removeLeftSteps(small))
        assert.isFalse(yield* removeLeftSteps(small))
      })
    )
  })
}
