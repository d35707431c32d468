import { assert, describe } from "@effect/vitest"
import { at, create, fire, hour, of, slots, test } from "./scheduleCommands.ts"
import { payload, read, refusal } from "./World.ts"

describe("a pause", () => {
  test("fires nothing, and is not made up for", (world) => {
    const schedule = create(world)
    world.now += 60_000
    const paused = world.send({ _tag: "PauseSchedule", ...of(schedule) })
    assert.deepStrictEqual([paused.enabled, paused.nextFireAt, paused.updatedAt], [false, undefined, world.now])
    world.now = at("2026-05-04T05:00:00Z")
    fire(world, schedule)
    const resumed = world.send({ _tag: "ResumeSchedule", ...of(schedule) })
    assert.deepStrictEqual(
      [resumed.enabled, resumed.nextFireAt, resumed.updatedAt],
      [true, at("2026-05-04T06:00:00Z"), world.now]
    )
    fire(world, resumed)
    assert.deepStrictEqual(slots(world, schedule), [])
  })
  test("of what is paused, and going on with what is not, change nothing", (world) => {
    const schedule = create(world)
    world.now = at("2026-05-04T01:10:00Z")
    assert.deepStrictEqual(world.send({ _tag: "ResumeSchedule", ...of(schedule) }), schedule)
    const paused = world.send({ _tag: "PauseSchedule", ...of(schedule) })
    world.now += hour
    assert.deepStrictEqual(world.send({ _tag: "PauseSchedule", ...of(schedule) }), paused)
  })
})

describe("an update", () => {
  test("changes every field that is given and leaves the others", (world) => {
    const schedule = create(world)
    world.now += 1_000
    const changes = {
      taskQueue: "other",
      workflowType: "report",
      cronExpr: "0 30 4 * * Mon",
      timezone: "America/New_York",
      version: "9",
      enabled: true,
      maxCatchup: 7,
      overlap: "skip"
    } as const
    const updated = world.send({ _tag: "UpdateSchedule", ...of(schedule), ...changes, input: payload("new") })
    assert.deepStrictEqual(updated, {
      ...schedule,
      ...changes,
      updatedAt: world.now,
      nextFireAt: at("2026-05-04T08:30:00Z")
    })
    assert.deepStrictEqual(world.schedule(schedule), updated)
    world.now = at("2026-05-04T08:30:00Z")
    fire(world, updated)
    const [run] = world.scheduleRuns(schedule.scheduleId)
    assert.deepStrictEqual(
      [run?.workflowType, run?.taskQueue, run?.version, read(run?.input)],
      ["report", "other", "9", "new"]
    )

    assert.deepStrictEqual(world.send({ _tag: "UpdateSchedule", ...of(schedule), version: "10" }), {
      ...world.schedule(schedule),
      version: "10"
    })
  })
  test("of the expression drops what was due by the old one; other changes keep it", (world) => {
    const schedule = create(world)
    world.now = at("2026-05-04T03:10:00Z")
    const kept = world.send({ _tag: "UpdateSchedule", ...of(schedule), maxCatchup: 2 })
    assert.strictEqual(kept.nextFireAt, at("2026-05-04T01:00:00Z"))
    const moved = world.send({ _tag: "UpdateSchedule", ...of(schedule), cronExpr: "30 * * * *" })
    assert.strictEqual(moved.nextFireAt, at("2026-05-04T03:30:00Z"))
  })
  test("switches a schedule off and on as pausing and resuming do", (world) => {
    const schedule = create(world)
    assert.notProperty(world.send({ _tag: "UpdateSchedule", ...of(schedule), enabled: false }), "nextFireAt")
    world.now = at("2026-05-04T05:10:00Z")
    const resumed = world.send({ _tag: "UpdateSchedule", ...of(schedule), enabled: true })
    assert.strictEqual(resumed.nextFireAt, at("2026-05-04T06:00:00Z"))
  })
  test("sets the next time, which is a slot of its own", (world) => {
    const schedule = create(world)
    const nextFireAt = at("2026-05-04T00:45:12.345Z")
    const updated = world.send({ _tag: "UpdateSchedule", ...of(schedule), nextFireAt })
    assert.strictEqual(updated.nextFireAt, nextFireAt)
    world.now = nextFireAt
    fire(world, updated)
    assert.deepStrictEqual(slots(world, schedule), ["00:45"])
    assert.strictEqual(world.schedule(schedule).nextFireAt, at("2026-05-04T01:00:00Z"))
  })
  test("to a time that is past makes up for what there was no run for", (world) => {
    const schedule = create(world, { maxCatchup: 0 })
    world.now = at("2026-05-04T03:10:00Z")
    fire(world, schedule)
    assert.deepStrictEqual(slots(world, schedule), ["03:00"])
    const nextFireAt = at("2026-05-04T01:00:00Z")
    const updated = world.send({ _tag: "UpdateSchedule", ...of(schedule), nextFireAt, maxCatchup: -1 })
    world.now += 1_000
    fire(world, updated)
    assert.sameMembers(slots(world, schedule), ["01:00", "02:00", "03:00"])
    assert.strictEqual(world.schedule(schedule).nextFireAt, at("2026-05-04T04:00:00Z"))
  })
  test("of a paused schedule keeps the next time for when it goes on, unless it is past by then", (world) => {
    const schedule = create(world, { enabled: false })
    const nextFireAt = at("2026-05-04T02:22:00Z")
    assert.strictEqual(world.send({ _tag: "UpdateSchedule", ...of(schedule), nextFireAt }).nextFireAt, nextFireAt)
    assert.strictEqual(world.send({ _tag: "ResumeSchedule", ...of(schedule) }).nextFireAt, nextFireAt)
    world.send({ _tag: "PauseSchedule", ...of(schedule) })
    world.send({ _tag: "UpdateSchedule", ...of(schedule), nextFireAt })
    world.now = at("2026-05-04T02:30:00Z")
    assert.strictEqual(world.send({ _tag: "ResumeSchedule", ...of(schedule) }).nextFireAt, at("2026-05-04T03:00:00Z"))
  })
  test("that makes no sense changes nothing", (world) => {
    const schedule = create(world)
    for (const [fields, text] of [
      [{ cronExpr: "nonsense" }, "cron_expr"],
      [{ timezone: "Nowhere" }, "timezone"],
      [{ taskQueue: "" }, "task_queue"],
      [{ workflowType: "" }, "workflow_type"]
    ] as const) {
      refusal(
        world.try({ _tag: "UpdateSchedule", ...of(schedule), input: payload(1), version: "5", ...fields }),
        "InvalidArgument",
        text
      )
    }
    assert.deepStrictEqual(world.schedule(schedule), schedule)
  })
})

