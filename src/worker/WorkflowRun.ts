/**
 * What a workflow body sees of the run it belongs to: the untyped half of `Workflow` and `Step`, in payloads.
 *
 * The executor provides it. Operations made through it are durable: what they answer is recorded, and answered again
 * from the record on replay.
 */
import { Context, type Duration, type Effect } from "effect"
import type * as KagziError from "../KagziError.ts"
import type * as RetryPolicy from "../RetryPolicy.ts"
import type { Payload } from "../Run.ts"

/** What a body may know of its run. */
export interface Info {
  readonly runId: string
  /** The caller's own id for the run. */
  readonly id: string
  readonly namespace: string
  readonly taskQueue: string
  readonly workflowType: string
  readonly version: string
  /** Executions by the run's own retry policy, this one included. */
  readonly attempt: number
  readonly scheduleId: string | undefined
}

/** A step, encoded. */
export interface StepSpec {
  readonly name: string
  /** Sets this step apart from others of its name, whatever the order they run in. */
  readonly key?: string
  readonly input: Payload
  readonly retry?: RetryPolicy.RetryPolicy
  /** The longest one attempt may take; then it fails with `Timeout`. */
  readonly timeout?: Duration.Input
  /** One attempt. Its services come from the worker. It runs in a fiber of its own, under the real clock. */
  readonly execute: Effect.Effect<Payload, KagziError.Detail>
  /** Made where the body calls it; its stack names the place in messages. */
  readonly site: Error
}

/** Gives an effect the identity of one branch of a concurrent combinator. */
export type Branches = (child: string | number) => <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

export interface Shape {
  readonly info: Info
  /** Runs a step, or answers what is recorded of it: its output, or the failure it ended with. */
  readonly step: (spec: StepSpec) => Effect.Effect<Payload, KagziError.Detail>
  /** Waits in a way that survives the process. Without a name it is known by its place in the branch. */
  readonly sleep: (options: {
    readonly name?: string
    readonly wait: { readonly duration: Duration.Duration } | { readonly until: number }
  }) => Effect.Effect<void>
  /** Opens a place in the present branch from which branches go out. */
  readonly branches: (combinator: string) => Effect.Effect<Branches>
  /** A UUID that is the same on every replay. */
  readonly uuid: Effect.Effect<string>
}

/** The run that a workflow body belongs to. Required by every durable operation. */
export class WorkflowRun extends Context.Service<WorkflowRun, Shape>()("kagzi/worker/WorkflowRun") {}

/** What the code of a step may know of the attempt it runs in. */
export interface StepInfo {
  readonly runId: string
  readonly name: string
  /** From 1; a crash does not count, a failure does. */
  readonly attempt: number
  /** The same for every attempt and replay of this step, and of no other: for the idempotency keys of other systems. */
  readonly idempotencyKey: string
}

/** The attempt that the present code belongs to; absent outside steps. */
export const CurrentStep = Context.Reference<StepInfo | undefined>("kagzi/worker/CurrentStep", {
  defaultValue: () => undefined
})
