/**
 * What a server counts and measures, by Effect's `Metric`, so that any exporter sees it. Times are in seconds.
 *
 * Events are taken from what was committed: nothing is counted that did not happen, and nothing twice. What there is at
 * the moment is asked of the store when somebody wants to know, so that it is right after a restart and where servers
 * share a database.
 */
import { type Context, Effect, Metric } from "effect"
import { isTerminal, type Status } from "../Run.ts"
import type { Changes, RunCount, RunRecord, StepRecord } from "../store/Store.ts"

/** One transaction that was committed. */
export interface Commit {
  readonly changes: Changes
  /** Runs as they were before it. */
  readonly before: ReadonlyArray<RunRecord>
  /** Commands in it. */
  readonly size: number
  readonly now: number
}

export interface Metrics {
  readonly committed: (commit: Commit) => void
  readonly counted: (runs: ReadonlyArray<RunCount>) => void
}

/** From a millisecond to a quarter of an hour. */
const seconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900]

const timed = (name: string, description: string) => Metric.histogram(name, { description, boundaries: seconds })

const runsMetrics = {
  started: Metric.counter("kagzi_runs_started_total", { description: "Runs started", incremental: true }),
  completed: Metric.counter("kagzi_runs_completed_total", { description: "Runs completed", incremental: true }),
  failed: Metric.counter("kagzi_runs_failed_total", { description: "Runs failed or terminated", incremental: true }),
  cancelled: Metric.counter("kagzi_runs_cancelled_total", { description: "Runs cancelled", incremental: true }),
  active: Metric.gauge("kagzi_runs_active", { description: "Runs that have not ended, by status" }),
  depth: Metric.gauge("kagzi_queue_depth", { description: "Runs that wait for a worker or for their next attempt" })
}

const stepDuration = timed("kagzi_step_duration_seconds", "Attempts of steps, from their begin to their end")
const stepDurations = {
  COMPLETED: Metric.withAttributes(stepDuration, { outcome: "completed" }),
  FAILED: Metric.withAttributes(stepDuration, { outcome: "failed" })
}
const claimLatency = timed("kagzi_claim_latency_seconds", "From when a run could be claimed until it was")
const timerLateness = timed("kagzi_timer_lateness_seconds", "From when a sleep was due until its end was recorded")
const batchSize = Metric.histogram("kagzi_commit_batch_size", {
  description: "Commands in one transaction",
  boundaries: [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]
})

const ends: Partial<Record<Status, "completed" | "failed" | "cancelled">> = {
  COMPLETED: "completed",
  FAILED: "failed",
  CANCELLED: "cancelled"
}

/** A metric for each set of labels, made once. */
const labelled = <Input, State>(metric: Metric.Metric<Input, State>) => {
  const made = new Map<string, Metric.Metric<Input, State>>()
  return (labels: Readonly<Record<string, string>>): Metric.Metric<Input, State> => {
    const key = Object.values(labels).join("\u0000")
    const known = made.get(key)
    if (known !== undefined) return known
    const metricOf = Metric.withAttributes(metric, labels)
    made.set(key, metricOf)
    return metricOf
  }
}

/** A gauge that is 0 for what there was once and is no more. */
const levels = (gauge: Metric.Gauge<number>, context: Context.Context<never>) => {
  const known = new Map<string, Readonly<Record<string, string>>>()
  const of = labelled(gauge)
  return (rows: ReadonlyArray<readonly [labels: Readonly<Record<string, string>>, count: number]>) => {
    const sums = new Map([...known.keys()].map((key) => [key, 0]))
    for (const [labels, count] of rows) {
      const key = Object.values(labels).join("\u0000")
      known.set(key, labels)
      sums.set(key, (sums.get(key) ?? 0) + count)
    }
    for (const [key, labels] of known) of(labels).updateUnsafe(sums.get(key) ?? 0, context)
  }
}

/** Metrics in the registry that is there. */
export const make: Effect.Effect<Metrics> = Effect.map(Effect.context<never>(), (context) => {
  const ofType = {
    started: labelled(runsMetrics.started),
    completed: labelled(runsMetrics.completed),
    failed: labelled(runsMetrics.failed),
    cancelled: labelled(runsMetrics.cancelled)
  }
  const active = levels(runsMetrics.active, context)
  const depth = levels(runsMetrics.depth, context)

  const countRun = (event: keyof typeof ofType, { namespace, workflowType }: RunRecord) =>
    ofType[event]({ namespace, workflow_type: workflowType }).updateUnsafe(1, context)

  const ended = (run: RunRecord, now: number) => {
    const end = run.finishedAt === now ? ends[run.status] : undefined
    if (end !== undefined) countRun(end, run)
  }

  const claimed = (run: RunRecord, earlier: RunRecord | undefined, now: number) => {
    if (earlier?.leaseEpoch === run.leaseEpoch) return
    // A run that makes up for a missed slot is due since then, and there only now.
    const claimableAt = Math.max(earlier?.dueAt ?? now, run.createdAt)
    claimLatency.updateUnsafe(Math.max(0, now - claimableAt) / 1_000, context)
  }

  const stepChanged = ({ cancelled, dueAt, finishedAt, kind, startedAt, status }: StepRecord, now: number) => {
    if (finishedAt !== now || cancelled || (status !== "COMPLETED" && status !== "FAILED")) return
    if (kind === "SLEEP") {
      if (dueAt !== undefined) timerLateness.updateUnsafe(Math.max(0, now - dueAt) / 1_000, context)
    } else if (startedAt !== undefined) {
      stepDurations[status].updateUnsafe(Math.max(0, now - startedAt) / 1_000, context)
    }
  }

  return {
    committed: ({ before, changes, now, size }) => {
      batchSize.updateUnsafe(size, context)
      for (const run of changes.insertRuns) countRun("started", run)
      let earlier: ReadonlyMap<string, RunRecord> | undefined
      for (const runs of [changes.insertRuns, changes.updateRuns]) {
        for (const run of runs) {
          ended(run, now)
          if (run.status !== "RUNNING" || run.claimedAt !== now) continue
          earlier ??= new Map(before.map((row) => [row.runId, row]))
          claimed(run, earlier.get(run.runId), now)
        }
      }
      for (const step of changes.insertSteps) stepChanged(step, now)
      for (const step of changes.updateSteps) stepChanged(step, now)
    },
    counted: (runs) => {
      const unfinished = runs.filter(({ status }) => !isTerminal(status))
      active(
        unfinished.map(({ count, namespace, status, workflowType }) => [
          { namespace, workflow_type: workflowType, status: status.toLowerCase() },
          count
        ])
      )
      depth(
        unfinished.map(({ count, namespace, status, taskQueue }) => [
          { namespace, task_queue: taskQueue },
          status === "PENDING" ? count : 0
        ])
      )
    }
  }
})
