/**
 * The promises, held against what was seen from outside and what the database has in the end. Each gives what it finds
 * wrong.
 */
import { delayMillis } from "../../engine/lifecycle/retry.ts"
import * as RetryPolicy from "../../RetryPolicy.ts"
import { isTerminal, type Step } from "../../Run.ts"
import type { RunRecord } from "../../store/Store.ts"
import type { Ledger, Sighting } from "./Ledger.ts"
import type { Violation } from "./promises.ts"
import { hasEnded, outcomeOf } from "./Witness.ts"

/** What the database has in the end. */
export interface Final {
  readonly runs: ReadonlyMap<string, { readonly record: RunRecord; readonly outcome: string }>
  /** All attempts of all steps. */
  readonly steps: ReadonlyArray<Step>
}

/** Times are the true time in milliseconds since the epoch. */
export interface Seen {
  readonly ledger: Ledger
  readonly final: Final
  /** By how many milliseconds the database's clock is ahead of the true time. */
  readonly databaseSkew: number
  /** By how many milliseconds two looks at the clocks may differ where neither is wrong; 0 unless given. */
  readonly clockError?: number
  /** From when on nothing went wrong any more, and everything that had piled up was done. */
  readonly calmAt: number
  /** From when to when schedules were sure to be enabled. */
  readonly scheduledUntil: number
  /** Clients that did not come to their end. */
  readonly unfinished: ReadonlyArray<string>
  /** The most that a timer may be late where nothing goes wrong, in milliseconds. */
  readonly lateness: number
  /** By what part of the time clocks may be fast or slow; 0 unless given. */
  readonly clockDrift?: number
}

type Check = (seen: Seen) => Iterable<Violation>

const keyOf = ({ name, runId }: { readonly runId: string; readonly name: string }) => `${runId} ${name}`

const starts: Check = function* ({ final, ledger, unfinished }) {
  const lost = (kind: Violation["kind"], message: string): Violation => ({ promise: 1, kind, message })
  for (const { externalId, runId } of ledger.starts) {
    if (!final.runs.has(runId)) yield lost("safety", `${runId}, started as ${externalId}, is not there`)
  }
  for (const { how, runId } of ledger.made) {
    if (!final.runs.has(runId)) yield lost("safety", `${runId}, the ${how}, is not there`)
  }
  for (const { outcome, runId } of ledger.results) {
    const run = final.runs.get(runId)
    if (run === undefined) yield lost("safety", `${runId} gave a result and is not there`)
    else if (run.outcome !== outcome)
      yield lost("safety", `${runId} ended as ${run.outcome}, and was told as ${outcome}`)
  }
  for (const { record } of final.runs.values()) {
    if (!isTerminal(record.status)) {
      yield lost("liveness", `${record.runId} (${record.workflowType}) is still ${record.status}`)
    }
  }
  for (const client of unfinished) yield lost("liveness", `${client} still waits for something`)
}

const steps: Check = function* ({ final, ledger }) {
  const first = new Map<string, Sighting>()
  for (const sighting of ledger.sightings) {
    const known = first.get(keyOf(sighting))
    if (known === undefined) first.set(keyOf(sighting), sighting)
    else if (known.outcome !== sighting.outcome) {
      const message = `"${sighting.name}" of ${sighting.runId} was ${known.outcome} (${known.where}) and is ${sighting.outcome} (${sighting.where})`
      yield { promise: 2, kind: "safety", message }
    }
  }
  const acknowledged = new Map<string, Sighting>()
  for (const sighting of ledger.acknowledged) {
    if (!acknowledged.has(keyOf(sighting))) acknowledged.set(keyOf(sighting), sighting)
  }
  for (const execution of ledger.executions) {
    const known = acknowledged.get(keyOf(execution))
    if (known === undefined || execution.begunOrder < known.order) continue
    const message = `"${execution.name}" of ${execution.runId} runs again on ${execution.worker} after it was acknowledged (${known.where})`
    yield { promise: 2, kind: "safety", message }
  }
  const recorded = new Map<string, string>()
  for (const step of final.steps) {
    // the branch of one that is cancelled lost its race after that
    if (hasEnded({ ...step, cancelled: false })) recorded.set(keyOf(step), outcomeOf(step))
  }
  for (const [key, { name, outcome, runId, where }] of acknowledged) {
    const kept = recorded.get(key)
    if (kept === outcome) continue
    const message = `"${name}" of ${runId} was acknowledged as ${outcome} (${where}), and is on record as ${kept ?? "not ended"}`
    yield { promise: 2, kind: "safety", message }
  }
}

