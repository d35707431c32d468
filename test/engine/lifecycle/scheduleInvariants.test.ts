/** Whatever is done to a schedule in whatever order, some things always hold. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import type { Command } from "../../../src/engine/Command.ts"
import { isTerminal } from "../../../src/Run.ts"
import { onPostgres } from "../../support/stores.ts"
import { detail, makeWorld, payload } from "./World.ts"

const kinds = [
  "fire",
  "fire",
  "fire",
  "pass",
  "pass",
  "pause",
  "resume",
  "update",
  "trigger",
  "complete",
  "fail",
  "cancel"
] as const

const Action = Schema.Struct({
  kind: Schema.Literals(kinds),
  choice: Schema.Int.pipe(Schema.check(Schema.isBetween({ minimum: 0, maximum: 999 }))),
  /** Whether it is in the batch of the one before. */
  joined: Schema.Boolean
})

const minute = 60_000
const expressions = ["*/10 * * * *", "0 * * * *", "0 */7 * * * *", "30 2 * * *"]
const zones = ["UTC", "Europe/Berlin", "America/New_York"]
const overlaps = ["allow", "skip", "cancel"] as const
const catchups = [0, 1, 3, 50, -1]

const pick = <A>(from: ReadonlyArray<A>, choice: number): A => from[choice % from.length]!

describe("any sequence of commands on a schedule", () => {
  it.effect.prop(
    "gives each slot one run, counts what there is, fires nothing while paused, and leaves nothing due behind",
    [Schema.Array(Action).pipe(Schema.check(Schema.isMinLength(20), Schema.isMaxLength(60)))],
    ([actions]) =>
      Effect.map(makeWorld, (world) => {
        world.now = Date.parse("2026-03-28T23:00:00Z")
        const namespace = "default"
        const { scheduleId } = world.send({
          _tag: "CreateSchedule",
          scheduleId: world.id(),
          namespaceId: world.id(),
          namespace,
          taskQueue: "queue",
          workflowType: "order",
          cronExpr: "*/10 * * * *",
          timezone: "Europe/Berlin",
          version: "",
          input: payload(null),
          enabled: true,
          maxCatchup: 50,
          overlap: "allow"
        })
        const of = { namespace, scheduleId }
        const worker = world.register()
        /** A run of the schedule that a worker holds. */
        const held = () => world.claim(worker)?.run.runId

        const commands = ({ choice, kind }: typeof Action.Type): ReadonlyArray<Command> => {
          const schedule = world.schedule(of)
          switch (kind) {
            case "pass":
              world.now += (choice % 90) * minute
              return []
            case "fire": {
              const { nextFireAt, overlap } = schedule
              const runIds = Array.from({ length: 1 + (choice % 20) }, () => world.id())
              return nextFireAt === undefined ? [] : [{ _tag: "FireSchedule", ...of, nextFireAt, overlap, runIds }]
            }
            case "pause":
              return [{ _tag: "PauseSchedule", ...of }]
            case "resume":
              return [{ _tag: "ResumeSchedule", ...of }]
            case "trigger":
              return [{ _tag: "TriggerSchedule", ...of, runId: world.id() }]
            case "update":
              return [
                {
                  _tag: "UpdateSchedule",
                  ...of,
                  cronExpr: pick(expressions, choice),
                  timezone: pick(zones, choice >> 1),
                  overlap: pick(overlaps, choice >> 2),
                  maxCatchup: pick(catchups, choice >> 3),
                  ...(choice % 5 === 0 ? { nextFireAt: world.now + ((choice % 200) - 100) * minute } : {})
                }
              ]
            default: {
              const runId = held()
              if (runId === undefined) return []
              if (kind === "complete") return [{ _tag: "CompleteRun", namespace, runId, output: payload(1) }]
              if (kind === "cancel") return [{ _tag: "CancelRun", namespace, runId }]
              return [{ _tag: "FailRun", namespace, runId, error: detail({ nonRetryable: true }) }]
            }
          }
        }

        const check = () => {
          const schedule = world.schedule(of)
          const runs = world.scheduleRuns(scheduleId).map(({ runId }) => world.run({ runId }))
          const count = (status: string) => runs.filter((run) => run.status === status).length
          assert.deepStrictEqual(
            [schedule.totalRuns, schedule.successfulRuns, schedule.failedRuns],
            [runs.length, count("COMPLETED"), count("FAILED")]
          )
          const slots = runs.flatMap(({ slot }) => (slot === undefined ? [] : [slot]))
          assert.strictEqual(new Set(slots).size, slots.length)
          for (const slot of slots) assert.isAtMost(slot, world.now)
          for (const run of runs) if (!isTerminal(run.status)) assert.isDefined(run.dueAt)
          return slots.length
        }

        let batch: Array<Command> = []
        const flush = () => {
          const wasEnabled = world.schedule(of).enabled
          const before = check()
          world.batch(batch)
          const opens = batch.some(({ _tag }) => _tag === "ResumeSchedule")
          batch = []
          if (!wasEnabled && !opens) assert.strictEqual(check(), before, "a paused schedule fired")
          check()
        }
        for (const action of actions) {
          if (!action.joined) flush()
          batch.push(...commands(action))
        }
        flush()

        // Fired until nothing is due, as the engine does, it is in the future.
        for (;;) {
          const { enabled, nextFireAt, overlap } = world.schedule(of)
          if (!enabled || nextFireAt === undefined || nextFireAt > world.now) break
          const runIds = Array.from({ length: 50 }, () => world.id())
          world.send({ _tag: "FireSchedule", ...of, nextFireAt, overlap, runIds })
          const after = world.schedule(of).nextFireAt
          assert.isTrue(after === undefined || after > nextFireAt, "it goes on")
        }
        check()
      }).pipe(Effect.scoped),
    { arbitrary: { runs: onPostgres ? 8 : 80 } }
  )
})
