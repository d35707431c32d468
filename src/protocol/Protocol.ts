/**
 * The port between the SDK and a server: what a client and a worker can ask, in the domain's own words.
 *
 * One behaviour, several ways to reach it: each implementation gives the same results, so nothing above this file knows
 * how the words travel.
 */
import { Context, type Effect, type Option, type Scope } from "effect"
import type * as KagziError from "../KagziError.ts"
import type * as RetryPolicy from "../RetryPolicy.ts"
import type { IfExists, Payload, Run, Status, Step, StepKind } from "../Run.ts"
import type { Overlap, Schedule } from "../Schedule.ts"

export interface StartRequest {
  readonly namespace: string
  readonly externalId: string
  readonly taskQueue: string
  readonly workflowType: string
  readonly version: string
  readonly input: Payload
  readonly retryPolicy?: RetryPolicy.RetryPolicy
  readonly ifExists: IfExists
}

/** Which runs to list. Times are milliseconds since the epoch, exclusive. */
export interface RunFilter {
  readonly namespace: string
  readonly status?: Status
  readonly workflowType?: string
  readonly taskQueue?: string
  readonly createdAfter?: number
  readonly createdBefore?: number
}

/** One page of a listing; `next` is the token of the following page, absent on the last. */
export interface Page<A> {
  readonly items: ReadonlyArray<A>
  readonly next?: string
  readonly total?: number
}

export interface PageRequest {
  readonly size?: number
  readonly token?: string
  readonly includeTotal?: boolean
}

export interface ServerInfo {
  readonly version: string
  readonly apiVersion: string
  readonly supportedFeatures: ReadonlyArray<string>
  readonly minSdkVersion: string
}

/** A namespace. Times are milliseconds since the epoch, here and below. */
export interface Namespace {
  /** A UUID. */
  readonly id: string
  /** The name that requests give. */
  readonly namespace: string
  readonly displayName: string
  readonly description: string
  /** A disabled namespace starts nothing, hands out no task and fires no schedule. */
  readonly enabled: boolean
  readonly createdAt: number
  readonly updatedAt: number
}

/** What of a namespace is for people. */
export interface NamespaceFields {
  readonly displayName?: string
  readonly description?: string
}

/** Whether a worker takes tasks, is finishing what it has, or is gone. */
export type WorkerStatus = "ONLINE" | "DRAINING" | "OFFLINE"

/** A registered worker as operators see it. */
export interface Worker {
  readonly workerId: string
  readonly taskQueue: string
  readonly status: WorkerStatus
  readonly version: string
  readonly workflowTypes: ReadonlyArray<string>
  readonly hostname: string
  readonly pid: number
  readonly labels: Readonly<Record<string, string>>
  readonly queueConcurrencyLimit?: number
  readonly workflowTypeConcurrency: Readonly<Record<string, number>>
  /** Runs that it executes now. */
  readonly activeRuns: number
  readonly registeredAt: number
  readonly lastHeartbeatAt: number
}

/** Which workers to list. What is left out does not matter. */
export interface WorkerFilter {
  readonly namespace: string
  readonly taskQueue?: string
  readonly status?: WorkerStatus
}

/** How many runs, workers and schedules there are. */
export interface Stats {
  readonly runs: number
  /** By status and by workflow type; without those that no run has. */
  readonly byStatus: Readonly<Partial<Record<Status, number>>>
  readonly byType: Readonly<Record<string, number>>
  readonly workers: number
  readonly onlineWorkers: number
  readonly schedules: number
  readonly enabledSchedules: number
}

/** The runs that have not ended. */
export interface QueueDepth {
  /** Waiting for a worker, or for the time of their next execution. */
  readonly pending: number
  readonly running: number
  readonly sleeping: number
  /** The pending runs of each task queue that has unfinished runs. */
  readonly byQueue: Readonly<Record<string, number>>
}

/** A workflow type that there are runs of. */
export interface WorkflowType {
  readonly workflowType: string
  readonly runs: number
  /** Those that have not ended. */
  readonly activeRuns: number
  readonly taskQueues: ReadonlyArray<string>
}

