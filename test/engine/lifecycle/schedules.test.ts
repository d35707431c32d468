import { assert, describe } from "@effect/vitest"
import type { ScheduleRecord } from "../../../src/store/Store.ts"
import { at, create, createCommand, fire, fireCommand, of, slots, test } from "./scheduleCommands.ts"
import { payload, read, refusal, type World } from "./World.ts"

describe("creating a schedule", () => {
  test("settles what was left out and finds the next slot", (world) => {
    const schedule = create(world)
    assert.deepStrictEqual(
      [schedule.timezone, schedule.version, schedule.nextFireAt, schedule.createdAt, schedule.updatedAt],
      ["UTC", "1", at("2026-05-04T01:00:00Z"), world.now, world.now]
    )
    const zoned = create(world, { cronExpr: "0 0 6 * * *", timezone: "Europe/Berlin", version: "7" })
    assert.deepStrictEqual([zoned.version, zoned.nextFireAt], ["7", at("2026-05-04T04:00:00Z")])
    assert.deepStrictEqual(world.schedule(schedule), schedule)
  })

  test("leaves the next slot out where there is none", (world) => {
    assert.notProperty(create(world, { cronExpr: "0 0 30 2 *" }), "nextFireAt")
    assert.notProperty(create(world, { enabled: false }), "nextFireAt")
  })

  test("is refused with the field that makes no sense", (world) => {
    for (const [fields, text] of [
      [{ cronExpr: "0 25 * * *" }, "cron_expr: hour: 25 is not between 0 and 23"],
      [{ cronExpr: "" }, 'cron_expr: "" has 0 fields'],
      [{ timezone: "Mars/Base" }, 'timezone: "Mars/Base" is no IANA time zone'],
      [{ taskQueue: "" }, "task_queue must not be empty"],
      [{ workflowType: "" }, "workflow_type must not be empty"],
      [{ namespace: "" }, "namespace must not be empty"]
    ] as const) {
      const command = { ...createCommand(world), ...fields }
      refusal(world.try(command), "InvalidArgument", text)
    }
    assert.deepStrictEqual(Object.values(world.changes ?? {}).flat(), [])
  })
})

describe("a slot", () => {
  test("starts one run that says where it comes from, and moves on to the next", (world) => {
    const schedule = create(world, { cronExpr: "0 6 * * *", timezone: "Europe/Berlin", version: "3" })
    world.now = at("2026-05-04T04:00:00Z")
    assert.deepStrictEqual(fire(world, schedule), { fired: 1 })
    const [run] = world.scheduleRuns(schedule.scheduleId)
    assert.isDefined(run)
    assert.deepStrictEqual(
      [run.externalId, run.taskQueue, run.workflowType, run.version, run.status, run.cronExpr, run.scheduleId],
      [
        `${schedule.scheduleId}@2026-05-04T04:00:00.000Z`,
        "queue",
        "order",
        "3",
        "PENDING",
        "0 6 * * *",
        schedule.scheduleId
      ]
    )
    assert.strictEqual(read(run.input), "daily")
    const after = world.schedule(schedule)
    assert.deepStrictEqual(
      [after.nextFireAt, after.lastFiredAt, after.totalRuns, after.updatedAt],
      [at("2026-05-05T04:00:00Z"), world.now, 1, schedule.updatedAt]
    )
    const claimed = world.claim(world.register())
    assert.strictEqual(claimed?.run.runId, run.runId)
  })

  test("fires once, however many ask and in whatever batch", (world) => {
    const schedule = create(world)
    world.now = at("2026-05-04T01:00:00Z")
    world.batch([fireCommand(world, schedule), fireCommand(world, schedule), fireCommand(world, schedule)])
    fire(world, schedule)
    assert.deepStrictEqual(slots(world, schedule), ["01:00"])
  })

  test("does not fire before its time, nor when the schedule is otherwise than it was read", (world) => {
    const schedule = create(world)
    world.now = at("2026-05-04T00:59:59.999Z")
    assert.deepStrictEqual(fire(world, schedule), { fired: 0 })
    world.now = at("2026-05-04T01:00:00Z")
    assert.deepStrictEqual(fire(world, { ...schedule, overlap: "skip" }), { fired: 0 })
    assert.deepStrictEqual(fire(world, { ...schedule, nextFireAt: world.now - 1 }), { fired: 0 })
    assert.deepStrictEqual(fire(world, { ...schedule, scheduleId: world.id() }), { fired: 0 })
    assert.deepStrictEqual(slots(world, schedule), [])
  })

  test("of a schedule that can't be read any more fires nothing and holds up no other", (world) => {
    const broken = create(world)
    const whole = create(world)
    world.writeSchedule({ ...broken, timezone: "Atlantis/Gone" })
    world.now = at("2026-05-04T01:00:00Z")
    const [reply] = world.batch([fireCommand(world, broken), fireCommand(world, whole)])
    assert.deepInclude(reply, { _tag: "Success" })
    assert.deepStrictEqual([slots(world, broken), slots(world, whole)], [[], ["01:00"]])
    assert.notProperty(world.schedule(broken), "nextFireAt")
  })

  test("in a disabled namespace starts nothing and is not made up for", (world) => {
    const schedule = create(world)
    world.disableNamespace("default")
    world.now = at("2026-05-04T05:15:00Z")
    assert.deepStrictEqual(fire(world, schedule), { fired: 0 })
    assert.deepStrictEqual(slots(world, schedule), [])
    assert.strictEqual(world.schedule(schedule).nextFireAt, at("2026-05-04T06:00:00Z"))
  })
})