describe("triggering", () => {
  test("starts a run now, beside the slots and whatever the policy, and counts it", (world) => {
    const schedule = create(world, { overlap: "skip" })
    const trigger = () => world.send({ _tag: "TriggerSchedule", ...of(schedule), runId: world.id() }).runId
    const [first, second] = [trigger(), trigger()]
    assert.notStrictEqual(first, second)
    assert.deepStrictEqual(slots(world, schedule), ["none", "none"])
    const after = world.schedule(schedule)
    assert.deepStrictEqual([after.nextFireAt, after.totalRuns, after.lastFiredAt], [schedule.nextFireAt, 2, world.now])
    assert.strictEqual(read(world.read(first).input), "daily")
  })
  test("works while paused, and not in a disabled namespace", (world) => {
    const schedule = create(world, { enabled: false })
    const trigger = () => world.try({ _tag: "TriggerSchedule", ...of(schedule), runId: world.id() })
    assert.strictEqual(trigger()._tag, "Success")
    world.disableNamespace("default")
    refusal(trigger(), "PreconditionFailed", "disabled")
    assert.strictEqual(world.schedule(schedule).totalRuns, 1)
  })
})

describe("an id that is no schedule's", () => {
  test("is not found, and nothing is changed", (world) => {
    const runId = world.start()
    const elsewhere = create(world, { namespace: "elsewhere" })
    for (const scheduleId of [runId, world.id(), elsewhere.scheduleId]) {
      const id = { namespace: "default", scheduleId }
      for (const command of [
        { _tag: "PauseSchedule", ...id },
        { _tag: "ResumeSchedule", ...id },
        { _tag: "DeleteSchedule", ...id },
        { _tag: "UpdateSchedule", ...id, version: "2" },
        { _tag: "TriggerSchedule", ...id, runId: world.id() }
      ] as const) {
        const error = refusal(world.try(command), "NotFound", scheduleId)
        assert.deepStrictEqual([error.subject, error.subjectId], ["schedule", scheduleId])
        assert.deepStrictEqual(Object.values(world.changes ?? {}).flat(), [])
      }
    }
  })
  test("is what a deleted schedule leaves; its runs stay and may end", (world) => {
    const schedule = create(world)
    world.now = at("2026-05-04T01:00:00Z")
    fire(world, schedule)
    assert.deepStrictEqual(world.send({ _tag: "DeleteSchedule", ...of(schedule) }), { deleted: true })
    refusal(world.try({ _tag: "DeleteSchedule", ...of(schedule) }), "NotFound")
    assert.deepStrictEqual(fire(world, schedule), { fired: 0 })
    const claimed = world.claim(world.register())
    world.send({ _tag: "CompleteRun", namespace: "default", runId: claimed!.run.runId, output: payload(1) })
    assert.strictEqual(world.run({ runId: claimed!.run.runId }).status, "COMPLETED")
  })
})
