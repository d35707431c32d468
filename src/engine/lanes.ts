/**
 * Which commands go one after the other, where a store carries out several transactions at a time.
 *
 * Those of one run share a lane, so that they are carried out in the order in which they came. So do all that are not of
 * one run: starts, claims, what workers say of themselves, and what is done to schedules and namespaces. A start and the
 * claim that takes it are one transaction that way, and a worker's row is not waited for by one lane behind another.
 */
import type { Command } from "./Command.ts"

const ofOneRun: { readonly [C in Command as C["_tag"]]: boolean } = {
  FindRun: true,
  CancelRun: true,
  TerminateRun: true,
  RetryRun: true,
  BeginStep: true,
  CompleteStep: true,
  FailStep: true,
  SleepStep: true,
  CancelStep: true,
  SuspendRun: true,
  ReleaseRun: true,
  CompleteRun: true,
  FailRun: true,
  StartRun: false,
  ClaimRun: false,
  RegisterWorker: false,
  Heartbeat: false,
  DeregisterWorker: false,
  DrainWorker: false,
  ExpireWorkers: false,
  CreateNamespace: false,
  UpdateNamespace: false,
  CreateSchedule: false,
  UpdateSchedule: false,
  PauseSchedule: false,
  ResumeSchedule: false,
  DeleteSchedule: false,
  TriggerSchedule: false,
  FireSchedule: false
}

/** The lane of everything that is not of one run. */
export const commonLane = 0

/** FNV-1a, of the end: ids of runs begin with the time. */
const hash = (id: string): number => {
  let sum = 0x811c9dc5
  for (let at = Math.max(0, id.length - 12); at < id.length; at++) {
    sum = Math.imul(sum ^ id.charCodeAt(at), 0x01000193)
  }
  return sum >>> 0
}

/** The lane of a command, of so many. */
export const laneOf = (command: Command, lanes: number): number =>
  lanes > 1 && ofOneRun[command._tag] && "runId" in command ? 1 + (hash(command.runId) % (lanes - 1)) : commonLane