describe("missed slots", () => {
  const downtime = (world: World, maxCatchup: number) => {
    world.now = at("2026-05-04T00:30:00Z")
    const schedule = create(world, { maxCatchup })
    world.now = at("2026-05-04T10:20:00Z")
    fire(world, schedule)
    assert.strictEqual(world.schedule(schedule).nextFireAt, at("2026-05-04T11:00:00Z"))
    return slots(world, schedule)
  }
  const all = ["01", "02", "03", "04", "05", "06", "07", "08", "09", "10"].map((found) => `${found}:00`)

  test("are made up for up to the limit, the newest ones in their order", (world) => {
    assert.deepStrictEqual(downtime(world, 3), ["08:00", "09:00", "10:00"])
    assert.deepStrictEqual(downtime(world, 10), all)
    assert.deepStrictEqual(downtime(world, 9), all.slice(1))
  })
  test("with a limit of 0 are but the current one", (world) => {
    assert.deepStrictEqual(downtime(world, 0), ["10:00"])
  })
  test("without a limit are all", (world) => {
    assert.deepStrictEqual(downtime(world, -1), all)
    assert.deepStrictEqual(downtime(world, 2_147_483_647), all)
  })
  test("are claimed in their order, before what came up since", (world) => {
    const schedule = create(world)
    world.now = at("2026-05-04T03:20:00Z")
    const later = world.start()
    fire(world, schedule)
    const worker = world.register()
    const claimed = Array.from({ length: 4 }, () => world.run({ runId: world.claim(worker)!.run.runId }))
    assert.deepStrictEqual(
      claimed.map(({ runId, slot }) => (slot === undefined ? runId : new Date(slot).toISOString().slice(11, 16))),
      ["01:00", "02:00", "03:00", later]
    )
  })
  test("are dealt with a few at a time, and the limit holds over all of them", (world) => {
    for (const [maxCatchup, expected] of [
      [5, all.slice(5)],
      [-1, all]
    ] as const) {
      const schedule = create(world, { maxCatchup })
      world.now = at("2026-05-04T10:20:00Z")
      let fired = 0
      for (let turn = 0; turn < expected.length / 2; turn++) fired += fire(world, world.schedule(schedule), 2).fired
      assert.strictEqual(fired, expected.length)
      assert.deepStrictEqual(slots(world, schedule), expected)
      assert.strictEqual(world.schedule(schedule).nextFireAt, at("2026-05-04T11:00:00Z"))
      world.now = at("2026-05-04T00:30:00Z")
    }
  })
  test("of a clock that was put back fire as the time zone says", (world) => {
    world.now = at("2026-10-24T20:00:00Z")
    const schedule = create(world, { cronExpr: "0,30 2 * * *", timezone: "Europe/Berlin", maxCatchup: -1 })
    world.now = at("2026-10-26T12:00:00Z")
    fire(world, schedule)
    assert.deepStrictEqual(slots(world, schedule), ["00:00", "00:30", "01:00", "01:30"])
  })
})

