/** What can be asked of the engine about schedules that changes something, and what it answers: the part of `Command`. */
import type { Payload } from "../Run.ts"
import type { Overlap } from "../Schedule.ts"
import type { ScheduleRecord } from "../store/Store.ts"

export interface CreateSchedule {
  readonly _tag: "CreateSchedule"
  readonly scheduleId: string
  /** Id for the namespace if one is made. */
  readonly namespaceId: string
  readonly namespace: string
  readonly taskQueue: string
  readonly workflowType: string
  readonly cronExpr: string
  /** Empty is UTC. */
  readonly timezone: string
  readonly version: string
  readonly input: Payload
  readonly enabled: boolean
  readonly maxCatchup: number
  readonly overlap: Overlap
}

interface OfSchedule {
  readonly namespace: string
  readonly scheduleId: string
}

/** Changes what is given and leaves the rest. */
export interface UpdateSchedule extends OfSchedule {
  readonly _tag: "UpdateSchedule"
  readonly taskQueue?: string
  readonly workflowType?: string
  readonly cronExpr?: string
  readonly timezone?: string
  readonly version?: string
  readonly input?: Payload
  readonly enabled?: boolean
  readonly maxCatchup?: number
  readonly overlap?: Overlap
  /** Takes the place of the next slot, whatever the expression says; a time that is past is made up for. */
  readonly nextFireAt?: number
}

export interface PauseSchedule extends OfSchedule {
  readonly _tag: "PauseSchedule"
}

export interface ResumeSchedule extends OfSchedule {
  readonly _tag: "ResumeSchedule"
}

export interface DeleteSchedule extends OfSchedule {
  readonly _tag: "DeleteSchedule"
}

/** Starts a run of the schedule now, beside its slots. */
export interface TriggerSchedule extends OfSchedule {
  readonly _tag: "TriggerSchedule"
  readonly runId: string
}

/**
 * Starts the runs of the slots that are due. Sent by the engine to itself, with the schedule as it was read: one that is
 * otherwise by then is left alone, to be read again.
 */
export interface FireSchedule extends OfSchedule {
  readonly _tag: "FireSchedule"
  readonly nextFireAt: number
  readonly overlap: Overlap
  /** Ids for the runs, ascending, at least one; slots for which there is none stay due. */
  readonly runIds: ReadonlyArray<string>
}

export type ScheduleCommand =
  | CreateSchedule
  | UpdateSchedule
  | PauseSchedule
  | ResumeSchedule
  | DeleteSchedule
  | TriggerSchedule
  | FireSchedule

export interface ScheduleReply {
  readonly CreateSchedule: ScheduleRecord
  readonly UpdateSchedule: ScheduleRecord
  readonly PauseSchedule: ScheduleRecord
  readonly ResumeSchedule: ScheduleRecord
  readonly DeleteSchedule: { readonly deleted: boolean }
  readonly TriggerSchedule: { readonly runId: string }
  /** `problem` is why the schedule will not fire any more. */
  readonly FireSchedule: { readonly fired: number; readonly problem?: string }
}
