/** What the two ways to work for a server have in common. */
import type { WorkerLink } from "./Protocol.ts"

/** How long a poll may take, in milliseconds: the server's long poll takes up to 60 seconds. */
export const pollTimeout = 65_000

/** How long one command may take before it is sent again, in milliseconds. */
export const commandTimeout = 10_000

/** How long a command is sent again, in milliseconds: about as long as a lease lasts without a sign of life. */
export const persistence = 60_000

/** How long leaving may wait for the server, in milliseconds. */
export const farewell = 2_000

/** What depends on whether the server has our additions: the tasks and the commands of a link. */
export type Commands = Pick<
  WorkerLink,
  | "poll"
  | "beginAhead"
  | "beginStep"
  | "completeStep"
  | "failStep"
  | "cancelStep"
  | "suspend"
  | "release"
  | "completeRun"
  | "failRun"
>
