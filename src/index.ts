/** Durable workflows for Effect: what programs import. */
import * as Errors from "./KagziError.ts"

export type * as Admin from "./Admin.ts"
export { KagziClient } from "./KagziClient.ts"
export * as RetryPolicy from "./RetryPolicy.ts"
export * as Run from "./Run.ts"
export * as Schedules from "./Schedules.ts"
export * as Step from "./Step.ts"
export * as Worker from "./Worker.ts"
export * as Workflow from "./Workflow.ts"

/** The errors of Kagzi: their classes, what makes them, and, as a type, any of them. */
export const KagziError: typeof Errors = Errors
export type KagziError = Errors.KagziError

export declare namespace KagziError {
  export type NotFound = Errors.NotFound
  export type InvalidArgument = Errors.InvalidArgument
  export type PreconditionFailed = Errors.PreconditionFailed
  export type Conflict = Errors.Conflict
  export type Unauthorized = Errors.Unauthorized
  export type Unavailable = Errors.Unavailable
  export type Internal = Errors.Internal
  export type Timeout = Errors.Timeout
  export type Code = Errors.Code
  export type Fields = Errors.Fields
  export type Detail = Errors.Detail
}
