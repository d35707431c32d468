/**
 * The pure core: what a batch of commands does to the rows it was given.
 *
 * Commands are applied in order, each seeing what those before it did. One that is refused changes nothing and does not
 * disturb the others.
 */
import type { Changes, Rows, Wants } from "../../store/Store.ts"
import type { Command, Reply } from "../Command.ts"
import { claimRun } from "./claims.ts"
import type { Decision } from "./failures.ts"
import { fireSchedule } from "./firing.ts"
import { type Circumstances, find } from "./leases.ts"
import type { Place } from "./limits.ts"
import * as Namespaces from "./namespaces.ts"
import * as Runs from "./runs.ts"
import * as Schedules from "./schedules.ts"
import { sleepStep } from "./sleeps.ts"
import * as Steps from "./steps.ts"
import * as Workers from "./workers.ts"
import { WorkingSet } from "./WorkingSet.ts"

type Rules = {
  readonly [C in Command as C["_tag"]]: (set: WorkingSet, command: C, at: Circumstances) => Decision<Reply[C["_tag"]]>
}

const rules: Rules = {
  CreateNamespace: Namespaces.createNamespace,
  UpdateNamespace: Namespaces.updateNamespace,
  DrainWorker: Workers.drainWorker,
  StartRun: Runs.startRun,
  FindRun: find,
  CancelRun: Runs.cancelRun,
  TerminateRun: Runs.terminateRun,
  RetryRun: Runs.retryRun,
  CompleteRun: Runs.completeRun,
  FailRun: Runs.failRun,
  SuspendRun: Runs.suspendRun,
  ReleaseRun: Runs.releaseRun,
  ClaimRun: claimRun,
  BeginStep: Steps.beginStep,
  CompleteStep: Steps.completeStep,
  FailStep: Steps.failStep,
  CancelStep: Steps.cancelStep,
  SleepStep: sleepStep,
  RegisterWorker: Workers.registerWorker,
  Heartbeat: Workers.heartbeat,
  DeregisterWorker: Workers.deregisterWorker,
  ExpireWorkers: Workers.expireWorkers,
  CreateSchedule: Schedules.createSchedule,
  UpdateSchedule: Schedules.updateSchedule,
  PauseSchedule: Schedules.pauseSchedule,
  ResumeSchedule: Schedules.resumeSchedule,
  DeleteSchedule: Schedules.deleteSchedule,
  TriggerSchedule: Schedules.triggerSchedule,
  FireSchedule: fireSchedule
}

/** Applies one command; a refused one leaves the set as it was. */
export const apply = <C extends Command>(
  set: WorkingSet,
  command: C,
  at: Circumstances
): Decision<Reply[C["_tag"]]> => {
  // The table is indexed by the command's own tag, which the type checker can't follow through a union.
  const rule = rules[command._tag] as unknown as (
    set: WorkingSet,
    command: C,
    at: Circumstances
  ) => Decision<Reply[C["_tag"]]>
  return set.attempt(() => rule(set, command, at))
}

/** A command with the random number that its decision may use. */
export interface Submitted {
  readonly command: Command
  readonly random: number
}

/** What a batch decided: the rows to write, and the answer to each command in order. */
export interface Decided {
  readonly changes: Changes
  readonly replies: ReadonlyArray<Decision<Reply[Command["_tag"]]>>
  /** Queues on which more runs may execute than before, for reasons other than runs that ended. */
  readonly relaxed: ReadonlyArray<Place>
}

/** Decides on a batch. Nothing is kept between calls, so it may be called again for the same batch. */
export const decide = (
  wants: Wants,
  rows: Rows,
  batch: ReadonlyArray<Submitted>,
  at: Omit<Circumstances, "random">
): Decided => {
  const set = new WorkingSet(wants, rows)
  const replies = batch.map(({ command, random }) => apply(set, command, { ...at, random }))
  return { changes: set.changes(), replies, relaxed: set.relaxed() }
}
