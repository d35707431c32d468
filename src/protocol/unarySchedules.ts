/** Schedules over plain unary RPCs. */
import { Effect } from "effect"
import { type KagziError, PreconditionFailed } from "../KagziError.ts"
import * as codec from "./codec.ts"
import { readWorkflow } from "./codecRun.ts"
import { readSchedule } from "./codecSchedule.ts"
import * as enums from "./enums.ts"
import type { ScheduleFields, ScheduleShape } from "./Protocol.ts"
import { pageRequest, readPage } from "./pages.ts"
import type { Services } from "./services.ts"

const read = (reply: { readonly schedule?: Parameters<typeof readSchedule>[0] }) =>
  codec.answered(readSchedule(reply.schedule))

const fieldsOf = ({ input, maxCatchup, nextFireAt, overlap, ...rest }: ScheduleFields) => ({
  ...rest,
  ...(input === undefined ? {} : { input: codec.payload(input) }),
  ...(maxCatchup === undefined ? {} : { maxCatchup: codec.int32(maxCatchup) }),
  ...(overlap === undefined ? {} : { overlap: enums.overlap.toProto(overlap) }),
  ...(nextFireAt === undefined ? {} : { nextFireAt: codec.timestamp(nextFireAt) })
})

/** The part of the protocol that is about schedules. */
export const make = ({ hasSchedules, schedules }: Services): ScheduleShape => {
  /** A server that does not know these fields would leave them out and fire at other times. */
  const checkSupport = Effect.fnUntraced(function* ({
    overlap,
    timezone
  }: ScheduleFields): Effect.fn.Return<void, KagziError> {
    const unusual =
      overlap !== undefined && overlap !== "allow"
        ? `overlap: ${JSON.stringify(overlap)}`
        : timezone !== undefined && timezone !== "" && timezone !== "UTC"
          ? `timezone: ${JSON.stringify(timezone)}`
          : undefined
    if (unusual !== undefined && !(yield* hasSchedules)) {
      return yield* new PreconditionFailed({ message: `This server does not support ${unusual}` })
    }
  })

  return {
    createSchedule: Effect.fn("Protocol.createSchedule")(function* ({ namespace, ...fields }) {
      yield* checkSupport(fields)
      return yield* read(yield* schedules.createWorkflowSchedule({ namespace, ...fieldsOf(fields) }))
    }),
    getSchedule: Effect.fn("Protocol.getSchedule")(function* (namespace, scheduleId) {
      return yield* read(yield* schedules.getWorkflowSchedule({ namespace, scheduleId }))
    }),
    listSchedules: Effect.fn("Protocol.listSchedules")(function* (filter, page) {
      const reply = yield* schedules.listWorkflowSchedules({ ...filter, page: pageRequest(page) })
      return yield* readPage(reply.schedules, readSchedule, page, reply.page)
    }),
    updateSchedule: Effect.fn("Protocol.updateSchedule")(function* (namespace, scheduleId, fields) {
      yield* checkSupport(fields)
      return yield* read(yield* schedules.updateWorkflowSchedule({ namespace, scheduleId, ...fieldsOf(fields) }))
    }),
    pauseSchedule: Effect.fn("Protocol.pauseSchedule")(function* (namespace, scheduleId) {
      return yield* read(yield* schedules.pauseWorkflowSchedule({ namespace, scheduleId }))
    }),
    resumeSchedule: Effect.fn("Protocol.resumeSchedule")(function* (namespace, scheduleId) {
      return yield* read(yield* schedules.resumeWorkflowSchedule({ namespace, scheduleId }))
    }),
    deleteSchedule: Effect.fn("Protocol.deleteSchedule")(function* (namespace, scheduleId) {
      yield* schedules.deleteWorkflowSchedule({ namespace, scheduleId })
    }),
    triggerSchedule: Effect.fn("Protocol.triggerSchedule")(function* (namespace, scheduleId) {
      return (yield* schedules.triggerWorkflowSchedule({ namespace, scheduleId })).runId
    }),
    listScheduleRuns: Effect.fn("Protocol.listScheduleRuns")(function* (namespace, scheduleId, page) {
      const reply = yield* schedules.listScheduleRuns({ namespace, scheduleId, page: pageRequest(page) })
      return yield* readPage(reply.runs, readWorkflow, page, reply.page)
    })
  }
}
