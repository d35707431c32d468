/** Builds that are broken on purpose, made by lying to a good one: each breaks one promise. */
import { fromBinary, toBinary } from "@bufbuild/protobuf"
import { Effect, Option, Result } from "effect"
import { OpenSessionRequestSchema } from "../../../gen/kagzi/v1/session_pb.ts"
import type { Fault } from "../../../src/testing/simulator/Faults.ts"
import type { Sabotage } from "../../../src/testing/simulator/Simulation.ts"
import { leaseHeader } from "../../../src/protocol/extensions.ts"
import type { ServerEnd } from "../../../src/server/wire.ts"
import type { Step } from "../../../src/Run.ts"
import type { Changes, Rows, Shape } from "../../../src/store/Store.ts"

const nothing: Changes = {
  insertNamespaces: [],
  updateNamespaces: [],
  insertRuns: [],
  updateRuns: [],
  inputs: [],
  copyInputs: [],
  outputs: [],
  insertSteps: [],
  updateSteps: [],
  insertWorkers: [],
  updateWorkers: [],
  insertSchedules: [],
  updateSchedules: [],
  scheduleInputs: [],
  copyScheduleInputs: [],
  countScheduleRuns: [],
  deleteSchedules: []
}

/** Leases are not compared: each command comes with the latest one, or, as a call, with none. */
const withoutFencing: Sabotage = {
  server: (end: ServerEnd, store: Shape): ServerEnd => {
    const latest = (runId: string): bigint | undefined => {
      const found = Effect.runSync(Effect.orDie(store.getRunRecord("default", runId)))
      return Option.isSome(found) ? BigInt(found.value.leaseEpoch) : undefined
    }
    return {
      drain: end.drain,
      call: (name, request, headers) =>
        end.call(
          name,
          request,
          Object.fromEntries(Object.entries(headers).filter(([header]) => header !== leaseHeader))
        ),
      accept: (outgoing) => {
        const incoming = end.accept(outgoing)
        return {
          lost: incoming.lost,
          message: (bytes) => {
            const message = fromBinary(OpenSessionRequestSchema, bytes)
            for (const command of message.commands) {
              const { value } = command.command
              if (command.leaseEpoch > 0n && value !== undefined && "runId" in value) {
                command.leaseEpoch = latest(value.runId) ?? command.leaseEpoch
              }
            }
            incoming.message(toBinary(OpenSessionRequestSchema, message))
          }
        }
      }
    }
  }
}

/** Answers before the commit, which does not come about for one in so many transactions. */
const replyBeforeCommit: Sabotage = {
  store: (store) => {
    let transactions = 0
    return {
      ...store,
      transact: (wants, decide) =>
        store.transact(wants, (rows) => {
          const decided = decide(rows)
          return ++transactions % 40 === 0 ? { ...decided, changes: nothing } : decided
        })
    }
  }
}

const earlyMillis = 400

/** What waits is due a little before its time. */
const timersEarly: Sabotage = {
  store: (store) => {
    const sooner = <A extends { readonly dueAt?: number }>(row: A, waits: boolean): A =>
      waits && row.dueAt !== undefined ? { ...row, dueAt: row.dueAt - earlyMillis } : row
    const seen = (rows: Rows): Rows => ({
      ...rows,
      runs: rows.runs.map((run) => sooner(run, run.status === "SLEEPING")),
      steps: rows.steps.map((step) => sooner(step, step.kind === "SLEEP" && step.status !== "COMPLETED"))
    })
    return {
      ...store,
      nextDue: (...place) =>
        Effect.map(
          store.nextDue(...place),
          Option.map((dueAt) => dueAt - earlyMillis)
        ),
      transact: (wants, decide) =>
        store.transact(
          { ...wants, claims: wants.claims.map((claim) => ({ ...claim, dueBy: claim.dueBy + earlyMillis })) },
          (rows) => decide(seen(rows))
        )
    }
  }
}

type Decided = { readonly changes: Changes; readonly value: unknown }

