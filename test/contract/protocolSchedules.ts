/** Schedules by every way to a server. Tests keep apart by namespace. */
import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Protocol } from "../../src/protocol/Protocol.ts"
import type { Capabilities } from "./protocol.ts"
import { decoded, freshNamespace, json, nextTask, workerOptions } from "./protocolRequests.ts"

const request = (namespace: string) => ({
  namespace,
  taskQueue: "orders",
  workflowType: "order",
  cronExpr: "0 0 6 * * Mon",
  input: json({ item: "ü" })
})

export const scheduleSuite = (
  name: string,
  implementation: Layer.Layer<Protocol, unknown>,
  { extended }: Capabilities
) =>
  layer(Layer.fresh(implementation), { excludeTestServices: true })(`Schedules ${name}`, (it) => {
    it.effect("are made, read, changed, stopped and deleted", () =>
      Effect.gen(function* () {
        const protocol = yield* Protocol
        const namespace = freshNamespace()
        const made = yield* protocol.createSchedule(request(namespace))
        const { createdAt, nextFireAt, scheduleId, updatedAt, ...rest } = made
        assert.deepStrictEqual(rest, {
          ...request(namespace),
          timezone: "UTC",
          version: "1",
          enabled: true,
          maxCatchup: 50,
          overlap: "allow",
          totalRuns: 0,
          successfulRuns: 0,
          failedRuns: 0
        })
        assert.isAbove(nextFireAt!, createdAt)
        assert.strictEqual(updatedAt, createdAt)
        assert.deepStrictEqual(yield* protocol.getSchedule(namespace, scheduleId), made)

        const paused = yield* protocol.pauseSchedule(namespace, scheduleId)
        assert.notProperty(paused, "nextFireAt")
        const changes = {
          taskQueue: "others",
          workflowType: "other",
          cronExpr: "30 7 * * *",
          version: "9",
          input: json(null),
          enabled: true,
          maxCatchup: -1,
          nextFireAt: createdAt + 90_000_123
        }
        const changed = yield* protocol.updateSchedule(namespace, scheduleId, changes)
        assert.deepInclude(changed, changes)
        assert.deepStrictEqual((yield* protocol.resumeSchedule(namespace, scheduleId)).nextFireAt, changes.nextFireAt)
        yield* protocol.deleteSchedule(namespace, scheduleId)
        const error = yield* Effect.flip(protocol.getSchedule(namespace, scheduleId))
        assert.deepStrictEqual([error._tag, error.subject, error.subjectId], ["NotFound", "schedule", scheduleId])
      })
    )

    it.effect("have zones and overlap policies only where the server knows them", () =>
      Effect.gen(function* () {
        const protocol = yield* Protocol
        const namespace = freshNamespace()
        const unusual = { timezone: "Europe/Berlin", overlap: "cancel" } as const
        const { scheduleId } = yield* protocol.createSchedule({
          ...request(namespace),
          timezone: "UTC",
          overlap: "allow"
        })
        if (extended) {
          assert.deepInclude(yield* protocol.createSchedule({ ...request(namespace), ...unusual }), unusual)
          assert.deepInclude(yield* protocol.updateSchedule(namespace, scheduleId, unusual), unusual)
        } else {
          for (const [fields, text] of [
            [{ timezone: "Europe/Berlin" }, `timezone: "Europe/Berlin"`],
            [{ overlap: "cancel" }, `overlap: "cancel"`]
          ] as const) {
            for (const refused of [
              protocol.createSchedule({ ...request(namespace), ...fields }),
              protocol.updateSchedule(namespace, scheduleId, fields)
            ]) {
              const error = yield* Effect.flip(refused)
              assert.deepStrictEqual(
                [error._tag, error.message],
                ["PreconditionFailed", `This server does not support ${text}`]
              )
            }
          }
        }
      })
    )

    it.effect("start runs by the clock and by hand, which are listed, a page at a time", () =>
      Effect.gen(function* () {
        const protocol = yield* Protocol
        const namespace = freshNamespace()
        const { scheduleId } = yield* protocol.createSchedule({ ...request(namespace), cronExpr: "* * * * * *" })
        const link = yield* protocol.connect(workerOptions(namespace))
        const task = yield* nextTask(link)
        assert.deepStrictEqual(
          [task.run.scheduleId, task.run.cronExpr, decoded(task.run.input)],
          [scheduleId, "* * * * * *", { item: "ü" }]
        )
        yield* protocol.pauseSchedule(namespace, scheduleId)
        yield* link.completeRun(task, json(1))
        const triggered = yield* protocol.triggerSchedule(namespace, scheduleId)
        const first = yield* protocol.listScheduleRuns(namespace, scheduleId, { size: 1, includeTotal: true })
        assert.deepStrictEqual(
          first.items.map(({ runId }) => runId),
          [triggered]
        )
        const rest = yield* protocol.listScheduleRuns(namespace, scheduleId, { token: first.next! })
        assert.strictEqual(rest.items.at(-1)?.runId, task.runId)
        assert.strictEqual(first.total, rest.items.length + 1)
        const schedule = yield* protocol.getSchedule(namespace, scheduleId)
        assert.deepStrictEqual([schedule.totalRuns, schedule.successfulRuns], [first.total, 1])
        assert.isAbove(schedule.lastFiredAt!, 0)
      })
    )

    it.effect("are listed by queue, a page at a time", () =>
      Effect.gen(function* () {
        const protocol = yield* Protocol
        const namespace = freshNamespace()
        const make = (taskQueue: string) =>
          protocol.createSchedule({ ...request(namespace), taskQueue, enabled: false })
        const made = [yield* make("a"), yield* make("b"), yield* make("a")]
        const one = yield* protocol.listSchedules({ namespace }, { size: 2, includeTotal: true })
        assert.strictEqual(one.total, 3)
        const two = yield* protocol.listSchedules({ namespace }, { size: 2, token: one.next! })
        assert.isUndefined(two.next)
        assert.sameDeepMembers([...one.items, ...two.items], made)
        const ofQueue = yield* protocol.listSchedules({ namespace, taskQueue: "b" }, {})
        assert.deepStrictEqual(ofQueue.items, made.slice(1, 2))
      })
    )
  })
