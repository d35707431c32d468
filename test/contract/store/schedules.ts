/** Schedules: their rows, inputs and counts, the runs of their slots, and who is due. */
import { assert, describe } from "@effect/vitest"
import { Effect, Option } from "effect"
import { type ScheduleRecord, Store } from "../../../src/store/Store.ts"
import type { Case } from "./case.ts"
import { at, endedRun, id, payload, runIds, runOf, see, write } from "./fixtures.ts"

/** An enabled schedule with nothing optional but its next time. */
const scheduleOf = (n: number, over: Partial<ScheduleRecord> = {}): ScheduleRecord => ({
  scheduleId: id(n),
  namespace: "default",
  taskQueue: "orders",
  workflowType: "Order",
  cronExpr: "0 6 * * *",
  timezone: "UTC",
  version: "1",
  enabled: true,
  maxCatchup: 50,
  overlap: "allow",
  totalRuns: 0,
  successfulRuns: 0,
  failedRuns: 0,
  createdAt: at,
  updatedAt: at,
  nextFireAt: at + n,
  ...over
})

const withInputs = (...schedules: ReadonlyArray<ScheduleRecord>) => ({
  insertSchedules: schedules,
  scheduleInputs: schedules.map(({ scheduleId }) => ({ scheduleId, payload: payload(`"${scheduleId}"`) }))
})

const loaded = (...ns: ReadonlyArray<number>) =>
  Effect.map(see({ schedules: new Set(ns.map(id)) }), (rows) => rows.schedules)