describe("while a run has not ended", () => {
  const twice = (world: World, overlap: ScheduleRecord["overlap"]) => {
    const schedule = create(world, { overlap })
    for (const time of ["01:00", "02:00"]) {
      world.now = at(`2026-05-04T${time}:00Z`)
      fire(world, world.schedule(schedule))
    }
    return {
      schedule,
      statuses: () =>
        world
          .scheduleRuns(schedule.scheduleId)
          .toReversed()
          .map((run) => run.status)
    }
  }

  test("another one is started where that is allowed", (world) => {
    const { schedule, statuses } = twice(world, "allow")
    assert.deepStrictEqual(statuses(), ["PENDING", "PENDING"])
    assert.strictEqual(world.schedule(schedule).totalRuns, 2)
  })
  test("the slot is left out where it is to be skipped, until the run has ended", (world) => {
    const { schedule, statuses } = twice(world, "skip")
    assert.deepStrictEqual(statuses(), ["PENDING"])
    const skipped = world.schedule(schedule)
    assert.deepStrictEqual(
      [skipped.totalRuns, skipped.lastFiredAt, skipped.nextFireAt],
      [1, at("2026-05-04T01:00:00Z"), at("2026-05-04T03:00:00Z")]
    )
    const claimed = world.claim(world.register())
    world.send({ _tag: "CompleteRun", namespace: "default", runId: claimed!.run.runId, output: payload(1) })
    world.now = at("2026-05-04T03:00:00Z")
    fire(world, skipped)
    assert.deepStrictEqual(slots(world, schedule), ["01:00", "03:00"])
  })
  test("it is cancelled where that is asked for, and the new one runs", (world) => {
    const { schedule, statuses } = twice(world, "cancel")
    assert.deepStrictEqual(statuses(), ["CANCELLED", "PENDING"])
    const after = world.schedule(schedule)
    assert.deepStrictEqual([after.totalRuns, after.successfulRuns, after.failedRuns], [2, 0, 0])
  })
  test("slots made up for are treated the same, one after the other", (world) => {
    for (const [overlap, expected] of [
      ["skip", ["PENDING"]],
      ["cancel", ["CANCELLED", "CANCELLED", "PENDING"]]
    ] as const) {
      world.now = at("2026-05-04T00:30:00Z")
      const schedule = create(world, { overlap })
      world.now = at("2026-05-04T03:10:00Z")
      fire(world, schedule)
      const runs = world.scheduleRuns(schedule.scheduleId).toReversed()
      assert.deepStrictEqual(
        runs.map((run) => run.status),
        [...expected]
      )
    }
  })
})

describe("the numbers of runs", () => {
  test("are those that were started, completed, and failed or were terminated", (world) => {
    const schedule = create(world, { maxCatchup: -1 })
    world.now = at("2026-05-04T05:10:00Z")
    fire(world, schedule)
    const worker = world.register()
    const claimed = Array.from({ length: 4 }, () => world.claim(worker)!.run)
    const run = (index: number) => ({ namespace: "default", runId: claimed[index]!.runId })
    world.batch([
      { _tag: "CompleteRun", ...run(0), output: payload(1) },
      { _tag: "CompleteRun", ...run(0), output: payload(1) },
      { _tag: "TerminateRun", ...run(1), reason: "" },
      { _tag: "CancelRun", ...run(2) }
    ])
    world.send({
      _tag: "FailRun",
      ...run(3),
      error: { code: "Internal", message: "", nonRetryable: true, subject: "", subjectId: "", metadata: {} }
    })
    refusal(world.try({ _tag: "TerminateRun", ...run(3), reason: "" }), "PreconditionFailed")
    const after = world.schedule(schedule)
    assert.deepStrictEqual([after.totalRuns, after.successfulRuns, after.failedRuns], [5, 1, 2])
  })
})

describe("a schedule as a command answers it", () => {
  test("has the runs counted that the same batch started and ended", (world) => {
    const schedule = create(world, { maxCatchup: -1 })
    world.now = at("2026-05-04T03:10:00Z")
    fire(world, schedule)
    const runId = world.claim(world.register())!.run.runId
    world.now = at("2026-05-04T04:10:00Z")
    const [, , , refused, reply] = world.batch([
      fireCommand(world, world.schedule(schedule)),
      { _tag: "TriggerSchedule", ...of(schedule), runId: world.id() },
      { _tag: "CompleteRun", namespace: "default", runId, output: payload(1) },
      { _tag: "TerminateRun", namespace: "default", runId, reason: "" },
      { _tag: "PauseSchedule", ...of(schedule) }
    ])
    assert.strictEqual(refused?._tag, "Failure")
    assert.deepInclude(reply, { _tag: "Success" })
    const answered = reply?._tag === "Success" ? (reply.success as ScheduleRecord) : assert.fail("it was refused")
    assert.deepStrictEqual([answered.totalRuns, answered.successfulRuns, answered.failedRuns], [5, 1, 0])
    assert.deepStrictEqual(world.schedule(schedule), answered)
  })
})
