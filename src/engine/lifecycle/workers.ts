/** Workers: how they come, show that they live, and go. */
import { Result } from "effect"
import { isTerminal } from "../../Run.ts"
import type { RunRecord, WorkerRecord } from "../../store/Store.ts"
import type {
  DeregisterWorker,
  DrainWorker,
  ExpireWorkers,
  Heartbeat,
  Held,
  RegisterWorker,
  Reply
} from "../Command.ts"
import { type Decision, invalid, notFound, refused } from "./failures.ts"
import * as Leases from "./leases.ts"
import * as Namespaces from "./namespaces.ts"
import { wasStopped } from "./runs.ts"
import type { WorkingSet } from "./WorkingSet.ts"

/** A run that a worker does not say it holds may still be on its way to it for so long. */
const handOverMillis = 5_000

/** Polls of a busy worker don't each write its row: they are stored this coarsely, in milliseconds. */
const seenMillis = 1_000

/** At most this part of its patience: clients rely on 1.75 of the 2 intervals that this is, so twice as much is to spare. */
const seenPart = 1 / 16

/** How long it may be silent. */
const silenceOf = (worker: WorkerRecord, at: Leases.Circumstances): number =>
  Math.max(at.staleMillis, worker.patienceMillis)

/** The worker, heard of now. */
const heardOf = (worker: WorkerRecord, now: number): WorkerRecord => ({
  ...worker,
  lastHeartbeatAt: Leases.later(worker.lastHeartbeatAt, now)
})

/** Notes a sign of life. */
export const seen = (set: WorkingSet, worker: WorkerRecord, now: number): void => {
  const coarse = Math.min(seenMillis, seenPart * worker.patienceMillis)
  if (now - worker.lastHeartbeatAt >= coarse) set.putWorker(heardOf(worker, now))
}

/** Makes all runs that a worker holds claimable at once. */
const releaseRuns = (set: WorkingSet, workerId: string, now: number): void => {
  for (const run of set.runsOf(workerId)) set.putRun(Leases.released(run, now))
}

const problemOf = (command: RegisterWorker): string | undefined => {
  if (command.taskQueue === "") return "task_queue must not be empty"
  if (command.workflowTypes.length === 0) return "workflow_types must not be empty"
  if (command.workflowTypes.includes("")) return "workflow_types must not contain an empty name"
  if (command.queueConcurrencyLimit !== undefined && command.queueConcurrencyLimit < 1) {
    return "queue_concurrency_limit must be 1 or more"
  }
  for (const [type, limit] of Object.entries(command.workflowTypeConcurrency)) {
    if (type === "") return "workflow_type_concurrency must not contain an empty name"
    if (limit < 1) return `workflow_type_concurrency of ${type} must be 1 or more`
  }
  return undefined
}

/**
 * Registering again with the same key renews the worker that is there. This may be carried out late, when the worker has
 * long gone on with another server.
 */
export const registerWorker = (
  set: WorkingSet,
  command: RegisterWorker,
  at: Leases.Circumstances
): Decision<Reply["RegisterWorker"]> => {
  const problem = problemOf(command)
  if (problem !== undefined) return invalid(problem)
  return Result.map(Namespaces.ensure(set, command.namespace, command.namespaceId, at.now), () => {
    const { _tag, namespaceId, queueConcurrencyLimit, ...told } = command
    const known = set.workerByKey(command)
    const patienceMillis = Leases.guaranteedIntervals * at.heartbeatMillis
    return set.putWorker({
      ...told,
      ...(queueConcurrencyLimit === undefined ? {} : { queueConcurrencyLimit }),
      workerId: known?.workerId ?? command.workerId,
      status: "ONLINE",
      registeredAt: known?.registeredAt ?? at.now,
      lastHeartbeatAt: known === undefined ? at.now : heardOf(known, at.now).lastHeartbeatAt,
      patienceMillis: Math.max(patienceMillis, known?.patienceMillis ?? 0),
      // without an id of its own it may be another life of the worker, which counts its streams anew
      stream: command.instanceId === "" ? 0 : (known?.stream ?? 0)
    })
  })
}

/** A worker that has not gone. */
const find = (set: WorkingSet, workerId: string): Decision<WorkerRecord> => {
  const worker = set.worker(workerId)
  return worker === undefined || worker.status === "OFFLINE" ? notFound("worker", workerId) : Result.succeed(worker)
}

/**
 * Whether a lease can't be renewed any more although nobody has claimed the run yet: its slot has been free since it
 * ended, and others have taken all there are.
 */