export const schedules = (test: Case) => {
  describe("schedules", () => {
    const { nextFireAt: _, ...paused } = scheduleOf(2, { enabled: false, maxCatchup: -1, overlap: "cancel" })
    const full = scheduleOf(1, { timezone: "Europe/Berlin", overlap: "skip", maxCatchup: 0, lastFiredAt: at - 1 })

    test(
      "come back as they were written, with their inputs, and updates change all but counts, names and creation",
      Effect.gen(function* () {
        const store = yield* Store
        yield* write(withInputs(full, paused))
        assert.sameDeepMembers([...(yield* loaded(1, 2, 3))], [full, paused])
        assert.deepStrictEqual(
          yield* store.getSchedule("default", id(1)),
          Option.some({ ...full, input: payload(`"${id(1)}"`) })
        )
        assert.deepStrictEqual(yield* store.getSchedule("other", id(1)), Option.none())
        assert.deepStrictEqual(yield* store.getSchedule("default", id(3)), Option.none())

        const changed: ScheduleRecord = {
          ...paused,
          scheduleId: id(1),
          taskQueue: "other",
          workflowType: "Other",
          cronExpr: "* * * * *",
          timezone: "Asia/Kolkata",
          version: "2",
          updatedAt: at + 9
        }
        const input = payload("[2]", { a: "b" })
        yield* write({
          updateSchedules: [{ ...changed, namespace: "elsewhere", createdAt: 0, totalRuns: 5 }],
          scheduleInputs: [{ scheduleId: id(1), payload: input }]
        })
        assert.deepStrictEqual(yield* store.getSchedule("default", id(1)), Option.some({ ...changed, input }))
      })
    )
    test(
      "that do not exist can't be updated, and neither can their inputs be used",
      Effect.gen(function* () {
        for (const changes of [
          { updateSchedules: [full] },
          { scheduleInputs: [{ scheduleId: id(1), payload: payload("1") }] },
          { insertRuns: [runOf(1)], copyScheduleInputs: [{ runId: id(1), scheduleId: id(1) }] }
        ]) {
          const error = yield* Effect.flip(write(changes))
          assert.include(error.message, `schedule ${id(1)}`)
          assert.isFalse(error.transient)
        }
      })
    )
    test(
      "give their input to runs, also when they are changed or deleted with the same write",
      Effect.gen(function* () {
        const store = yield* Store
        yield* write(withInputs(full, paused))
        const input = payload("[2]", { a: "b" })
        yield* write({
          insertRuns: [runOf(1, { scheduleId: id(1), slot: at }), runOf(2, { scheduleId: id(2), slot: at })],
          scheduleInputs: [{ scheduleId: id(1), payload: input }],
          copyScheduleInputs: [
            { runId: id(1), scheduleId: id(1) },
            { runId: id(2), scheduleId: id(2) }
          ],
          deleteSchedules: [id(2)]
        })
        const inputs = yield* Effect.forEach([1, 2], (n) =>
          Effect.flatMap(store.getRun("default", id(n)), Effect.fromOption)
        )
        assert.deepStrictEqual(
          inputs.map((run) => run.input),
          [input, payload(`"${id(2)}"`)]
        )
        assert.deepStrictEqual(yield* store.getSchedule("default", id(2)), Option.none())
        assert.deepStrictEqual(yield* loaded(2), [])
      })
    )
    test(
      "count their runs by what is added, and no longer when they are gone",
      Effect.gen(function* () {
        yield* write(withInputs(full))
        const add = (total: number, successful: number, failed: number) => ({
          scheduleId: id(1),
          total,
          successful,
          failed
        })
        yield* write({ countScheduleRuns: [add(2, 0, 0), { ...add(1, 1, 1), scheduleId: id(9) }] })
        yield* write({ updateSchedules: [full], countScheduleRuns: [add(1, 2, 1)] })
        const [schedule] = yield* loaded(1)
        assert.deepStrictEqual(schedule, { ...full, totalRuns: 3, successfulRuns: 2, failedRuns: 1 })
        yield* write({ deleteSchedules: [id(1)] })
        yield* write({ countScheduleRuns: [add(1, 0, 0)] })
      })
    )
    test(
      "have one run for each slot, and any number without one",
      Effect.gen(function* () {
        const store = yield* Store
        const run = (n: number, over: object) => runOf(n, { scheduleId: id(901), externalId: `${n}`, ...over })
        yield* write({ insertRuns: [run(1, { slot: at }), run(2, {}), run(3, {}), run(4, { slot: at + 1 })] })
        yield* write({ insertRuns: [run(5, { slot: at, scheduleId: id(902) })] })
        const error = yield* Effect.flip(write({ insertRuns: [run(6, { slot: at })] }))
        assert.isFalse(error.transient)
        assert.deepStrictEqual(yield* store.getRun("default", id(6)), Option.none())
        const rows = yield* see({
          slots: [
            { scheduleId: id(901), from: at, to: at + 1 },
            { scheduleId: id(902), from: at + 1, to: at + 5 }
          ]
        })
        assert.sameDeepMembers(
          [...rows.slots],
          [at, at + 1].map((slot) => ({ scheduleId: id(901), slot }))
        )
        assert.deepStrictEqual((yield* see({ slots: [{ scheduleId: id(901), from: at, to: at }] })).slots.length, 1)
      })
    )
    test(
      "bring the runs of theirs that have not ended, with their slots",
      Effect.gen(function* () {
        const of = { scheduleId: id(901) }
        const sleeping = runOf(2, { ...of, status: "SLEEPING", slot: at + 1 })
        yield* write({
          insertRuns: [
            runOf(1, of),
            sleeping,
            runOf(3, { ...of, status: "RUNNING", workerId: id(801) }),
            endedRun(4, of),
            endedRun(5, { ...of, status: "CANCELLED" }),
            runOf(6, { scheduleId: id(902) }),
            runOf(7)
          ]
        })
        const rows = yield* see({ scheduleRuns: new Set([id(901)]) })
        assert.deepStrictEqual(runIds(rows), [1, 2, 3].map(id))
        assert.deepStrictEqual(
          rows.runs.find((run) => run.runId === id(2)),
          sleeping
        )
      })
    )
    test(
      "are listed newest first, by queue too, and their runs with them",
      Effect.gen(function* () {
        const store = yield* Store
        yield* write(
          withInputs(
            scheduleOf(1),
            scheduleOf(2, { createdAt: at + 1, taskQueue: "other" }),
            scheduleOf(3, { enabled: false }),
            scheduleOf(4, { namespace: "other" })
          )
        )
        const ids = (items: ReadonlyArray<{ readonly scheduleId: string }>) => items.map(({ scheduleId }) => scheduleId)
        const all = yield* store.listSchedules({ namespace: "default" }, { limit: 2, count: true })
        assert.deepStrictEqual([ids(all.items), all.hasMore, all.total], [[id(2), id(3)], true, 3])
        const rest = yield* store.listSchedules(
          { namespace: "default" },
          { limit: 2, count: false, after: { at, id: id(3) } }
        )
        assert.deepStrictEqual([ids(rest.items), rest.hasMore, rest.total], [[id(1)], false, undefined])
        assert.deepStrictEqual(rest.items[0]?.input, payload(`"${id(1)}"`))
        const queue = yield* store.listSchedules(
          { namespace: "default", taskQueue: "orders" },
          { limit: 9, count: true }
        )
        assert.deepStrictEqual([ids(queue.items), queue.total], [[id(3), id(1)], 2])

        yield* write({
          insertRuns: [
            runOf(11, { scheduleId: id(1), slot: 1 }),
            runOf(12, { scheduleId: id(1), createdAt: at + 1 }),
            runOf(13, { scheduleId: id(3) }),
            runOf(14)
          ]
        })
        const runs = yield* store.listRuns({ namespace: "default", scheduleId: id(1) }, { limit: 9, count: true })
        assert.deepStrictEqual([runs.items.map((run) => run.runId), runs.total], [[id(12), id(11)], 2])
        assert.deepStrictEqual(
          (yield* store.listRuns({ namespace: "other", scheduleId: id(1) }, { limit: 9, count: false })).items,
          []
        )
        // The slot is the engine's own business.
        assert.notProperty(runs.items[1], "slot")
      })
    )
    test(
      "that are enabled and have a next time come in the order of it, from all namespaces",
      Effect.gen(function* () {
        const store = yield* Store
        const { nextFireAt, ...without } = scheduleOf(5)
        yield* write(
          withInputs(
            scheduleOf(1, { nextFireAt: at + 2 }),
            scheduleOf(2, { nextFireAt: at, namespace: "other" }),
            scheduleOf(3, { nextFireAt: at }),
            scheduleOf(4, { nextFireAt: at, enabled: false }),
            without
          )
        )
        const due = (...args: Parameters<typeof store.schedulesByDue>) =>
          Effect.map(store.schedulesByDue(...args), (found) =>
            found.map(({ nextFireAt, scheduleId }) => [nextFireAt, scheduleId])
          )
        assert.deepStrictEqual(yield* due(9), [
          [at, id(2)],
          [at, id(3)],
          [at + 2, id(1)]
        ])
        assert.deepStrictEqual(yield* due(1), [[at, id(2)]])
        assert.deepStrictEqual(yield* due(1, { at, id: id(2) }), [[at, id(3)]])
        assert.deepStrictEqual(yield* due(9, { at, id: id(3) }), [[at + 2, id(1)]])
      })
    )
  })
}
