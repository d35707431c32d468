/**
 * The enums of the wire contract and the domain's words for them, both ways.
 *
 * The types are exhaustive in both directions: a value added to the contract or to the domain does not compile until
 * it is mapped here.
 */
import { ServingStatus as ProtoServingStatus } from "../../gen/kagzi/v1/admin_pb.ts"
import { ErrorCode as ProtoErrorCode } from "../../gen/kagzi/v1/common_pb.ts"
import {
  StepKind as ProtoStepKind,
  StepStatus as ProtoStepStatus,
  WorkerStatus as ProtoWorkerStatus
} from "../../gen/kagzi/v1/worker_pb.ts"
import { ScheduleOverlap as ProtoScheduleOverlap } from "../../gen/kagzi/v1/workflow_schedule_pb.ts"
import { IfExists as ProtoIfExists, WorkflowStatus as ProtoWorkflowStatus } from "../../gen/kagzi/v1/workflow_pb.ts"
import type * as KagziError from "../KagziError.ts"
import type * as Run from "../Run.ts"
import type { Overlap } from "../Schedule.ts"
import type { WorkerStatus } from "./Protocol.ts"

/** Whether a server answers requests. */
export type ServingStatus = "SERVING" | "NOT_SERVING"

/** An enum of the contract beside the domain's words for it. */
export interface TwoWay<Domain extends string, Value extends number> {
  readonly toProto: (domain: Domain) => Value
  /** Undefined for `UNSPECIFIED`, where that means nothing, and for values of a newer contract. */
  readonly fromProto: (value: number) => Domain | undefined
}

type Names<Proto, Domain> = { readonly [K in Exclude<keyof Proto, "UNSPECIFIED">]: Domain } & {
  readonly UNSPECIFIED?: Domain
}

type Covered<Domain, M> = [Exclude<Domain, M[keyof M]>] extends [never]
  ? unknown
  : { readonly unmapped: Exclude<Domain, M[keyof M]> }

const twoWay =
  <Domain extends string>() =>
  <const Proto extends Readonly<Record<string, number>>, const M extends Names<Proto, Domain>>(
    proto: Proto,
    names: M & Covered<Domain, M>
  ): TwoWay<Domain, Proto[keyof Proto]> => {
    const pairs = Object.entries(names as Readonly<Record<string, Domain>>).map(
      ([name, domain]) => [domain, proto[name] as Proto[keyof Proto]] as const
    )
    const to = Object.fromEntries(pairs) as Readonly<Record<Domain, Proto[keyof Proto]>>
    const from = new Map<number, Domain>(pairs.map(([domain, value]) => [value, domain]))
    return { toProto: (domain) => to[domain], fromProto: (value) => from.get(value) }
  }

export const status = twoWay<Run.Status>()(ProtoWorkflowStatus, {
  PENDING: "PENDING",
  RUNNING: "RUNNING",
  SLEEPING: "SLEEPING",
  COMPLETED: "COMPLETED",
  FAILED: "FAILED",
  CANCELLED: "CANCELLED",
  SCHEDULED: "SCHEDULED",
  PAUSED: "PAUSED"
})

export const stepKind = twoWay<Run.StepKind>()(ProtoStepKind, {
  FUNCTION: "FUNCTION",
  SLEEP: "SLEEP",
  CHILD_WORKFLOW: "CHILD_WORKFLOW"
})

export const stepStatus = twoWay<Run.StepStatus>()(ProtoStepStatus, {
  PENDING: "PENDING",
  RUNNING: "RUNNING",
  COMPLETED: "COMPLETED",
  FAILED: "FAILED"
})

export const errorCode = twoWay<KagziError.Code>()(ProtoErrorCode, {
  NOT_FOUND: "NotFound",
  INVALID_ARGUMENT: "InvalidArgument",
  PRECONDITION_FAILED: "PreconditionFailed",
  CONFLICT: "Conflict",
  UNAUTHORIZED: "Unauthorized",
  UNAVAILABLE: "Unavailable",
  INTERNAL: "Internal",
  TIMEOUT: "Timeout"
})

export const workerStatus = twoWay<WorkerStatus>()(ProtoWorkerStatus, {
  ONLINE: "ONLINE",
  DRAINING: "DRAINING",
  OFFLINE: "OFFLINE"
})

export const servingStatus = twoWay<ServingStatus>()(ProtoServingStatus, {
  SERVING: "SERVING",
  NOT_SERVING: "NOT_SERVING"
})

export const ifExists = twoWay<Run.IfExists>()(ProtoIfExists, {
  UNSPECIFIED: "use-active",
  REJECT: "reject",
  RETURN_FINISHED: "return-finished"
})

export const overlap = twoWay<Overlap>()(ProtoScheduleOverlap, {
  UNSPECIFIED: "allow",
  SKIP: "skip",
  CANCEL: "cancel"
})
