/**
 * The port between the engine and a database.
 *
 * A store knows rows and queries, and no rule of the lifecycle: it loads what a batch of commands touches, lets a pure
 * function decide, and writes what that function returns, all in one transaction. When `transact` succeeds, its changes
 * are on disk; when it fails, none of them are.
 */
import { Context, Data, type Effect, type Option, type Stream } from "effect"
import type * as RetryPolicy from "../RetryPolicy.ts"
import type * as Run from "../Run.ts"
import type { Schedule } from "../Schedule.ts"

/** The database could not do it. `message` is fit for a log, not for a client. */
export class StoreError extends Data.TaggedError("StoreError")<{
  readonly message: string
  /** Whether the same call may succeed later. */
  readonly transient: boolean
  /**
   * Why a database could not be opened: another server has it, it is damaged or foreign, a later version wrote it, or
   * its url makes no sense.
   */
  readonly reason?: "locked" | "damaged" | "newer" | "url"
  readonly cause?: unknown
}> {}

/** A namespace. Times are milliseconds since the epoch, here and below. */
export interface NamespaceRecord {
  readonly id: string
  readonly namespace: string
  readonly displayName: string
  readonly description: string
  readonly enabled: boolean
  readonly createdAt: number
  readonly updatedAt: number
}

/** A run without its payloads, with what only the engine needs. */
export interface RunRecord extends Omit<Run.Run, "input" | "output" | "wakeUpAt"> {
  /** The policy given at the start, if one was. */
  readonly retryPolicy?: RetryPolicy.RetryPolicy
  /**
   * When the run may be claimed: at once or after a delay (PENDING), when it wakes (SLEEPING), when its lease ends
   * (RUNNING). Absent when it has ended.
   */
  readonly dueAt?: number
  /** Counts claims; a command that carries another number comes from a worker that lost its lease. */
  readonly leaseEpoch: number
  readonly claimedAt?: number
  /** Leases in a row that ran out with no step ended in between. */
  readonly expiries: number
  /** Step names begun so far; while it is 0, a store need not look for steps. */
  readonly stepCount: number
  /** Steps that have ended for good so far. */
  readonly sequence: number
  /** Whether a step of the run failed for good. */
  readonly stepFailed: boolean
  /** The slot of its schedule that the run is for; absent where it was not a slot that started it. */
  readonly slot?: number
}

/** When a run that sleeps, or waits for its next execution, goes on: what clients see as `wakeUpAt` at the time `now`. */
export const wakeUpAt = (run: Pick<RunRecord, "status" | "dueAt">, now: number): number | undefined =>
  run.status === "SLEEPING" || (run.status === "PENDING" && run.dueAt !== undefined && run.dueAt > now)
    ? run.dueAt
    : undefined

/** One attempt of a step. */
export interface StepRecord extends Run.Step {
  /** Place in the order in which the names of the run were first begun, from 1; the same for all attempts. */
  readonly position: number
  readonly retryPolicy: RetryPolicy.Resolved
}

/**
 * A schedule without its input. `nextFireAt` is the first slot that was not dealt with. The numbers of runs are counted by
 * the store and are as they were when the row was loaded.
 */
export type ScheduleRecord = Omit<Schedule, "input">

/** Whether a worker takes tasks, is finishing what it has, or is gone. */
export type WorkerStatus = "ONLINE" | "DRAINING" | "OFFLINE"

/** What a worker is known by: registering again with the same key gives the same id. */
export interface WorkerKey {
  readonly namespace: string
  readonly taskQueue: string
  readonly hostname: string
  readonly pid: number
  /** Keeps workers of one process apart; empty for peers that don't send it. */
  readonly instanceId: string
}

/** A registered worker. */
export interface WorkerRecord extends WorkerKey {
  readonly workerId: string
  readonly status: WorkerStatus
  readonly version: string
  readonly workflowTypes: ReadonlyArray<string>
  readonly labels: Readonly<Record<string, string>>
  readonly queueConcurrencyLimit?: number
  readonly workflowTypeConcurrency: Readonly<Record<string, number>>
  readonly registeredAt: number
  readonly lastHeartbeatAt: number
  /** So long it may be silent, and so long leases last, with every server at least; 0 if it was not told of heartbeats. */
  readonly patienceMillis: number
  /** The latest of its client's streams over which it was heard of, counted from 1; 0 if none was named. */
  readonly stream: number
}