const isForfeited = (set: WorkingSet, run: RunRecord, now: number): boolean =>
  run.dueAt !== undefined && run.dueAt <= now && set.isFull(run)

/** Renews the leases of the runs that a worker says it holds, and takes back those that never reached it. */
const renewHeld = (
  set: WorkingSet,
  worker: WorkerRecord,
  { held = [], resumes = false }: Heartbeat,
  at: Leases.Circumstances
): Pick<Reply["Heartbeat"], "lost" | "cancelled"> => {
  const lost: Array<Held> = []
  const cancelled: Array<Held> = []
  const reached = new Set<string>()
  for (const entry of held) {
    const run = set.run(entry.runId)
    const isCurrent = run !== undefined && Leases.isHeld(run, entry.lease)
    // with an earlier lease it says nothing of whether the run has come back to it
    if (isCurrent) reached.add(entry.runId)
    if (isCurrent && !isForfeited(set, run, at.now)) {
      set.putRun(Leases.renewed(run, worker, at))
    } else if (run !== undefined && isTerminal(run.status) && wasStopped(run)) {
      cancelled.push(entry)
    } else {
      lost.push(entry)
    }
  }
  for (const run of set.runsOf(worker.workerId)) {
    if (!reached.has(run.runId) && (resumes || at.now - (run.claimedAt ?? 0) > handOverMillis)) {
      set.putRun(Leases.released(run, at.now))
    }
  }
  return { lost, cancelled }
}

export const heartbeat = (
  set: WorkingSet,
  command: Heartbeat,
  at: Leases.Circumstances
): Decision<Reply["Heartbeat"]> =>
  Result.flatMap(find(set, command.workerId), (known) => {
    const stream = command.stream ?? known.stream
    // from a server that stood still, or through one: it would take back what has come to the worker since
    if (stream < known.stream) return refused(`Worker ${known.workerId} was heard of over a later stream`)
    // a version that did not note it may have registered the worker
    const patienceMillis = known.patienceMillis || Leases.guaranteedIntervals * at.heartbeatMillis
    const worker = set.putWorker({ ...heardOf(known, at.now), patienceMillis, stream })
    const shouldDrain = worker.status === "DRAINING"
    if (command.held !== undefined) {
      return Result.succeed({ shouldDrain, patienceMillis, ...renewHeld(set, worker, command, at) })
    }
    for (const run of set.runsOf(worker.workerId)) {
      if (!isForfeited(set, run, at.now)) set.putRun(Leases.renewed(run, worker, at))
    }
    return Result.succeed({ shouldDrain, patienceMillis, lost: [], cancelled: [] })
  })

/** `drained` says whether the worker holds no run any more. */
export const deregisterWorker = (
  set: WorkingSet,
  command: DeregisterWorker,
  at: Leases.Circumstances
): Decision<Reply["DeregisterWorker"]> => {
  const worker = set.worker(command.workerId)
  if (worker === undefined) return notFound("worker", command.workerId)
  if (worker.status === "OFFLINE") return Result.succeed({ drained: true })
  if (command.drain) {
    set.putWorker({ ...heardOf(worker, at.now), status: "DRAINING" })
    return Result.succeed({ drained: set.runsOf(worker.workerId).length === 0 })
  }
  set.putWorker({ ...heardOf(worker, at.now), status: "OFFLINE" })
  releaseRuns(set, worker.workerId, at.now)
  return Result.succeed({ drained: true })
}

/** A worker that drains already is left alone. */
export const drainWorker = (set: WorkingSet, command: DrainWorker): Decision<Reply["DrainWorker"]> => {
  const worker = set.worker(command.workerId)
  if (worker === undefined) return notFound("worker", command.workerId)
  if (worker.status === "OFFLINE") return refused(`Worker ${worker.workerId} is offline`)
  return Result.succeed(worker.status === "DRAINING" ? worker : set.putWorker({ ...worker, status: "DRAINING" }))
}

export const expireWorkers = (
  set: WorkingSet,
  _command: ExpireWorkers,
  at: Leases.Circumstances
): Decision<Reply["ExpireWorkers"]> => {
  let expired = 0
  for (const worker of Array.from(set.workers())) {
    if (worker.status === "OFFLINE" || worker.lastHeartbeatAt > at.now - silenceOf(worker, at)) continue
    set.putWorker({ ...worker, status: "OFFLINE" })
    // as lost as by a lease that ran out, and a run that takes its worker down with it must not do so for ever
    for (const run of set.runsOf(worker.workerId)) {
      set.putRun({ ...Leases.released(run, at.now), expiries: run.expiries + 1 })
    }
    expired++
  }
  return Result.succeed({ expired })
}
