/** How much each scenario does. */
import type { Filling } from "./fill.ts"

/** The most runs that a worker executes at a time, unless a scenario says otherwise. */
export const workerSize = 100

/** In seconds. */
export interface Leases {
  readonly heartbeat: number
  readonly stale: number
  readonly lease: number
}

export interface Sizes {
  readonly warmUp: number
  readonly throughput: { readonly runs: number; readonly inFlight: number }
  readonly latency: { readonly runs: number }
  readonly sequential: { readonly steps: number }
  readonly timers: {
    /** Timers before those that are measured. */
    readonly warmUp: number
    readonly runs: number
    readonly overMillis: number
    /** Of the timers that are set one after the other. */
    readonly rounds: number
    readonly orphanRounds: number
    readonly orphansPerRound: number
  }
  readonly recovery: { readonly runs: number; readonly leases: ReadonlyArray<Leases> }
  readonly scaling: { readonly fillings: ReadonlyArray<Filling> }
  readonly long: { readonly steps: number; readonly edge: number }
  readonly payloads: ReadonlyArray<{ readonly bytes: number; readonly runs: number; readonly inFlight: number }>
  readonly memory: { readonly runs: number; readonly restMillis: number }
  readonly start: { readonly samples: number; readonly restMillis: number }
}

export const full: Sizes = {
  warmUp: 20,
  throughput: { runs: 10_000, inFlight: 100 },
  latency: { runs: 100 },
  sequential: { steps: 500 },
  timers: { warmUp: 1_000, runs: 10_000, overMillis: 10_000, rounds: 8, orphanRounds: 3, orphansPerRound: 10 },
  recovery: {
    runs: 100,
    leases: [
      { heartbeat: 1, stale: 2, lease: 3 },
      // what a server has unless told otherwise
      { heartbeat: 10, stale: 30, lease: 60 }
    ]
  },
  scaling: {
    fillings: [
      { finished: 0, sleeping: 0 },
      { finished: 10_000, sleeping: 0 },
      { finished: 100_000, sleeping: 0 },
      { finished: 1_000_000, sleeping: 0 },
      { finished: 1_000_000, sleeping: 100_000 }
    ]
  },
  long: { steps: 10_000, edge: 1_000 },
  payloads: [
    { bytes: 1_024, runs: 1_000, inFlight: 100 },
    { bytes: 65_536, runs: 200, inFlight: 20 },
    { bytes: 1_048_576, runs: 20, inFlight: 4 }
  ],
  memory: { runs: 10_000, restMillis: 3_000 },
  start: { samples: 5, restMillis: 3_000 }
}

/** Enough to see that everything works; the figures say nothing. */
export const quick: Sizes = {
  warmUp: 2,
  throughput: { runs: 10, inFlight: 5 },
  latency: { runs: 3 },
  sequential: { steps: 10 },
  timers: { warmUp: 10, runs: 20, overMillis: 200, rounds: 1, orphanRounds: 0, orphansPerRound: 0 },
  recovery: { runs: 2, leases: [{ heartbeat: 1, stale: 2, lease: 2 }] },
  scaling: { fillings: [{ finished: 50, sleeping: 10 }] },
  long: { steps: 50, edge: 10 },
  payloads: [{ bytes: 1_048_576, runs: 1, inFlight: 1 }],
  memory: { runs: 10, restMillis: 50 },
  start: { samples: 1, restMillis: 50 }
}