/** What a batch needs to see. Everything named is loaded; what does not exist is missing from `Rows`. */
export interface Wants {
  readonly namespaces: ReadonlySet<string>
  readonly runs: ReadonlySet<string>
  /** For each, the newest run with that id: the active one, if there is one. */
  readonly externalIds: ReadonlyArray<{ readonly namespace: string; readonly externalId: string }>
  /** For each, the latest attempt; where there is one, the attempt with that id too. */
  readonly steps: ReadonlyArray<{ readonly runId: string; readonly name: string; readonly stepId?: string }>
  readonly stepIds: ReadonlySet<string>
  /** Runs of which all latest attempts that wait are wanted: PENDING or RUNNING, with a `dueAt`. */
  readonly waits: ReadonlySet<string>
  readonly workers: ReadonlySet<string>
  /** For each, the worker known by it that is not OFFLINE. */
  readonly workerKeys: ReadonlyArray<WorkerKey>
  /** Workers of which all RUNNING runs are wanted. */
  readonly workerRuns: ReadonlySet<string>
  readonly schedules: ReadonlySet<string>
  /** Schedules of which all runs that have not ended are wanted. */
  readonly scheduleRuns: ReadonlySet<string>
  /** For each, the slots of that schedule in the interval, both ends included, for which there is a run. */
  readonly slots: ReadonlyArray<{ readonly scheduleId: string; readonly from: number; readonly to: number }>
  /**
   * All workers not OFFLINE, last heard of at `since` or before and longer ago by `now` than they may be silent, with their
   * RUNNING runs.
   */
  readonly quiet?: { readonly since: number; readonly now: number }
  /**
   * Of those workers, which are in `workers` and `workerRuns` too, the ones that hold a run whose lease ended by `at`: the
   * limits that apply to the runs they hold, as used then.
   */
  readonly renewals?: { readonly workers: ReadonlySet<string>; readonly at: number }
  /**
   * Runs due by `dueBy` (at that time or before), whatever their status, in the order of claims: due time, priority
   * (higher first), age, run id. Their rows are loaded as by `runs`, and their waits as by `waits`. `limit` is the most
   * that are wanted, and of each type as many where the queue has a limit: runs that it holds up take the place of
   * no others.
   */
  readonly claims: ReadonlyArray<{
    readonly namespace: string
    readonly taskQueue: string
    readonly workflowTypes: ReadonlyArray<string>
    readonly dueBy: number
    readonly limit: number
  }>
}

/**
 * How much of a limit on runs that execute at once is in use: of a task queue, or of one workflow type on it. The limit
 * is the smallest that a worker of the queue declared that is not OFFLINE.
 */
export interface Occupancy {
  readonly namespace: string
  readonly taskQueue: string
  /** Absent for the limit of the whole queue. */
  readonly workflowType?: string
  readonly limit: number
  /** Runs that are RUNNING under a lease that has not ended; counted no further than one above the limit. */
  readonly active: number
  /** When the first lease of those counted ends; absent where there is none. */
  readonly freeAt?: number
}

/** What was loaded. A step that a want by name or by wait found is in `steps`, whatever the want. */
export interface Rows {
  readonly namespaces: ReadonlyArray<NamespaceRecord>
  readonly runs: ReadonlyArray<RunRecord>
  readonly steps: ReadonlyArray<StepRecord>
  readonly workers: ReadonlyArray<WorkerRecord>
  readonly schedules: ReadonlyArray<ScheduleRecord>
  readonly slots: ReadonlyArray<{ readonly scheduleId: string; readonly slot: number }>
  /** Ids of the claimable runs, one list for each entry of `Wants.claims`, in the order of claims. */
  readonly claims: ReadonlyArray<ReadonlyArray<string>>
  /** The limits that apply to `Wants.claims` and `Wants.renewals`, each once, as they were used at that time. */
  readonly occupancy: ReadonlyArray<Occupancy>
}

/**
 * What to write. Rows are whole; payloads of runs are written once and apart. A row is inserted or updated, not both,
 * and updating one that does not exist is an error. Updates come before inserts, so that a run or worker that ends
 * makes room for its successor. What a row is created with stays: an update changes neither ids, names, keys, times of
 * creation and parents, nor the retry policy of a run or the input of a step. There is one run for each slot of a
 * schedule: a second one is an error. One run with an external id is active at a time: a second one is an error, and no
 * run becomes active again that has ended, so that the active one is the newest.
 */