/** What operators ask of a server. */
export interface AdminShape {
  /** Fails with `Conflict` when there is a namespace of that name. */
  readonly createNamespace: (
    request: NamespaceFields & { readonly namespace: string }
  ) => Effect.Effect<Namespace, KagziError.KagziError>
  readonly getNamespace: (namespace: string) => Effect.Effect<Namespace, KagziError.KagziError>
  /** By name. */
  readonly listNamespaces: (page: PageRequest) => Effect.Effect<Page<Namespace>, KagziError.KagziError>
  /** What is left out stays. */
  readonly updateNamespace: (
    namespace: string,
    fields: NamespaceFields
  ) => Effect.Effect<Namespace, KagziError.KagziError>
  readonly enableNamespace: (namespace: string) => Effect.Effect<Namespace, KagziError.KagziError>
  readonly disableNamespace: (namespace: string) => Effect.Effect<Namespace, KagziError.KagziError>
  /** The last registered first, those that are gone too. */
  readonly listWorkers: (filter: WorkerFilter, page: PageRequest) => Effect.Effect<Page<Worker>, KagziError.KagziError>
  readonly getWorker: (workerId: string) => Effect.Effect<Worker, KagziError.KagziError>
  /** Asks a worker to finish what it holds and to take nothing new. */
  readonly drainWorker: (workerId: string) => Effect.Effect<void, KagziError.KagziError>
  /** Of one namespace, or of all. */
  readonly stats: (namespace?: string) => Effect.Effect<Stats, KagziError.KagziError>
  /** Of one task queue, or of all in the namespace. */
  readonly queueDepth: (filter: {
    readonly namespace: string
    readonly taskQueue?: string
  }) => Effect.Effect<QueueDepth, KagziError.KagziError>
  /** By name. */
  readonly listWorkflowTypes: (
    namespace: string,
    page: PageRequest
  ) => Effect.Effect<Page<WorkflowType>, KagziError.KagziError>
}

/** A worker's presence on one task queue. */
export interface WorkerOptions {
  readonly namespace: string
  readonly taskQueue: string
  readonly workflowTypes: ReadonlyArray<string>
  readonly hostname: string
  readonly pid: number
  /** Keeps workers of one process apart. */
  readonly instanceId: string
  readonly version: string
  readonly labels: Readonly<Record<string, string>>
  readonly queueConcurrencyLimit?: number
  readonly workflowTypeConcurrency: Readonly<Record<string, number>>
  /** The runs this worker holds at the moment, asked for each heartbeat. */
  readonly held: () => ReadonlyArray<Held>
}

/** A run under the lease that a worker holds. */
export interface Held {
  readonly runId: string
  readonly lease: number
}

/** A run handed to the worker. */
export interface Task extends Held {
  readonly run: Run
  /** The latest attempt of every step begun so far, in the order they were first begun. */
  readonly history: ReadonlyArray<Step>
  /** The server's time of the claim: a wait with a `dueAt` up to it is due. */
  readonly claimedAt: number
}

/** What the server tells a worker without being asked. */
export type Notice =
  | { readonly _tag: "Lost"; readonly held: Held }
  | { readonly _tag: "Cancelled"; readonly held: Held }
  | { readonly _tag: "Drain" }
  /** The server no longer knows this worker: its runs are lost and it must register again. */
  | { readonly _tag: "Forgotten" }

/** A step as the server answers it. `dueIn` is how many milliseconds were left until `dueAt` when it answered. */
export interface StepReply {
  readonly step: Step
  readonly dueIn?: number
}

/** A step that is begun. A SLEEP may come with its time: milliseconds from now, or a time. */
export interface BeginStep {
  readonly name: string
  readonly kind: StepKind
  readonly input: Payload
  readonly retryPolicy?: RetryPolicy.RetryPolicy
  readonly sleep?: { readonly millis: number } | { readonly until: number }
}

/** A worker's connection for one task queue. Commands fail with `PreconditionFailed` when the lease is gone. */
export interface WorkerLink {
  readonly workerId: string
  /** Waits for the next run to work on; none when the server's long poll came back empty. */
  readonly poll: Effect.Effect<Option.Option<Task>, KagziError.KagziError>
  /**
   * Says how many runs the worker has room for beside the `held` ones, so that as many may be on their way to it before
   * it polls. Unless told, a run comes for a poll. What came and finds no room for long is given back.
   */
  readonly offer: (room: number, held: number) => void
  /** The next notice; waits until there is one. */
  readonly notice: Effect.Effect<Notice>
  /**
   * Begins a step, or asks for what became of it. `execute` says whether its code is to run now. A SLEEP with `sleep`
   * starts its timer with the same write; it has ended when its status is COMPLETED.
   */
  readonly beginStep: (
    held: Held,
    step: BeginStep
  ) => Effect.Effect<StepReply & { readonly execute: boolean }, KagziError.KagziError>
  /**
   * Begins a step of which nothing is on record, without waiting for the server. A link can do so that carries the
   * commands of a run in order, while it has reason to believe that the lease is good: what comes of the beginning is
   * known from the answer to the step's end. Otherwise it does nothing and answers nothing.
   */
  readonly beginAhead: (held: Held, step: BeginStep) => Step | undefined
  readonly completeStep: (
    held: Held,
    stepId: string,
    output: Payload
  ) => Effect.Effect<StepReply, KagziError.KagziError>
  /**
   * Records a failed attempt. With `retry` the reply's step is the next attempt, due later. With `released` the server
   * has taken the run back to wait for the retry, and the worker must drop it.
   */
  readonly failStep: (
    held: Held,
    stepId: string,
    error: KagziError.Detail
  ) => Effect.Effect<StepReply & { readonly retry: boolean; readonly released: boolean }, KagziError.KagziError>
  /** The step's branch lost a race: its timer is dropped and it never ends. */
  readonly cancelStep: (held: Held, stepId: string) => Effect.Effect<void, KagziError.KagziError>
  /** Every branch waits: the server parks the run until its earliest wait is due. False: one is due already. */
  readonly suspend: (held: Held) => Effect.Effect<boolean, KagziError.KagziError>
  /** Gives the run back, claimable at once. */
  readonly release: (held: Held) => Effect.Effect<void, KagziError.KagziError>
  readonly completeRun: (held: Held, output: Payload) => Effect.Effect<void, KagziError.KagziError>
  readonly failRun: (held: Held, error: KagziError.Detail) => Effect.Effect<void, KagziError.KagziError>
  /** Tells the server that no new task is wanted. */
  readonly drain: Effect.Effect<void, KagziError.KagziError>
}

