/** The limits that workers declare, as rows. */
import type { WorkerRecord } from "../Store.ts"

/** Stands for the whole queue in place of a workflow type, which is never empty. */
export const wholeQueue = ""

export type Declared = ReadonlyArray<readonly [workflowType: string, limit: number]>

/** What a worker declares; nothing when it is gone. */
export const declared = (worker: WorkerRecord): Declared => {
  if (worker.status === "OFFLINE") return []
  const ofTypes = Object.entries(worker.workflowTypeConcurrency)
  return worker.queueConcurrencyLimit === undefined ? ofTypes : [[wholeQueue, worker.queueConcurrencyLimit], ...ofTypes]
}

/** Whether a worker declares what it did before, where that is known. */
export const declaresTheSame = (worker: WorkerRecord, before: WorkerRecord | undefined): boolean =>
  before !== undefined && JSON.stringify(declared(worker)) === JSON.stringify(declared(before))