export interface Changes {
  readonly insertNamespaces: ReadonlyArray<NamespaceRecord>
  readonly updateNamespaces: ReadonlyArray<NamespaceRecord>
  readonly insertRuns: ReadonlyArray<RunRecord>
  readonly updateRuns: ReadonlyArray<RunRecord>
  readonly inputs: ReadonlyArray<{ readonly runId: string; readonly payload: Run.Payload }>
  /** Runs that take over the stored input of another. */
  readonly copyInputs: ReadonlyArray<{ readonly runId: string; readonly from: string }>
  readonly outputs: ReadonlyArray<{ readonly runId: string; readonly payload: Run.Payload }>
  readonly insertSteps: ReadonlyArray<StepRecord>
  readonly updateSteps: ReadonlyArray<StepRecord>
  readonly insertWorkers: ReadonlyArray<WorkerRecord>
  readonly updateWorkers: ReadonlyArray<WorkerRecord>
  /** Written before runs, whose inputs may come from them. New schedules have no runs yet, whatever the row says. */
  readonly insertSchedules: ReadonlyArray<ScheduleRecord>
  /** These leave the numbers of runs as they are. */
  readonly updateSchedules: ReadonlyArray<ScheduleRecord>
  readonly scheduleInputs: ReadonlyArray<{ readonly scheduleId: string; readonly payload: Run.Payload }>
  /** Runs that take over the stored input of a schedule. */
  readonly copyScheduleInputs: ReadonlyArray<{ readonly runId: string; readonly scheduleId: string }>
  /** What is added to the numbers of runs; nothing where the schedule is gone. */
  readonly countScheduleRuns: ReadonlyArray<{
    readonly scheduleId: string
    readonly total: number
    readonly successful: number
    readonly failed: number
  }>
  /** Last of all. The runs stay. */
  readonly deleteSchedules: ReadonlyArray<string>
}

/** Ended runs to remove: those of a namespace that ended like that, at `endedBy` or before, after the one at the cursor. */
export interface Removable {
  readonly namespace: string
  /** One of those that runs end in. */
  readonly status: Run.Status
  readonly endedBy: number
  readonly after?: Cursor
}

/** The most that one transaction removes: rows of runs and steps, and bytes of payloads. */
export interface RemovalRoom {
  readonly rows: number
  readonly bytes: number
}

export interface Removal {
  /** How many runs are gone. */
  readonly removed: number
  /** Whether steps of a run that is gone are left, for `removeLeftSteps`. */
  readonly stepsLeft: boolean
  /** Where to go on. Absent when all were looked at. */
  readonly next?: Cursor
}

/** How many runs of a type are in a status on a queue. */
export interface RunCount {
  readonly namespace: string
  readonly taskQueue: string
  readonly workflowType: string
  readonly status: Run.Status
  readonly count: number
}

/** A worker and how many runs it executes now. */
export interface DescribedWorker extends WorkerRecord {
  readonly activeRuns: number
}

/** Which workers to list. Absent fields don't filter. */
export interface WorkerFilter {
  readonly namespace: string
  readonly taskQueue?: string
  readonly status?: WorkerStatus
}

/** The place of a row in a listing ordered by a time and an id. */
export interface Cursor {
  readonly at: number
  readonly id: string
}

/**
 * A page of a listing ends before its payloads exceed this many bytes, because peers take messages of at most 4 MiB; it
 * has at least one row if there is one.
 */
export const pageBytes = 3 * 1024 * 1024

/** The most steps in a page of history, whose rows cost something however small their payloads are. */
export const pageSteps = 1_000

/** What part of a listing is wanted: at most so many rows, after the one at the cursor, and whether to count all. */
export interface Paging {
  readonly limit: number
  readonly after?: Cursor
  readonly count: boolean
}

/** One page of a listing. `limit` is the most rows wanted; `total` is counted only when asked for. */
export interface Page<A> {
  readonly items: ReadonlyArray<A>
  /** Exact: whether rows follow the last item. */
  readonly hasMore: boolean
  readonly total?: number
}

/** Which runs to list. Absent fields don't filter; times are exclusive. */
export interface RunFilter {
  readonly namespace: string
  readonly status?: Run.Status
  readonly workflowType?: string
  readonly taskQueue?: string
  readonly scheduleId?: string
  readonly createdAfter?: number
  readonly createdBefore?: number
}

