/** Between schedules and the messages of the contract. */
import { create } from "@bufbuild/protobuf"
import type { Timestamp } from "@bufbuild/protobuf/wkt"
import { Result } from "effect"
import {
  type WorkflowSchedule as ProtoSchedule,
  WorkflowScheduleSchema
} from "../../gen/kagzi/v1/workflow_schedule_pb.ts"
import type { Overlap, Schedule } from "../Schedule.ts"
import type { Read } from "./codec.ts"
import * as codec from "./codec.ts"
import * as enums from "./enums.ts"

export const schedule = (value: Schedule): ProtoSchedule =>
  create(WorkflowScheduleSchema, {
    namespace: value.namespace,
    scheduleId: value.scheduleId,
    taskQueue: value.taskQueue,
    workflowType: value.workflowType,
    cronExpr: value.cronExpr,
    timezone: value.timezone,
    version: value.version,
    enabled: value.enabled,
    input: codec.payload(value.input),
    maxCatchup: codec.int32(value.maxCatchup),
    overlap: enums.overlap.toProto(value.overlap),
    totalRuns: codec.int64(value.totalRuns),
    successfulRuns: codec.int64(value.successfulRuns),
    failedRuns: codec.int64(value.failedRuns),
    createdAt: codec.timestamp(value.createdAt),
    updatedAt: codec.timestamp(value.updatedAt),
    ...(value.nextFireAt === undefined ? {} : { nextFireAt: codec.timestamp(value.nextFireAt) }),
    ...(value.lastFiredAt === undefined ? {} : { lastFiredAt: codec.timestamp(value.lastFiredAt) })
  })

export const readOverlap = (value: number): Read<Overlap> => {
  const overlap = enums.overlap.fromProto(value)
  return overlap === undefined ? Result.fail(`overlap is unknown: ${value}`) : Result.succeed(overlap)
}

const required = (message: Timestamp | undefined, field: string): Read<number> =>
  message === undefined ? Result.fail(`${field} is missing`) : codec.readTimestamp(message, field)

export const readSchedule = (message: ProtoSchedule | undefined): Read<Schedule> =>
  Result.gen(function* () {
    if (message === undefined) return yield* Result.fail("schedule is missing")
    const { lastFiredAt, nextFireAt } = message
    return {
      namespace: message.namespace,
      scheduleId: message.scheduleId,
      taskQueue: message.taskQueue,
      workflowType: message.workflowType,
      cronExpr: message.cronExpr,
      // A server that knows no time zones reads expressions in UTC.
      timezone: message.timezone === "" ? "UTC" : message.timezone,
      version: message.version,
      enabled: message.enabled,
      input: codec.readPayload(message.input),
      maxCatchup: message.maxCatchup,
      overlap: yield* readOverlap(message.overlap),
      totalRuns: yield* codec.safeNumber(message.totalRuns, "total_runs"),
      successfulRuns: yield* codec.safeNumber(message.successfulRuns, "successful_runs"),
      failedRuns: yield* codec.safeNumber(message.failedRuns, "failed_runs"),
      createdAt: yield* required(message.createdAt, "created_at"),
      updatedAt: yield* required(message.updatedAt, "updated_at"),
      ...(nextFireAt === undefined ? {} : { nextFireAt: yield* codec.readDue(nextFireAt, "next_fire_at") }),
      ...(lastFiredAt === undefined ? {} : { lastFiredAt: yield* codec.readTimestamp(lastFiredAt, "last_fired_at") })
    }
  })