const fencing: Check = function* ({ ledger }) {
  const claims = Map.groupBy(ledger.claims, ({ runId }) => runId)
  for (const { lease, order, runId, what, worker } of ledger.writes) {
    const later = claims.get(runId)?.find((claim) => claim.lease > lease && claim.order < order)
    if (later === undefined) continue
    const message = `${what} of ${runId} by ${worker} under lease ${lease} was accepted after lease ${later.lease} was given`
    yield { promise: 3, kind: "safety", message }
  }
  for (const [runId, given] of claims) {
    const leases = given.map(({ lease }) => lease)
    const twice = leases.find((lease, index) => leases.indexOf(lease) !== index)
    if (twice !== undefined) {
      yield { promise: 3, kind: "safety", message: `lease ${twice} of ${runId} was given twice` }
    }
  }
}

const timers: Check = function* ({ calmAt, clockDrift = 0, clockError = 0, databaseSkew, final, lateness, ledger }) {
  const early = (message: string): Violation => ({ promise: 4, kind: "safety", message })
  /** By the database's clock. */
  const earliest = new Map<string, number>()
  for (const sleep of ledger.sleeps) {
    if (earliest.has(keyOf(sleep))) continue
    const { at, wait } = sleep
    earliest.set(keyOf(sleep), "until" in wait ? wait.until : at + databaseSkew + wait.millis)
  }
  const sightings = Map.groupBy(ledger.sightings, keyOf)
  for (const [key, due] of earliest) {
    for (const { at, name, outcome, runId, where } of sightings.get(key) ?? []) {
      const before = due - (at + databaseSkew)
      if (before > clockError) yield early(`"${name}" of ${runId} is ${outcome} ${before} ms early (${where})`)
    }
  }
  for (const { createdAt, dueAt, finishedAt, kind, name, runId } of final.steps) {
    if (dueAt === undefined) continue
    if (kind === "SLEEP" && finishedAt !== undefined && finishedAt < dueAt) {
      yield early(`"${name}" of ${runId} is on record as ended ${dueAt - finishedAt} ms early`)
    }
    const late = kind === "SLEEP" && finishedAt !== undefined ? finishedAt - dueAt : 0
    const slow = clockDrift * Math.max(0, dueAt - createdAt)
    if (dueAt > calmAt + databaseSkew && late > lateness + slow) {
      const message = `"${name}" of ${runId} is ${late} ms late, with nothing in the way`
      yield { promise: 4, kind: "liveness", message }
    }
  }
  for (const { record } of final.runs.values()) {
    const { createdAt, runId, slot } = record
    if (slot !== undefined && createdAt < slot) yield early(`${runId} was fired ${slot - createdAt} ms before its slot`)
  }
}

/** What jitter can make of a delay is least at this end of chance. */
const luckiest = 0

/** The record does not say when a retry was due once it has begun: what the worker was told to do says it. */
const backoff: Check = function* ({ clockError = 0, final, ledger }) {
  const attemptOf = ({ attempt, name, runId }: { runId: string; name: string; attempt: number }) =>
    `${runId} ${attempt} ${name}`
  const failures = Map.groupBy(ledger.failures, attemptOf)
  for (const { at, attempt, name, runId, worker } of ledger.executions) {
    // any of those who asked to record the failure may be the one whose request counts
    const earliest = (failures.get(attemptOf({ runId, name, attempt: attempt - 1 })) ?? []).map((failed) => {
      const policy = RetryPolicy.resolve(failed.policy, final.runs.get(runId)?.record.retryPolicy)
      return failed.at + delayMillis(policy, failed.attempt, failed.error, luckiest)
    })
    const before = Math.min(...earliest) - at
    if (earliest.length === 0 || before <= clockError) continue
    const message = `attempt ${attempt} of "${name}" of ${runId} begins ${before} ms early on ${worker}`
    yield { promise: 4, kind: "safety", message }
  }
}

