/** Schedules: made, read, changed, stopped, set off, and their runs. */
import { Effect } from "effect"
import { WorkflowScheduleService } from "../../../gen/kagzi/v1/workflow_schedule_pb.ts"
import { Engine } from "../../engine/Engine.ts"
import { readDue, requested } from "../../protocol/codec.ts"
import { workflow } from "../../protocol/codecRun.ts"
import { readOverlap, schedule as scheduleMessage } from "../../protocol/codecSchedule.ts"
import { defaultMaxCatchup, type Schedule } from "../../Schedule.ts"
import type { ScheduleRecord } from "../../store/Store.ts"
import { nonEmpty, payload, storable, uuid } from "../checks.ts"
import { entry } from "../Handler.ts"
import * as Pages from "../pages.ts"

const methods = WorkflowScheduleService.method

/** The schedule that a request is about. */
const ofSchedule = Effect.fnUntraced(function* (request: { readonly namespace: string; readonly scheduleId: string }) {
  const namespace = yield* nonEmpty(request.namespace, "namespace")
  const scheduleId = yield* uuid(request.scheduleId, "schedule_id")
  return { namespace, scheduleId }
})

/** What a command answered, with the input that it did not load. */
const answer = Effect.fnUntraced(function* (record: ScheduleRecord) {
  const { input } = yield* (yield* Engine).getSchedule(record.namespace, record.scheduleId)
  return { schedule: scheduleMessage({ ...record, input }) }
})

/** All negative numbers say the same. */
const maxCatchupOf = (value: number) => Math.max(-1, value)

const create = entry(
  methods.createWorkflowSchedule,
  Effect.fnUntraced(function* (request) {
    const engine = yield* Engine
    const input = yield* payload(request.input, "input")
    const record = yield* engine.execute({
      _tag: "CreateSchedule",
      scheduleId: yield* engine.newId,
      namespaceId: yield* engine.newId,
      namespace: yield* nonEmpty(request.namespace, "namespace"),
      taskQueue: yield* nonEmpty(request.taskQueue, "task_queue"),
      workflowType: yield* nonEmpty(request.workflowType, "workflow_type"),
      cronExpr: yield* nonEmpty(request.cronExpr, "cron_expr"),
      timezone: request.timezone,
      version: (yield* storable(request.version, "version")) ?? "",
      input,
      enabled: request.enabled ?? true,
      maxCatchup: maxCatchupOf(request.maxCatchup ?? defaultMaxCatchup),
      overlap: yield* requested(readOverlap(request.overlap))
    })
    return { schedule: scheduleMessage({ ...record, input }) }
  })
)

const get = entry(
  methods.getWorkflowSchedule,
  Effect.fnUntraced(function* (request) {
    const { namespace, scheduleId } = yield* ofSchedule(request)
    return { schedule: scheduleMessage(yield* (yield* Engine).getSchedule(namespace, scheduleId)) }
  })
)

const sizes: Pages.Sizes = { standard: 100, max: 500 }

const bytesOf = (schedule: Schedule): number => Pages.wireBytes({ ...schedule, externalId: schedule.cronExpr })

const list = entry(
  methods.listWorkflowSchedules,
  Effect.fnUntraced(function* (request) {
    const engine = yield* Engine
    const taskQueue = yield* storable(request.taskQueue, "task_queue")
    const filter = {
      namespace: yield* nonEmpty(request.namespace, "namespace"),
      ...(taskQueue === undefined ? {} : { taskQueue })
    }
    const page = yield* Pages.asked("schedules", request.page, sizes)
    const { info, items } = yield* Pages.readSized(
      "schedules",
      page,
      (part) => engine.listSchedules(filter, part),
      (schedule) => ({ at: schedule.createdAt, id: schedule.scheduleId }),
      bytesOf
    )
    return { schedules: items.map(scheduleMessage), page: info }
  })
)

const update = entry(
  methods.updateWorkflowSchedule,
  Effect.fnUntraced(function* (request) {
    const { cronExpr, enabled, maxCatchup, nextFireAt, overlap, timezone } = request
    const taskQueue = yield* storable(request.taskQueue, "task_queue")
    const workflowType = yield* storable(request.workflowType, "workflow_type")
    const version = yield* storable(request.version, "version")
    const record = yield* (yield* Engine).execute({
      _tag: "UpdateSchedule",
      ...(yield* ofSchedule(request)),
      ...(taskQueue === undefined ? {} : { taskQueue }),
      ...(workflowType === undefined ? {} : { workflowType }),
      ...(cronExpr === undefined ? {} : { cronExpr }),
      ...(timezone === undefined ? {} : { timezone }),
      ...(version === undefined ? {} : { version }),
      ...(enabled === undefined ? {} : { enabled }),
      ...(maxCatchup === undefined ? {} : { maxCatchup: maxCatchupOf(maxCatchup) }),
      ...(request.input === undefined ? {} : { input: yield* payload(request.input, "input") }),
      ...(overlap === undefined ? {} : { overlap: yield* requested(readOverlap(overlap)) }),
      ...(nextFireAt === undefined ? {} : { nextFireAt: yield* requested(readDue(nextFireAt, "next_fire_at")) })
    })
    return yield* answer(record)
  })
)

const remove = entry(
  methods.deleteWorkflowSchedule,
  Effect.fnUntraced(function* (request) {
    const { deleted } = yield* (yield* Engine).execute({ _tag: "DeleteSchedule", ...(yield* ofSchedule(request)) })
    return { deleted, message: "The schedule is deleted; its runs stay" }
  })
)

const trigger = entry(
  methods.triggerWorkflowSchedule,
  Effect.fnUntraced(function* (request) {
    const engine = yield* Engine
    const { runId } = yield* engine.execute({
      _tag: "TriggerSchedule",
      ...(yield* ofSchedule(request)),
      runId: yield* engine.newId
    })
    return { runId }
  })
)

const pause = entry(
  methods.pauseWorkflowSchedule,
  Effect.fnUntraced(function* (request) {
    return yield* answer(yield* (yield* Engine).execute({ _tag: "PauseSchedule", ...(yield* ofSchedule(request)) }))
  })
)

const resume = entry(
  methods.resumeWorkflowSchedule,
  Effect.fnUntraced(function* (request) {
    return yield* answer(yield* (yield* Engine).execute({ _tag: "ResumeSchedule", ...(yield* ofSchedule(request)) }))
  })
)

const runs = entry(
  methods.listScheduleRuns,
  Effect.fnUntraced(function* (request) {
    const engine = yield* Engine
    const filter = yield* ofSchedule(request)
    yield* engine.getSchedule(filter.namespace, filter.scheduleId)
    const page = yield* Pages.asked("scheduleruns", request.page, sizes)
    const { info, items } = yield* Pages.read(
      "scheduleruns",
      page,
      (part) => engine.listRuns(filter, part),
      (run) => ({ at: run.createdAt, id: run.runId })
    )
    return { runs: items.map(workflow), page: info }
  })
)

export const scheduleService = [create, get, list, update, remove, trigger, pause, resume, runs]
