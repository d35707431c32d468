/** Builds that are broken on purpose, made by lying to a good one: each breaks one promise. */
import { fromBinary, toBinary } from "@bufbuild/protobuf"
import { Effect, Option } from "effect"
import { OpenSessionRequestSchema } from "../../../gen/kagzi/v1/session_pb.ts"
import type { Sabotage } from "../../../src/testing/simulator/Simulation.ts"
import { leaseHeader } from "../../../src/protocol/extensions.ts"
import type { ServerEnd } from "../../../src/server/wire.ts"
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

/** With the promise that each breaks. */
export const broken = [
  { name: "fencing off", sabotage: withoutFencing, promise: 3 },
  { name: "reply before commit", sabotage: replyBeforeCommit, promise: 2 },
  { name: "timer early", sabotage: timersEarly, promise: 4 }
] as const
