/**
 * What can be asked of the engine that changes something, and what it answers.
 *
 * Ids of things that a command may create come with it, so that deciding is a pure function. `lease` is the epoch of
 * the claim that a worker acts under; peers that know nothing of leases leave it out, and then each transition is taken
 * from whoever makes it first.
 */
import type * as KagziError from "../KagziError.ts"
import type * as RetryPolicy from "../RetryPolicy.ts"
import type { IfExists, Payload, Status, Step, StepKind } from "../Run.ts"
import type { NamespaceRecord, RunRecord, WorkerKey, WorkerRecord } from "../store/Store.ts"
import type { ScheduleCommand, ScheduleReply } from "./ScheduleCommand.ts"

interface OfRun {
  readonly namespace: string
  readonly runId: string
}

interface UnderLease extends OfRun {
  readonly lease?: number
}

export interface StartRun {
  readonly _tag: "StartRun"
  /** Id for the run if one is made. */
  readonly runId: string
  /** Id for the namespace if one is made. */
  readonly namespaceId: string
  readonly namespace: string
  readonly externalId: string
  readonly taskQueue: string
  readonly workflowType: string
  readonly version: string
  readonly input: Payload
  readonly retryPolicy?: RetryPolicy.RetryPolicy
  readonly ifExists: IfExists
}

/** Reads a run, after the commands before. */
export interface FindRun extends OfRun {
  readonly _tag: "FindRun"
}

export interface CancelRun extends OfRun {
  readonly _tag: "CancelRun"
}

export interface TerminateRun extends OfRun {
  readonly _tag: "TerminateRun"
  readonly reason: string
}

export interface RetryRun extends OfRun {
  readonly _tag: "RetryRun"
  /** Id for the new run. */
  readonly newRunId: string
}

export interface RegisterWorker extends WorkerKey {
  readonly _tag: "RegisterWorker"
  /** Ids for what is made if it does not exist. */
  readonly workerId: string
  readonly namespaceId: string
  readonly version: string
  readonly workflowTypes: ReadonlyArray<string>
  readonly labels: Readonly<Record<string, string>>
  readonly queueConcurrencyLimit?: number
  readonly workflowTypeConcurrency: Readonly<Record<string, number>>
}

/** A run that a worker holds, and under which lease. */
export interface Held {
  readonly runId: string
  readonly lease: number
}

export interface Heartbeat {
  readonly _tag: "Heartbeat"
  readonly workerId: string
  /** The runs the worker really holds. Absent for peers that don't say: then all that were handed to it. */
  readonly held?: ReadonlyArray<Held>
  /** `held` is everything: nothing else is on its way to the worker. */
  readonly resumes?: boolean
  /** Which of its client's streams this comes over, counted from 1. */
  readonly stream?: number
}

export interface DeregisterWorker {
  readonly _tag: "DeregisterWorker"
  readonly workerId: string
  readonly drain: boolean
}

/** Workers unheard of for too long go OFFLINE and their runs become claimable. Sent by the engine to itself. */
export interface ExpireWorkers {
  readonly _tag: "ExpireWorkers"
}

export interface ClaimRun {
  readonly _tag: "ClaimRun"
  readonly namespace: string
  readonly workerId: string
  readonly taskQueue: string
  readonly workflowTypes: ReadonlyArray<string>
  /** The most runs that are wanted. */
  readonly limit: number
}

export interface BeginStep extends UnderLease {
  readonly _tag: "BeginStep"
  /** Id for the step if one is made. */
  readonly stepId: string
  readonly name: string
  readonly kind: StepKind
  readonly input: Payload
  readonly retryPolicy?: RetryPolicy.RetryPolicy
  /** For a SLEEP that starts its timer with the same write: milliseconds from now, or a time. */
  readonly sleep?: { readonly millis: number } | { readonly until: number }
  /** Of a FUNCTION that was executed ahead: completes the step that has the id. */
  readonly output?: Payload
}

export interface CompleteStep extends UnderLease {
  readonly _tag: "CompleteStep"
  readonly stepId: string
  readonly output: Payload
}

export interface FailStep extends UnderLease {
  readonly _tag: "FailStep"
  readonly stepId: string
  readonly error: KagziError.Detail
  /** Id for the next attempt if there is one. */
  readonly nextStepId: string
}

