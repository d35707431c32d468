/** The verbs of `kagzi schedule`. */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { KagziClient } from "../../../src/index.ts"
import { fields, rows, type Verb, verb } from "./case.ts"
import { having, input, missing, only, own, unstarted, uuid } from "./fixtures.ts"

/** A schedule that does not fire while the tests run. */
const schedule = (enabled: boolean) => (name: string) =>
  Effect.gen(function* () {
    const { namespace, protocol } = yield* KagziClient
    const { scheduleId } = yield* protocol.createSchedule({
      ...{ namespace, taskQueue: name, workflowType: "unserved", cronExpr: "0 6 1 1 *", timezone: "UTC" },
      ...{ enabled, input }
    })
    return { name, scheduleId }
  })

/** A schedule that was started by hand. */
const triggered = (name: string) =>
  Effect.gen(function* () {
    const { namespace, protocol } = yield* KagziClient
    const made = yield* schedule(true)(name)
    return { ...made, runId: yield* protocol.triggerSchedule(namespace, made.scheduleId) }
  })

const scheduleOf = ({ scheduleId }: { readonly scheduleId: string }) => [scheduleId]

const shownSchedule = { Type: "unserved", Cron: "0 6 1 1 *", "Time zone": "UTC", Enabled: "yes" }
const parsedSchedule = {
  ...{ namespace: "default", workflowType: "unserved", cron: "0 6 1 1 *", timezone: "UTC", enabled: true },
  ...{ maxCatchup: 50, overlap: "allow", totalRuns: 0, successfulRuns: 0, failedRuns: 0 }
}
const scheduleTimes = ["createdAt", "updatedAt", "nextFireAt"]
const january = /^\d{4}-01-01T06:00:00\.000Z$/

export const onSchedules: ReadonlyArray<Verb> = [
  verb("schedule create", {
    given: own,
    args: (name) => ["unserved", "--cron", "0 6 1 1 *", "--queue", name, "--input", "[1]"],
    table: (stdout, name) => assert.deepInclude(fields(stdout), { ...shownSchedule, Queue: name, Input: "[1]" }),
    json: (value, name) => having(value, { ...parsedSchedule, taskQueue: name, input: [1] }, ...scheduleTimes),
    absent: ["lastFiredAt"],
    wrong: [["unserved"], "Missing required flag: --cron"]
  }),
  verb("schedule list", {
    given: schedule(true),
    args: ({ name }) => ["--queue", name],
    table: (stdout, { name, scheduleId }) => {
      assert.match(stdout, /^SCHEDULE +TYPE +QUEUE +CRON +TIME ZONE +NEXT +RUNS +FAILED\n/)
      const row = only(rows(stdout))
      assert.match(row.NEXT, january)
      assert.deepInclude(row, {
        ...{ SCHEDULE: scheduleId, TYPE: "unserved", QUEUE: name, CRON: "0 6 1 1 *", "TIME ZONE": "UTC" },
        ...{ RUNS: "0", FAILED: "0" }
      })
    },
    json: (value, { name, scheduleId }) =>
      having(only(value), { ...parsedSchedule, scheduleId, taskQueue: name }, ...scheduleTimes),
    absent: ["lastFiredAt"],
    wrong: [["--limit", "0"], "1 or more"]
  }),
  verb("schedule get", {
    given: schedule(true),
    args: scheduleOf,
    table: (stdout, { name, scheduleId }) =>
      assert.deepInclude(fields(stdout), { ...shownSchedule, Schedule: scheduleId, Queue: name }),
    json: (value, { name, scheduleId }) =>
      having(value, { ...parsedSchedule, scheduleId, taskQueue: name, input: { name: "Ada" } }, ...scheduleTimes),
    absent: ["lastFiredAt"],
    wrong: [[], "Missing required argument: schedule"]
  }),
  verb("schedule update", {
    given: schedule(true),
    args: ({ scheduleId }) => [scheduleId, "--overlap", "skip", "--version", "8"],
    table: (stdout, { scheduleId }) =>
      assert.deepInclude(fields(stdout), { ...shownSchedule, Schedule: scheduleId, Overlap: "skip", Version: "8" }),
    json: (value, { scheduleId }) =>
      having(value, { ...parsedSchedule, scheduleId, overlap: "skip", version: "8" }, ...scheduleTimes),
    absent: ["lastFiredAt"],
    wrong: [[missing], "There is nothing to change"]
  }),
  verb("schedule pause", {
    given: schedule(true),
    args: scheduleOf,
    table: (stdout, { scheduleId }) => assert.strictEqual(stdout, `Schedule ${scheduleId} is paused`),
    json: (value, { scheduleId }) => having(value, { scheduleId, enabled: false }),
    wrong: [[], "Missing required argument: schedule"]
  }),
  verb("schedule resume", {
    given: schedule(false),
    args: scheduleOf,
    table: (stdout, { scheduleId }) =>
      assert.match(stdout, new RegExp(`^Schedule ${scheduleId} fires next at \\d{4}-01-01T06:00:00\\.000Z$`)),
    json: (value, { scheduleId }) => {
      assert.match(value.nextFireAt, january)
      return having(value, { scheduleId, enabled: true })
    },
    wrong: [["one", "another"], "another"]
  }),
  verb("schedule trigger", {
    given: schedule(true),
    args: scheduleOf,
    table: (stdout) => assert.match(stdout, /^Started run [0-9a-f-]{36}$/),
    json: (value, { scheduleId }) => {
      assert.match(value.runId, uuid)
      return having(value, { scheduleId })
    },
    wrong: [[missing, "--input", "1"], "Unrecognized flag: --input"]
  }),
  verb("schedule runs", {
    given: triggered,
    args: scheduleOf,
    table: (stdout, { runId }) => {
      assert.match(stdout, /^RUN +ID +STATUS +CREATED +FINISHED\n/)
      assert.deepInclude(only(rows(stdout)), { RUN: runId, STATUS: "PENDING", FINISHED: "" })
    },
    json: (value, { runId, scheduleId }) => having(only(value), { runId, scheduleId, status: "PENDING" }, "createdAt"),
    absent: unstarted,
    wrong: [[missing, "--limit", "0"], "1 or more"]
  }),
  verb("schedule next", {
    given: schedule(true),
    args: ({ scheduleId }) => [scheduleId, "--limit", "2"],
    table: (stdout) => assert.match(stdout, /^\d{4}-01-01T06:00:00\.000Z\n\d{4}-01-01T06:00:00\.000Z$/),
    json: (value) => {
      assert.lengthOf(value, 2)
      assert.isBelow(Date.parse(value[0]), Date.parse(value[1]))
      for (const time of value) assert.match(time, january)
      return undefined
    },
    wrong: [[missing, "--limit", "many"], "--limit"]
  }),
  verb("schedule delete", {
    given: schedule(true),
    args: scheduleOf,
    table: (stdout, { scheduleId }) => assert.strictEqual(stdout, `Schedule ${scheduleId} is deleted`),
    json: (value, { scheduleId }) => having(value, { scheduleId, deleted: true }),
    wrong: [[], "Missing required argument: schedule"]
  })
]
