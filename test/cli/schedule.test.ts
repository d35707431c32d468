import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { Server } from "./cli.ts"

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/
const instant = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/
const missing = "00000000-0000-7000-8000-000000000000"

layer(Server.layer, { excludeTestServices: true })("commands on schedules", (it) => {
  it.effect("make one, show it and change it", () =>
    Effect.gen(function* () {
      const { json, kagzi } = yield* Server
      const made = yield* json(
        [
          ...[
            "schedule",
            "create",
            "report",
            "--cron",
            "0 6 * * 1-5",
            "--timezone",
            "Europe/Berlin",
            "--queue",
            "shelf"
          ],
          ...["--input", "-", "--overlap", "skip", "--max-catchup", "unlimited", "--version", "7"]
        ],
        `{"exact": 12345678901234567890}`
      )
      assert.strictEqual(made.code, 0)
      const { createdAt, nextFireAt, scheduleId } = made.value
      assert.match(scheduleId, uuid)
      assert.match(nextFireAt, instant)
      assert.deepStrictEqual(made.value, {
        scheduleId,
        namespace: "default",
        taskQueue: "shelf",
        workflowType: "report",
        cron: "0 6 * * 1-5",
        timezone: "Europe/Berlin",
        version: "7",
        enabled: true,
        input: { exact: Number("12345678901234567890") },
        maxCatchup: "unlimited",
        overlap: "skip",
        totalRuns: 0,
        successfulRuns: 0,
        failedRuns: 0,
        createdAt,
        updatedAt: createdAt,
        nextFireAt
      })
      assert.deepStrictEqual((yield* json(["schedule", "get", scheduleId])).value, made.value)
      const shown = yield* kagzi(["schedule", "get", scheduleId])
      assert.match(shown.stdout, /^Cron +0 6 \* \* 1-5$/m)
      assert.match(shown.stdout, /^Input +\{"exact":12345678901234567890\}$/m)

      const next = yield* json(["schedule", "next", scheduleId, "--limit", "3"])
      assert.strictEqual(next.value.length, 3)
      assert.strictEqual(next.value[0], nextFireAt)
      for (const time of next.value) {
        assert.match(
          new Intl.DateTimeFormat("en-GB", {
            timeZone: "Europe/Berlin",
            weekday: "short",
            timeStyle: undefined,
            hour: "2-digit",
            minute: "2-digit"
          }).format(new Date(time)),
          /^(Mon|Tue|Wed|Thu|Fri),? 06:00$/
        )
      }
      const updated = yield* json([
        ...["schedule", "update", scheduleId, "--cron", "0 0 0 1 1 *", "--timezone", "UTC", "--type", "summary"],
        ...["--queue", "other", "--input", "[1]", "--overlap", "cancel", "--max-catchup", "0", "--version", "8"],
        ...["--next-fire-at", "2099-05-04T03:02:01Z"]
      ])
      assert.deepStrictEqual(updated.value, {
        ...made.value,
        taskQueue: "other",
        workflowType: "summary",
        cron: "0 0 0 1 1 *",
        timezone: "UTC",
        version: "8",
        input: [1],
        maxCatchup: 0,
        overlap: "cancel",
        updatedAt: updated.value.updatedAt,
        nextFireAt: "2099-05-04T03:02:01.000Z"
      })
      assert.deepStrictEqual((yield* json(["schedule", "next", scheduleId, "--limit", "2"])).value, [
        "2099-05-04T03:02:01.000Z",
        "2100-01-01T00:00:00.000Z"
      ])
    })
  )

  it.effect("pause, resume and trigger it, list its runs, and delete it", () =>
    Effect.gen(function* () {
      const { json, kagzi } = yield* Server
      const { value } = yield* json(["schedule", "create", "daily", "--cron", "@daily", "--paused"])
      const { scheduleId } = value
      assert.deepStrictEqual(
        [value.enabled, value.nextFireAt, value.taskQueue, value.input],
        [false, undefined, "daily", null]
      )
      assert.deepStrictEqual((yield* json(["schedule", "next", scheduleId])).value, [])
      assert.strictEqual((yield* kagzi(["schedule", "next", scheduleId])).stdout, "It is paused")
      const triggered = yield* json(["schedule", "trigger", scheduleId])
      assert.deepStrictEqual(triggered.value, { scheduleId, runId: triggered.value.runId })
      const runs = yield* json(["schedule", "runs", scheduleId])
      assert.deepStrictEqual(runs.value, [(yield* json(["workflow", "get", triggered.value.runId])).value])
      assert.strictEqual(runs.value[0].scheduleId, scheduleId)
      const table = (yield* kagzi(["schedule", "runs", scheduleId])).stdout.split("\n")
      assert.match(table[0]!, /^RUN +ID +STATUS +CREATED +FINISHED$/)
      assert.strictEqual(table.length, 2)

      const resumed = yield* json(["schedule", "resume", scheduleId])
      assert.match(resumed.value.nextFireAt, /T00:00:00\.000Z$/)
      assert.deepStrictEqual(resumed.value, { scheduleId, enabled: true, nextFireAt: resumed.value.nextFireAt })
      assert.deepStrictEqual((yield* json(["schedule", "pause", scheduleId])).value, { scheduleId, enabled: false })
      const listed = yield* json(["schedule", "list", "--queue", "daily"])
      assert.deepStrictEqual(
        listed.value.map((schedule: { readonly scheduleId: string; readonly totalRuns: number }) => [
          schedule.scheduleId,
          schedule.totalRuns
        ]),
        [[scheduleId, 1]]
      )
      assert.match(
        (yield* kagzi(["schedule", "list"])).stdout,
        new RegExp(`^${scheduleId} +daily +daily +@daily +UTC +paused +1 +0$`, "m")
      )
      assert.deepStrictEqual((yield* json(["schedule", "delete", scheduleId])).value, { scheduleId, deleted: true })
      assert.deepStrictEqual((yield* json(["schedule", "list", "--queue", "daily"])).value, [])
      assert.strictEqual((yield* kagzi(["schedule", "list", "--queue", "daily"])).stdout, "No schedules")
    })
  )

  it.effect("fail with 1 when it can't be done, and with 2 when it makes no sense", () =>
    Effect.gen(function* () {
      const { kagzi } = yield* Server
      for (const [args, code, text] of [
        [["get", missing], 1, `There is no schedule ${missing}`],
        [["pause", missing], 1, `There is no schedule ${missing}`],
        [["next", missing], 1, `There is no schedule ${missing}`],
        [["delete", "nonsense"], 1, "schedule_id must be a UUID: nonsense"],
        [["create", "x", "--cron", "61 * * * *"], 1, "cron_expr: minute: 61 is not between 0 and 59"],
        [["create", "x", "--cron", "@daily", "--timezone", "Mars/Base"], 1, "is no IANA time zone"],
        [["create", "x"], 2, "--cron"],
        [["create", "x", "--cron", "@daily", "--max-catchup", "-1"], 2, "max-catchup"],
        [["create", "x", "--cron", "@daily", "--overlap", "never"], 2, "overlap"],
        [["create", "x", "--cron", "@daily", "--input", "{"], 2, "The input is not JSON"],
        [["update", missing], 2, "There is nothing to change"],
        [["runs", missing, "--limit", "0"], 2, "limit"]
      ] as const) {
        const ended = yield* kagzi(["schedule", ...args])
        assert.strictEqual(ended.code, code, args.join(" "))
        assert.include(ended.stderr, text)
        assert.strictEqual(ended.stderr.split("\n").length, 1)
      }
    })
  )
})