/** Starts the timer of a begun SLEEP step. From a peer without a lease it also parks the run. */
export interface SleepStep extends UnderLease {
  readonly _tag: "SleepStep"
  readonly stepId: string
  readonly millis: number
}

/** The step's branch lost a race: its timer is dropped and it never ends. */
export interface CancelStep extends UnderLease {
  readonly _tag: "CancelStep"
  readonly stepId: string
}

/** Every branch waits: park the run until its earliest wait is due. */
export interface SuspendRun extends UnderLease {
  readonly _tag: "SuspendRun"
}

/** The worker gives the run back, claimable at once. */
export interface ReleaseRun extends UnderLease {
  readonly _tag: "ReleaseRun"
}

export interface CompleteRun extends UnderLease {
  readonly _tag: "CompleteRun"
  readonly output: Payload
}

export interface FailRun extends UnderLease {
  readonly _tag: "FailRun"
  readonly error: KagziError.Detail
}

export interface CreateNamespace {
  readonly _tag: "CreateNamespace"
  /** Id for the namespace. */
  readonly namespaceId: string
  readonly namespace: string
  /** Empty for the name itself. */
  readonly displayName: string
  readonly description: string
}

/** What is absent stays as it is. */
export interface UpdateNamespace {
  readonly _tag: "UpdateNamespace"
  readonly namespace: string
  readonly displayName?: string
  readonly description?: string
  readonly enabled?: boolean
}

/** The worker is to finish what it holds and take nothing new. */
export interface DrainWorker {
  readonly _tag: "DrainWorker"
  readonly workerId: string
}

export type Command =
  | CreateNamespace
  | UpdateNamespace
  | DrainWorker
  | StartRun
  | FindRun
  | CancelRun
  | TerminateRun
  | RetryRun
  | RegisterWorker
  | Heartbeat
  | DeregisterWorker
  | ExpireWorkers
  | ClaimRun
  | BeginStep
  | CompleteStep
  | FailStep
  | SleepStep
  | CancelStep
  | SuspendRun
  | ReleaseRun
  | CompleteRun
  | FailRun
  | ScheduleCommand

/** A run handed to a worker, without its payloads. */
export interface Claimed {
  readonly run: RunRecord
  readonly lease: number
  /** When it was claimed. */
  readonly claimedAt: number
}

/** What a claim got. */
export interface Claims {
  /** In the order of claims. */
  readonly runs: ReadonlyArray<Claimed>
  /** Whether it is certain that no further run was due, not even one that a limit holds up. */
  readonly exhausted: boolean
}

/** The answer to each command. */
export interface Reply extends ScheduleReply {
  readonly CreateNamespace: NamespaceRecord
  readonly UpdateNamespace: NamespaceRecord
  readonly DrainWorker: WorkerRecord
  readonly StartRun: { readonly runId: string; readonly alreadyExists: boolean }
  readonly FindRun: RunRecord
  readonly CancelRun: { readonly status: Status }
  readonly TerminateRun: { readonly status: Status }
  readonly RetryRun: { readonly newRunId: string }
  readonly RegisterWorker: WorkerRecord
  readonly Heartbeat: {
    readonly shouldDrain: boolean
    /** How long the worker may be silent with every server. */
    readonly patienceMillis: number
    /** Held runs whose lease is gone, and those that were cancelled or terminated. */
    readonly lost: ReadonlyArray<Held>
    readonly cancelled: ReadonlyArray<Held>
  }
  readonly DeregisterWorker: { readonly drained: boolean }
  readonly ExpireWorkers: { readonly expired: number }
  readonly ClaimRun: Claims
  readonly BeginStep: { readonly step: Step; readonly execute: boolean }
  readonly CompleteStep: { readonly step: Step }
  /** The failed attempt, or the next one where a retry was scheduled. */
  readonly FailStep: { readonly step: Step; readonly retry: boolean }
  readonly SleepStep: { readonly step: Step }
  readonly CancelStep: { readonly step: Step }
  readonly SuspendRun: { readonly suspended: boolean; readonly wakeUpAt: number }
  readonly ReleaseRun: { readonly status: Status }
  readonly CompleteRun: { readonly status: Status }
  readonly FailRun: { readonly status: Status }
}