/** Changes what is decided, or what it is decided on. */
const deciding = (change: (decided: Decided) => Decided, see: (rows: Rows) => Rows = (rows) => rows): Sabotage => ({
  store: (store) => ({
    ...store,
    transact: <A>(...[wants, decide]: Parameters<typeof store.transact<A>>) =>
      // what is answered stays of its type
      store.transact(wants, (rows) => change(decide(see(rows))) as ReturnType<typeof decide>)
  })
})

/** Runs that match are started and not written, with all that is written of them in the same transaction. */
const dropping = (isDropped: (run: Changes["insertRuns"][number]) => boolean): Sabotage =>
  deciding((decided) => {
    const { changes } = decided
    const gone = new Set(changes.insertRuns.filter(isDropped).map(({ runId }) => runId))
    const kept = <Row extends { readonly runId: string }>(rows: ReadonlyArray<Row>) =>
      rows.filter(({ runId }) => !gone.has(runId))
    return gone.size === 0
      ? decided
      : {
          ...decided,
          changes: {
            ...changes,
            insertRuns: kept(changes.insertRuns),
            inputs: kept(changes.inputs),
            copyInputs: kept(changes.copyInputs),
            copyScheduleInputs: kept(changes.copyScheduleInputs),
            insertSteps: kept(changes.insertSteps)
          }
        }
  })

const startsLost = dropping((run) => run.slot === undefined && run.externalId.endsWith("1"))

/** Some slots of every schedule that fires each few seconds are passed over. */
const slotsSkipped = dropping((run) => run.slot !== undefined && run.slot % 4_000 === 0)

/** Every start is told that it made the run. */
const everyStartNew = deciding((decided) => {
  const value = decided.value as { readonly replies?: ReadonlyArray<unknown> } | undefined
  if (value?.replies === undefined) return decided
  const { replies, ...rest } = value
  const told = replies.map((reply) => {
    const { success } = reply as { readonly success?: object }
    return typeof success === "object" && "alreadyExists" in success
      ? Result.succeed({ ...success, alreadyExists: false })
      : reply
  })
  return { ...decided, value: { ...rest, replies: told } }
})

/** The attempt after one that failed is due at once, whatever the policy says. */
const noBackoff = deciding(({ changes, value }) => {
  const atOnce = (step: Step): Step =>
    step.kind === "FUNCTION" && step.status === "PENDING" ? { ...step, dueAt: step.createdAt } : step
  const { replies, ...rest } = (value ?? {}) as { readonly replies?: ReadonlyArray<unknown> }
  const told = replies?.map((reply) => {
    const { success } = reply as { readonly success?: { readonly step?: Step } }
    return success?.step === undefined ? reply : Result.succeed({ ...success, step: atOnce(success.step) })
  })
  return {
    changes: { ...changes, insertSteps: changes.insertSteps.map((step) => ({ ...step, ...atOnce(step) })) },
    value: told === undefined ? value : { ...rest, replies: told }
  }
})

const limitsIgnored = deciding(
  (decided) => decided,
  (rows) => ({ ...rows, occupancy: [] })
)

/** Workers stand still for longer than their leases, one after the other. */
const stale: ReadonlyArray<Fault> = Array.from({ length: 4 }, (_, index) => ({
  _tag: "Stop",
  machine: `worker-${1 + (index % 3)}`,
  at: 3_000 + 7_000 * index,
  lasts: 14_000
}))

/** With the promise that each breaks, and with the faults that it takes, if they are rare. */
export const broken = [
  { name: "fencing off", sabotage: withoutFencing, promise: 3, kind: "safety", options: { faults: stale, workers: 3 } },
  { name: "reply before commit", sabotage: replyBeforeCommit, promise: 2, kind: "safety", options: {} },
  { name: "timer early", sabotage: timersEarly, promise: 4, kind: "safety", options: {} },
  { name: "no backoff", sabotage: noBackoff, promise: 4, kind: "safety", options: { faults: [] } },
  { name: "starts lost", sabotage: startsLost, promise: 1, kind: "safety", options: {} },
  { name: "every start new", sabotage: everyStartNew, promise: 5, kind: "safety", options: {} },
  { name: "slots skipped", sabotage: slotsSkipped, promise: 6, kind: "liveness", options: {} },
  { name: "limits ignored", sabotage: limitsIgnored, promise: "limits", kind: "safety", options: {} }
] as const
