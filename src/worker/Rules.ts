/**
 * What must hold of steps and bodies, as types.
 *
 * A broken rule intersects what is given with an interface whose only property key is the message, so that the compiler
 * prints it. The interfaces exist for the compiler's messages alone; nothing ever implements them.
 */
import type { Effect, Scope } from "effect"
import type { KagziError, Timeout } from "../KagziError.ts"
import type { AnySchema } from "./Codec.ts"
import type { WorkflowRun } from "./WorkflowRun.ts"

/** Marks a service that steps need. Invariant, so that no two services are taken for one another. */
export interface StepService<in out R> {
  readonly "~kagzi/StepService": (service: R) => R
}

/** The services of a step, marked as such: the body may call the step, and its worker must provide them. */
export type InStep<R> = R extends unknown ? StepService<R> : never

/** The services that the steps of a body need. */
export type ServicesOf<R> = R extends StepService<infer S> ? S : never

/** What a body may require. `any` stands for every service: a marker is invariant. */
// biome-ignore lint/suspicious/noExplicitAny: nothing else is a supertype of an invariant marker
export type InBody = WorkflowRun | StepService<any>

/**
 * A value that JSON gives back as it was: strings, numbers, booleans, null, and arrays and plain objects of them.
 * Whatever is not is `never` in the result. A type that holds itself is fine, because mapped types are lazy.
 */
export type Json<A> = A extends string | number | boolean | null
  ? A
  : A extends bigint | symbol | undefined | ((...args: never) => unknown)
    ? never
    : A extends ReadonlyArray<unknown>
      ? { readonly [K in keyof A]: Json<A[K]> }
      : A extends object
        ? { readonly [K in keyof A]: K extends symbol ? never : JsonField<A, K> }
        : never

type JsonField<A, K extends keyof A> =
  Partial<Pick<A, K>> extends Pick<A, K> ? Json<Exclude<A[K], undefined>> | undefined : Json<A[K]>

/** Whether JSON gives the value back as it was. Nothing at all, `void`, is taken for a result. */
// biome-ignore lint/suspicious/noConfusingVoidType: it is the result type of effects that have none
type IsJson<A> = unknown extends A ? false : [A] extends [void] ? true : [A] extends [Json<A>] ? true : false

/** What an optional schema stands for; without one, what is there anyway. */
export type TypeOf<S extends AnySchema, Otherwise> = [S] extends [never] ? Otherwise : S["Type"]

/** The failure that a time limit adds. */
export type TimeoutOf<T> = [T] extends [undefined] ? never : Timeout

export interface ResultIsNotJson<A> {
  readonly "The result of a step must survive JSON as it is; give the step an `output` schema for other values": A
}

export interface InputIsNotJson<A> {
  readonly "The `input` of a step must survive JSON as it is: no dates, maps, functions, bigints or undefined": A
}

export interface ResultDoesNotFit<A, Schema> {
  readonly "The result of the step does not fit its `output` schema": readonly [result: A, schema: Schema]
}

export interface UndeclaredStepFailure<E> {
  readonly "A step may fail with a KagziError or what its `error` schema declares; declare this failure or handle it in the step": E
}

export interface DurableInsideStep<R> {
  readonly "A step can't start steps or wait durably: move Step.run, Workflow.sleep and the like out of the step, into the workflow body": R
}

export interface ScopeInsideStep<R> {
  readonly "A step closes what it opens: wrap its effect in Effect.scoped": R
}

export interface UndeclaredWorkflowFailure<E> {
  readonly "A workflow body may fail with a KagziError or what the workflow's `error` declares; declare this failure or handle it": E
}

export interface ServiceOutsideStep<R> {
  readonly "A workflow body can't use a service outside a step: only what runs inside Step.run may": R
}

type FailureRule<E, Declared, Marker> = [Exclude<E, Declared | KagziError>] extends [never] ? unknown : Marker

/** What the effect of a step must be. */
export type StepRules<A, E, R, Out extends AnySchema, Err extends AnySchema> = ([Out] extends [never]
  ? IsJson<A> extends true
    ? unknown
    : ResultIsNotJson<A>
  : [A] extends [Out["Type"]]
    ? unknown
    : ResultDoesNotFit<A, Out["Type"]>) &
  FailureRule<E, TypeOf<Err, never>, UndeclaredStepFailure<Exclude<E, TypeOf<Err, never> | KagziError>>> &
  ([Extract<R, InBody>] extends [never] ? unknown : DurableInsideStep<Extract<R, InBody>>) &
  ([Extract<R, Scope.Scope>] extends [never] ? unknown : ScopeInsideStep<Extract<R, Scope.Scope>>)

/** What the `input` of a step must be. */
export type InputRule<In> = [In] extends [undefined] ? unknown : IsJson<In> extends true ? unknown : InputIsNotJson<In>

/** What a workflow body must be, beside having the workflow's output. */
export type BodyRules<E, R, Declared> = FailureRule<
  E,
  Declared,
  UndeclaredWorkflowFailure<Exclude<E, Declared | KagziError>>
> &
  ([Exclude<R, InBody>] extends [never] ? unknown : ServiceOutsideStep<Exclude<R, InBody>>)

/** An effect of unknown types. */
// biome-ignore lint/suspicious/noExplicitAny: the fence between typed signatures and code that only passes effects on
export type AnyEffect = Effect.Effect<any, any, any>