/**
 * What another server of the same database has changed: a reason to look, and no more. Hints may be late, repeated or
 * lost; where some may have been lost, `Missed` says so.
 */
export type Hint =
  /** Runs of that type on that queue were written that may be claimed, the first of them at `dueAt`. */
  | {
      readonly _tag: "RunsDue"
      readonly namespace: string
      readonly taskQueue: string
      readonly workflowType: string
      readonly dueAt: number
    }
  /** A run of that type on that queue executes no more: there may be room under a limit. */
  | {
      readonly _tag: "SlotFreed"
      readonly namespace: string
      readonly taskQueue: string
      readonly workflowType: string
    }
  /** The run has ended. */
  | { readonly _tag: "RunEnded"; readonly runId: string }
  /** The worker drains or is gone, or declares other limits. */
  | {
      readonly _tag: "WorkerChanged"
      readonly workerId: string
      readonly namespace: string
      readonly taskQueue: string
    }
  /** The worker is served there since that time. Whoever served it before has lost it, and may not know that yet. */
  | { readonly _tag: "WorkerServed"; readonly workerId: string; readonly at: number }
  /** Schedules were made or changed. */
  | { readonly _tag: "SchedulesChanged" }
  /** Anything may have changed. */
  | { readonly _tag: "Missed" }

export interface Shape {
  /** Hints of other servers, from when it is run. Absent where the database has one server alone. */
  readonly hints?: Stream.Stream<Hint>
  /** Tells the other servers what no transaction says; absent like `hints`. */
  readonly tell?: (hint: Hint & { readonly _tag: "WorkerServed" }) => void
  /** Whether other servers have written a moment ago, as far as is known; absent like `hints`. */
  readonly isShared?: () => boolean
  /** How many transactions it carries out at the same time; 1 unless told otherwise. */
  readonly lanes?: number
  /** The time of the database's clock, or of the process where the database has none of its own. */
  readonly now: Effect.Effect<number>
  /** Loads, decides, writes and commits in one transaction. `decide` may run again when the database asks for it. */
  readonly transact: <A>(
    wants: Wants,
    decide: (rows: Rows) => { readonly changes: Changes; readonly value: A }
  ) => Effect.Effect<A, StoreError>

