/**
 * What a transaction asks before it decides, all in one round trip where it can.
 *
 * **Locks**
 *
 * They are waited for in one order, whatever a batch consists of: namespaces that are changed, schedules, workers,
 * queues with limits, runs, and last the keys of new rows; those of one kind in the order of their ids. So no two
 * transactions wait for each other. Each statement sees what was committed before it began, so that what is read behind
 * a lock is up to date.
 */
import type { Changes, Wants } from "../Store.ts"
import type { Loaded } from "./Loaded.ts"
import type { Question } from "./pipeline.ts"
import * as limits from "./queries/limits.ts"
import * as runs from "./queries/runs.ts"
import * as schedules from "./queries/schedules.ts"
import * as steps from "./queries/steps.ts"
import * as workers from "./queries/workers.ts"

const occupied = (places: ReadonlyArray<limits.Place>, loaded: Loaded): ReadonlyArray<Question> =>
  places.length === 0
    ? []
    : [
        {
          ...limits.occupancy(places),
          answered: (rows) => {
            for (const row of rows) loaded.occupied(limits.toOccupancy(row))
          }
        }
      ]

const renewing = ({ renewals }: Wants): ReadonlySet<string> => renewals?.workers ?? new Set()

/** The first questions. */
export const firstQuestions = (wants: Wants, loaded: Loaded, lockNamespaces: boolean): ReadonlyArray<Question> => {
  const claims = wants.claims.filter(({ workflowTypes }) => workflowTypes.length > 0)
  const limited = claims.length > 0 || renewing(wants).size > 0
  return [
    ...workers.loadNamespaces(wants, loaded, lockNamespaces),
    ...schedules.lockSchedules(wants, loaded),
    ...workers.lockWorkers(wants, loaded),
    ...(limited ? [limits.lock(claims, renewing(wants), loaded)] : []),
    ...runs.lockRuns(wants, loaded),
    ...runs.lockClaims(wants, loaded),
    ...steps.load(wants, loaded),
    ...schedules.loadSlots(wants, loaded)
  ]
}

/**
 * What the answers to the first questions ask for: what claimed runs wait for, how much of limits is used where there are
 * some, and the limits where a lease ended before it was renewed, which is rare. A run that never began a step waits for
 * nothing.
 */
export const furtherQuestions = (wants: Wants, loaded: Loaded): ReadonlyArray<Question> => {
  const claimable = loaded.isLimited ? loaded.candidates : new Set(loaded.claims(wants).flat())
  const waiting = Array.from(claimable).filter(
    (runId) => (loaded.runs.get(runId)?.stepCount ?? 0) > 0 && !wants.waits.has(runId)
  )
  const places = loaded.isLimited
    ? wants.claims.flatMap((claim) => limits.placesOf(claim, claim.workflowTypes, claim.dueBy))
    : []
  for (const workerId of renewing(wants)) {
    const worker = loaded.workers.get(workerId)
    if (worker === undefined || wants.renewals === undefined) continue
    const { at } = wants.renewals
    const held = Array.from(loaded.runs.values()).filter((run) => run.workerId === workerId && run.status === "RUNNING")
    if (held.every(({ dueAt = at }) => dueAt > at)) continue
    const types = held.map(({ workflowType }) => workflowType)
    places.push(...limits.placesOf(worker, types, at))
  }
  return [...(waiting.length === 0 ? [] : [steps.waits(waiting, loaded)]), ...occupied(places, loaded)]
}

/** Rows that changes need and that were not wanted, by what they are. */
export interface Unseen {
  readonly wants: Pick<Wants, "namespaces" | "runs" | "workers" | "schedules" | "stepIds">
  readonly isEmpty: boolean
}

const without = (ids: Iterable<string>, ...known: ReadonlyArray<{ readonly has: (id: string) => boolean }>) => {
  const found = new Set<string>()
  for (const id of ids) if (!known.some((those) => those.has(id))) found.add(id)
  return found
}

const idsOf = <A>(records: ReadonlyArray<A>, idOf: (record: A) => string) => new Set(records.map(idOf))

const runIdOf = ({ runId }: { readonly runId: string }) => runId
const scheduleIdOf = ({ scheduleId }: { readonly scheduleId: string }) => scheduleId

/** What changes are made to that was not loaded. */
export const unseen = (changes: Changes, loaded: Loaded): Unseen => {
  const newRuns = idsOf(changes.insertRuns, runIdOf)
  const newSchedules = idsOf(changes.insertSchedules, scheduleIdOf)
  const usedRuns = [
    ...changes.updateRuns.map(runIdOf),
    ...changes.insertSteps.map(runIdOf),
    ...changes.updateSteps.map(runIdOf),
    ...changes.inputs.map(runIdOf),
    ...changes.outputs.map(runIdOf),
    ...changes.copyInputs.flatMap(({ from, runId }) => [runId, from]),
    ...changes.copyScheduleInputs.map(runIdOf)
  ]
  const usedSchedules = [
    ...changes.updateSchedules.map(scheduleIdOf),
    ...changes.scheduleInputs.map(scheduleIdOf),
    ...changes.copyScheduleInputs.map(scheduleIdOf)
  ]
  const wants = {
    namespaces: without(
      changes.updateNamespaces.map(({ namespace }) => namespace),
      loaded.namespaces
    ),
    schedules: without(usedSchedules, loaded.schedules, newSchedules),
    workers: without(
      changes.updateWorkers.map(({ workerId }) => workerId),
      loaded.workers
    ),
    runs: without(usedRuns, loaded.runs, newRuns),
    stepIds: without(
      changes.updateSteps.map(({ stepId }) => stepId),
      loaded.steps
    )
  }
  return { wants, isEmpty: Object.values(wants).every((ids) => ids.size === 0) }
}

/** What of it does not exist, once it was asked for. */
export const missing = ({ wants }: Unseen, loaded: Loaded): string | undefined => {
  const kinds = [
    ["namespace", wants.namespaces, loaded.namespaces],
    ["schedule", wants.schedules, loaded.schedules],
    ["worker", wants.workers, loaded.workers],
    ["run", wants.runs, loaded.runs],
    ["step", wants.stepIds, loaded.steps]
  ] as const
  for (const [kind, ids, known] of kinds) for (const id of ids) if (!known.has(id)) return `${kind} ${id}`
  return undefined
}

export const nothing: Wants = {
  namespaces: new Set(),
  runs: new Set(),
  externalIds: [],
  steps: [],
  stepIds: new Set(),
  waits: new Set(),
  workers: new Set(),
  workerKeys: [],
  workerRuns: new Set(),
  schedules: new Set(),
  scheduleRuns: new Set(),
  slots: [],
  claims: []
}