const idempotence: Check = function* ({ clockError = 0, databaseSkew, final, ledger }) {
  const wrong = (message: string): Violation => ({ promise: 5, kind: "safety", message })
  const byId = Map.groupBy(final.runs.values(), ({ record }) => `${record.namespace} ${record.externalId}`)
  for (const runs of byId.values()) {
    const inOrder = runs.map(({ record }) => record).sort((a, b) => a.createdAt - b.createdAt)
    for (const [index, run] of inOrder.entries()) {
      const next = inOrder[index + 1]
      if (next === undefined || (run.finishedAt !== undefined && run.finishedAt <= next.createdAt + clockError))
        continue
      yield wrong(`${run.runId} and ${next.runId} were active at once as ${run.externalId}`)
    }
  }
  const makers = new Set<string>()
  for (const { ackedAt, alreadyExists, askedAt, externalId, ifExists, runId } of ledger.starts) {
    const run = final.runs.get(runId)?.record
    if (run === undefined) continue
    const createdAt = run.createdAt - databaseSkew
    const finishedAt = run.finishedAt === undefined ? undefined : run.finishedAt - databaseSkew
    if (createdAt > ackedAt + clockError)
      yield wrong(`${runId} (${externalId}) was made after its start was acknowledged`)
    if (!alreadyExists) {
      if (makers.has(runId)) yield wrong(`two starts were told that they made ${runId} (${externalId})`)
      makers.add(runId)
      if (createdAt + clockError < askedAt)
        yield wrong(`a start was told that it made ${runId} (${externalId}), which was there`)
    } else if (ifExists === "use-active" && finishedAt !== undefined && finishedAt + clockError < askedAt) {
      yield wrong(`a start was given ${runId} (${externalId}), which had ended before it was asked for`)
    }
  }
}

const slotsOf = (seconds: number, from: number, to: number): ReadonlySet<number> => {
  const every = seconds * 1_000
  const slots = new Set<number>()
  for (let slot = Math.floor(from / every) * every + every; slot <= to; slot += every) slots.add(slot)
  return slots
}

/** Of expressions that fire every so many seconds, a divisor of 60. */
const everySeconds = /^\*\/(\d+) \* \* \* \* \*$/

const schedules: Check = function* ({ databaseSkew, final, ledger, scheduledUntil }) {
  const fired = Map.groupBy(
    [...final.runs.values()].map(({ record }) => record).filter(({ slot }) => slot !== undefined),
    ({ scheduleId }) => scheduleId ?? ""
  )
  for (const [scheduleId, runs] of fired) {
    for (const [slot, ofSlot] of Map.groupBy(runs, (run) => run.slot ?? 0)) {
      if (ofSlot.length === 1) continue
      const message = `${scheduleId} fired ${ofSlot.length} runs for ${new Date(slot).toISOString()}`
      yield { promise: 6, kind: "safety", message }
    }
  }
  for (const { at, cron, scheduleId } of ledger.scheduled) {
    const seconds = Number(everySeconds.exec(cron)?.[1])
    if (!(seconds > 0)) continue
    const slots = new Set(fired.get(scheduleId)?.map(({ slot }) => slot))
    for (const slot of slots) {
      if (slot === undefined || slot % (seconds * 1_000) === 0) continue
      const message = `${scheduleId} fired for ${new Date(slot).toISOString()}, which is no slot of ${cron}`
      yield { promise: 6, kind: "safety", message }
    }
    const stops = ledger.stopped.flatMap((stopped) => (stopped.scheduleId === scheduleId ? [stopped.at] : []))
    const until = Math.min(scheduledUntil, ...stops)
    for (const slot of slotsOf(seconds, at + databaseSkew, until + databaseSkew)) {
      if (slots.has(slot)) continue
      const message = `${scheduleId} did not fire for ${new Date(slot).toISOString()}`
      yield { promise: 6, kind: "liveness", message }
    }
  }
}

const checks: ReadonlyArray<Check> = [starts, steps, fencing, timers, backoff, idempotence, schedules]

/** Everything that is wrong. */
export const findViolations = (seen: Seen): ReadonlyArray<Violation> => checks.flatMap((check) => [...check(seen)])
