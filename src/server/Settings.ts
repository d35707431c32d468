/** What of a server can be set, as far as its handlers need it. */
import { Context } from "effect"

export interface Shape {
  /** How long PollTask waits for work, in milliseconds. */
  readonly pollMillis: number
  /** How often workers are told to send heartbeats, in seconds. */
  readonly heartbeatSeconds: number
  /** The most bytes of one payload. */
  readonly maxPayloadBytes: number
}

export class Settings extends Context.Service<Settings, Shape>()("kagzi/server/Settings") {}

/** The longest that a long poll may wait: older peers give up after 65 seconds. */
export const longestPollMillis = 60_000

export const defaults: Shape = {
  pollMillis: longestPollMillis,
  heartbeatSeconds: 10,
  maxPayloadBytes: 2_097_152
}