/** What of a schedule can be set. Times are milliseconds since the epoch. */
export interface ScheduleFields {
  readonly taskQueue?: string
  readonly workflowType?: string
  readonly cronExpr?: string
  /** IANA; UTC unless given. */
  readonly timezone?: string
  readonly version?: string
  readonly input?: Payload
  readonly enabled?: boolean
  /** Negative is without limit. */
  readonly maxCatchup?: number
  readonly overlap?: Overlap
  /** Only in an update: takes the place of the next slot. */
  readonly nextFireAt?: number
}

/** What can be asked about schedules. */
export interface ScheduleShape {
  readonly createSchedule: (
    request: Omit<ScheduleFields, "nextFireAt"> & {
      readonly namespace: string
      readonly taskQueue: string
      readonly workflowType: string
      readonly cronExpr: string
    }
  ) => Effect.Effect<Schedule, KagziError.KagziError>
  readonly getSchedule: (namespace: string, scheduleId: string) => Effect.Effect<Schedule, KagziError.KagziError>
  /** Newest first. */
  readonly listSchedules: (
    filter: { readonly namespace: string; readonly taskQueue?: string },
    page: PageRequest
  ) => Effect.Effect<Page<Schedule>, KagziError.KagziError>
  /** What is left out stays. */
  readonly updateSchedule: (
    namespace: string,
    scheduleId: string,
    fields: ScheduleFields
  ) => Effect.Effect<Schedule, KagziError.KagziError>
  readonly pauseSchedule: (namespace: string, scheduleId: string) => Effect.Effect<Schedule, KagziError.KagziError>
  readonly resumeSchedule: (namespace: string, scheduleId: string) => Effect.Effect<Schedule, KagziError.KagziError>
  readonly deleteSchedule: (namespace: string, scheduleId: string) => Effect.Effect<void, KagziError.KagziError>
  /** Starts a run now and gives its id. */
  readonly triggerSchedule: (namespace: string, scheduleId: string) => Effect.Effect<string, KagziError.KagziError>
  /** Newest first. */
  readonly listScheduleRuns: (
    namespace: string,
    scheduleId: string,
    page: PageRequest
  ) => Effect.Effect<Page<Run>, KagziError.KagziError>
}

/** A run that has ended, as its result needs it. */
export type EndedRun = Omit<Run, "input">

export interface Shape extends AdminShape, ScheduleShape {
  readonly start: (
    request: StartRequest
  ) => Effect.Effect<{ readonly runId: string; readonly alreadyExists: boolean }, KagziError.KagziError>
  readonly getRun: (namespace: string, runId: string) => Effect.Effect<Run, KagziError.KagziError>
  readonly getRunByExternalId: (namespace: string, externalId: string) => Effect.Effect<Run, KagziError.KagziError>
  readonly listRuns: (filter: RunFilter, page: PageRequest) => Effect.Effect<Page<Run>, KagziError.KagziError>
  /** Waits until the run has ended, however long that takes and through lost connections. It comes without its input. */
  readonly awaitRun: (namespace: string, runId: string) => Effect.Effect<EndedRun, KagziError.KagziError>
  readonly cancelRun: (namespace: string, runId: string) => Effect.Effect<Status, KagziError.KagziError>
  readonly terminateRun: (
    namespace: string,
    runId: string,
    reason: string
  ) => Effect.Effect<Status, KagziError.KagziError>
  readonly retryRun: (namespace: string, runId: string) => Effect.Effect<string, KagziError.KagziError>
  readonly listSteps: (
    filter: { readonly namespace: string; readonly runId: string; readonly name?: string },
    page: PageRequest
  ) => Effect.Effect<Page<Step>, KagziError.KagziError>
  readonly serverInfo: Effect.Effect<ServerInfo, KagziError.KagziError>
  readonly health: Effect.Effect<{ readonly serving: boolean; readonly message: string }, KagziError.KagziError>
  /** Registers a worker; closing the scope deregisters it. Heartbeats go on in between. */
  readonly connect: (options: WorkerOptions) => Effect.Effect<WorkerLink, KagziError.KagziError, Scope.Scope>
}

/** The way to a server. */
export class Protocol extends Context.Service<Protocol, Shape>()("kagzi/protocol/Protocol") {}