  readonly getNamespace: (namespace: string) => Effect.Effect<Option.Option<NamespaceRecord>, StoreError>
  /** By name, which is the id of a cursor. Names are compared by their code points. */
  readonly listNamespaces: (page: Paging) => Effect.Effect<Page<NamespaceRecord>, StoreError>
  readonly getRun: (namespace: string, runId: string) => Effect.Effect<Option.Option<Run.Run>, StoreError>
  /** The run without its payloads, which are not read. Fits what waits for a run, or has its payloads already. */
  readonly getRunRecord: (namespace: string, runId: string) => Effect.Effect<Option.Option<RunRecord>, StoreError>
  /** What a run was given; with its record, all that a task is made of beside its history. */
  readonly getInput: (runId: string) => Effect.Effect<Option.Option<Run.Payload>, StoreError>
  /** What a run that is COMPLETED gave; with its record, all that a result is made of. */
  readonly getOutput: (runId: string) => Effect.Effect<Option.Option<Run.Payload>, StoreError>
  /**
   * Of those runs the ones that have ended, each with its output if it has one, by id: as many as `pageBytes` allow, and
   * at least one if there is one. `hasMore` says exactly whether more of them have.
   */
  readonly endedRuns: (runIds: ReadonlyArray<string>) => Effect.Effect<
    {
      readonly runs: ReadonlyArray<{ readonly run: RunRecord; readonly output?: Run.Payload }>
      readonly hasMore: boolean
    },
    StoreError
  >
  /** Of those ids the ones that no run has, because it was removed or is not there yet. */
  readonly missingRuns: (runIds: ReadonlyArray<string>) => Effect.Effect<ReadonlyArray<string>, StoreError>
  /** Of those runs the ones that are not RUNNING under that lease. */
  readonly lostRuns: (
    held: ReadonlyArray<{ readonly runId: string; readonly lease: number }>
  ) => Effect.Effect<ReadonlyArray<RunRecord>, StoreError>
  readonly getRunByExternalId: (
    namespace: string,
    externalId: string
  ) => Effect.Effect<Option.Option<Run.Run>, StoreError>
  /** Newest first: by creation, then run id, both descending. */
  readonly listRuns: (
    filter: RunFilter,
    page: { readonly limit: number; readonly after?: Cursor; readonly count: boolean }
  ) => Effect.Effect<Page<Run.Run>, StoreError>
  readonly getStep: (namespace: string, stepId: string) => Effect.Effect<Option.Option<Run.Step>, StoreError>
  /** All attempts, oldest first: by creation, then step id. */
  readonly listSteps: (
    filter: { readonly namespace: string; readonly runId: string; readonly name?: string },
    page: { readonly limit: number; readonly after?: Cursor; readonly count: boolean }
  ) => Effect.Effect<Page<Run.Step>, StoreError>
  /**
   * The latest attempt of every step of a run, by position, for replay: at most `maxBytes` of payloads and failures and
   * `pageSteps` steps a page, and at least one step. `after` is the position of the last step of the page before.
   */
  readonly history: (
    runId: string,
    after: number,
    maxBytes: number
  ) => Effect.Effect<{ readonly steps: ReadonlyArray<StepRecord>; readonly hasMore: boolean }, StoreError>
  readonly getWorker: (workerId: string) => Effect.Effect<Option.Option<DescribedWorker>, StoreError>
  /** By worker id, descending, which is the id of a cursor. */
  readonly listWorkers: (filter: WorkerFilter, page: Paging) => Effect.Effect<Page<DescribedWorker>, StoreError>
  /** Workers of a namespace, or of all. */
  readonly countWorkers: (
    namespace: string | undefined
  ) => Effect.Effect<{ readonly total: number; readonly online: number }, StoreError>
  /** Runs of a namespace, or of all, by queue, type and status; only what there are any of, in that order. */
  readonly countRuns: (namespace: string | undefined) => Effect.Effect<ReadonlyArray<RunCount>, StoreError>
  /** The earliest `dueAt` of a run of those types on that queue. */
  readonly nextDue: (
    namespace: string,
    taskQueue: string,
    workflowTypes: ReadonlyArray<string>
  ) => Effect.Effect<Option.Option<number>, StoreError>
  /** The limits that apply to runs of those types on that queue, as they are used at that time. */
  readonly occupancy: (
    namespace: string,
    taskQueue: string,
    workflowTypes: ReadonlyArray<string>,
    now: number
  ) => Effect.Effect<ReadonlyArray<Occupancy>, StoreError>
  readonly getSchedule: (namespace: string, scheduleId: string) => Effect.Effect<Option.Option<Schedule>, StoreError>
  /** Newest first: by creation, then id, both descending. */
  readonly listSchedules: (
    filter: { readonly namespace: string; readonly taskQueue?: string },
    page: { readonly limit: number; readonly after?: Cursor; readonly count: boolean }
  ) => Effect.Effect<Page<Schedule>, StoreError>
  /** Schedules of a namespace, or of all. */
  readonly countSchedules: (
    namespace: string | undefined
  ) => Effect.Effect<{ readonly total: number; readonly enabled: number }, StoreError>
  /** Schedules of all namespaces that are enabled and have a `nextFireAt`, by that, then id; at most `limit` of them. */
  readonly schedulesByDue: (
    limit: number,
    after?: Cursor
  ) => Effect.Effect<ReadonlyArray<ScheduleRecord & { readonly nextFireAt: number }>, StoreError>
  /**
   * Removes runs that have ended, with all that belongs to them, in one transaction, oldest first: as many as there is
   * room for. A run that is larger than that is gone at once like others, and its steps are left for `removeLeftSteps`;
   * nobody sees them. Whoever else works on runs is not waited for: what others hold is passed over.
   */
  readonly removeEnded: (which: Removable, room: RemovalRoom) => Effect.Effect<Removal, StoreError>
  /** Removes some of the steps that are left of removed runs. Answers whether there may be more. */
  readonly removeLeftSteps: (room: RemovalRoom) => Effect.Effect<boolean, StoreError>
  /** When the worker not OFFLINE that was silent longest was last heard of. */
  readonly quietest: Effect.Effect<Option.Option<number>, StoreError>
  /** Runs a query that touches the database. */
  readonly ping: Effect.Effect<void, StoreError>
}

/** The database of a server. */
export class Store extends Context.Service<Store, Shape>()("kagzi/store/Store") {}
