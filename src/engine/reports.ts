/** What operators are told of the runs there are, from how many there are of each kind. */
import { isTerminal, type Status } from "../Run.ts"
import type { RunCount } from "../store/Store.ts"

/** How many runs, workers and schedules there are. */
export interface Stats {
  readonly runs: number
  /** Statuses and types that no run has are left out. */
  readonly byStatus: ReadonlyMap<Status, number>
  readonly byType: ReadonlyMap<string, number>
  readonly workers: number
  readonly onlineWorkers: number
  readonly schedules: number
  readonly enabledSchedules: number
}

/** The unfinished runs of a task queue. */
export interface QueueDepth {
  readonly taskQueue: string
  /** Waiting for a worker, or for the time of their next execution. */
  readonly pending: number
  readonly running: number
  readonly sleeping: number
}

/** A workflow type that there are runs of. */
export interface WorkflowType {
  readonly workflowType: string
  readonly runs: number
  /** Those that have not ended. */
  readonly activeRuns: number
  /** By name. */
  readonly taskQueues: ReadonlyArray<string>
}

const sum = <K extends string>(
  counts: ReadonlyArray<RunCount>,
  key: (count: RunCount) => K
): ReadonlyMap<K, number> => {
  const sums = new Map<K, number>()
  for (const count of counts) sums.set(key(count), (sums.get(key(count)) ?? 0) + count.count)
  return sums
}

export const total = (counts: ReadonlyArray<RunCount>): number => counts.reduce((sum, { count }) => sum + count, 0)

export const byStatus = (counts: ReadonlyArray<RunCount>) => sum(counts, ({ status }) => status)

export const byType = (counts: ReadonlyArray<RunCount>) => sum(counts, ({ workflowType }) => workflowType)

/** By the name of the queue; those without unfinished runs are left out. */
export const depths = (counts: ReadonlyArray<RunCount>): ReadonlyArray<QueueDepth> =>
  Array.from(
    Map.groupBy(
      counts.filter(({ status }) => !isTerminal(status)),
      ({ taskQueue }) => taskQueue
    ),
    ([taskQueue, ofQueue]) => {
      const found = byStatus(ofQueue)
      return {
        taskQueue,
        pending: found.get("PENDING") ?? 0,
        running: found.get("RUNNING") ?? 0,
        sleeping: found.get("SLEEPING") ?? 0
      }
    }
  )

/** By name. */
export const types = (counts: ReadonlyArray<RunCount>): ReadonlyArray<WorkflowType> =>
  Array.from(
    Map.groupBy(counts, ({ workflowType }) => workflowType),
    ([workflowType, ofType]) => ({
      workflowType,
      runs: total(ofType),
      activeRuns: total(ofType.filter(({ status }) => !isTerminal(status))),
      taskQueues: [...new Set(ofType.map(({ taskQueue }) => taskQueue))]
    })
  ).sort((a, b) => (a.workflowType < b.workflowType ? -1 : 1))

/** The types after that name, as many as are wanted. */
export const typePage = (
  counts: ReadonlyArray<RunCount>,
  page: { readonly limit: number; readonly after: string | undefined }
): { readonly items: ReadonlyArray<WorkflowType>; readonly hasMore: boolean; readonly total: number } => {
  const all = types(counts)
  const { after } = page
  const rest = after === undefined ? all : all.filter(({ workflowType }) => workflowType > after)
  return { items: rest.slice(0, page.limit), hasMore: rest.length > page.limit, total: all.length }
}
