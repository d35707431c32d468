/** Durable workflows for Effect: what programs import. */
import * as Client from "./KagziClient.ts"
import * as Errors from "./KagziError.ts"

export type * as Admin from "./Admin.ts"
export * as RetryPolicy from "./RetryPolicy.ts"
export * as Run from "./Run.ts"
export * as Schedules from "./Schedules.ts"
export * as Step from "./Step.ts"
export * as Worker from "./Worker.ts"
export * as Workflow from "./Workflow.ts"

/** The service through which a program talks to a server, its layers, and the types that go with it. */
export const KagziClient: typeof Client.KagziClient = Client.KagziClient
export type KagziClient = Client.KagziClient

export declare namespace KagziClient {
  export type Options = Client.Options
  export type Shape = Client.Shape
  export type Workflows = Client.Workflows
  export type ListFilter = Client.ListFilter
  export type InNamespace = Client.InNamespace
}

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
