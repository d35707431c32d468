/**
 * What goes wrong, and when: drawn from the seed before anything begins, so that any part of it can be left out and the
 * rest tried again.
 */
import type { Chance } from "./Chance.ts"
import type { Mishap } from "./Database.ts"

/** Times are milliseconds from the beginning, and of how long something lasts. */
export type Fault =
  | { readonly _tag: "Crash"; readonly machine: string; readonly at: number; readonly lasts: number }
  /** The process is asked to end, as by SIGTERM, and ends in its own time. */
  | { readonly _tag: "Leave"; readonly machine: string; readonly at: number }
  /** The machine stands still, as by SIGSTOP. */
  | { readonly _tag: "Stop"; readonly machine: string; readonly at: number; readonly lasts: number }
  /** All connections of the machine are lost. */
  | { readonly _tag: "Cut"; readonly machine: string; readonly at: number }
  /** Nothing gets through from or to the machine, until all of it does. */
  | { readonly _tag: "Isolate"; readonly machine: string; readonly at: number; readonly lasts: number }
  /** Messages take up to `delay`; calls, and answers to them, get lost or come twice. */
  | {
      readonly _tag: "Storm"
      readonly at: number
      readonly lasts: number
      readonly delay: number
      readonly loss: number
      readonly repetition: number
    }
  /** The server does not reach the database. */
  | { readonly _tag: "Away"; readonly machine: string; readonly at: number; readonly lasts: number }
  /** The transaction of the server with that number goes wrong. */
  | { readonly _tag: "Mishap"; readonly machine: string; readonly transaction: number; readonly mishap: Mishap }
  /** What others have changed is told to the server late, twice, or not at all. */
  | {
      readonly _tag: "Hints"
      readonly machine: string
      readonly at: number
      readonly lasts: number
      readonly delay: number
      readonly loss: number
      readonly repetition: number
    }
  /** The database answers slowly. */
  | { readonly _tag: "SlowDatabase"; readonly at: number; readonly lasts: number; readonly delay: number }
  /** The clock of the machine is wrong, from the beginning to the end. */
  | { readonly _tag: "Skew"; readonly machine: string; readonly millis: number }
  /** The clock of the machine is fast, or slow where that is negative, by that part of the time. */
  | { readonly _tag: "Drift"; readonly machine: string; readonly rate: number }

export interface Machines {
  readonly servers: ReadonlyArray<string>
  readonly workers: ReadonlyArray<string>
  readonly clients: ReadonlyArray<string>
}

/** The most that a clock drifts, as a part of the time. */
export const largestDrift = 0.01

const mishaps: ReadonlyArray<Mishap> = ["abort", "lose the answer", "crash before", "crash after"]

/** A length of time that is mostly short. */
const spell = (chance: Chance, longest: number): number => Math.ceil(longest ** (0.4 + 0.6 * chance.fraction()))

/** As many faults as that, within so many milliseconds. */
export const draw = (chance: Chance, machines: Machines, count: number, period: number): ReadonlyArray<Fault> => {
  const { clients, servers, workers } = machines
  const all = [...servers, ...workers, ...clients]
  const some = (names: ReadonlyArray<string>) => chance.pick(names) ?? ""
  const makers: ReadonlyArray<readonly [number, () => Fault]> = [
    [3, () => ({ _tag: "Crash", machine: some(servers), at: at(), lasts: spell(chance, 20_000) })],
    [4, () => ({ _tag: "Crash", machine: some(workers), at: at(), lasts: spell(chance, 20_000) })],
    [2, () => ({ _tag: "Leave", machine: some([...servers, ...workers]), at: at() })],
    [8, () => ({ _tag: "Stop", machine: some(workers), at: at(), lasts: chance.between(1, 25_000) })],
    [1, () => ({ _tag: "Stop", machine: some(servers), at: at(), lasts: spell(chance, 20_000) })],
    [3, () => ({ _tag: "Cut", machine: some(all), at: at() })],
    [2, () => ({ _tag: "Isolate", machine: some(all), at: at(), lasts: chance.between(1, 25_000) })],
    [
      2,
      () => ({
        _tag: "Storm",
        at: at(),
        lasts: spell(chance, 20_000),
        delay: spell(chance, 2_000),
        loss: 0.3 * chance.fraction(),
        repetition: 0.3 * chance.fraction()
      })
    ],
    [1, () => ({ _tag: "Away", machine: some(servers), at: at(), lasts: spell(chance, 10_000) })],
    [1, () => ({ _tag: "SlowDatabase", at: at(), lasts: spell(chance, 10_000), delay: spell(chance, 2_000) })],
    [
      6,
      () => ({
        _tag: "Mishap",
        machine: some(servers),
        transaction: chance.between(1, 150),
        mishap: chance.pick(mishaps) ?? "abort"
      })
    ],
    [
      2,
      () => ({
        _tag: "Hints",
        machine: some(servers),
        at: at(),
        lasts: spell(chance, 30_000),
        delay: spell(chance, 10_000),
        loss: chance.fraction(),
        repetition: chance.fraction()
      })
    ],
    [2, () => ({ _tag: "Skew", machine: some(all), millis: chance.between(-300_000, 300_000) })],
    [2, () => ({ _tag: "Drift", machine: some(all), rate: (2 * chance.fraction() - 1) * largestDrift })]
  ]
  const at = () => chance.between(0, period)
  const total = makers.reduce((sum, [weight]) => sum + weight, 0)
  return Array.from({ length: count }, () => {
    let left = chance.fraction() * total
    const found = makers.find(([weight]) => {
      left -= weight
      return left < 0
    })
    return (found ?? makers[0]!)[1]()
  })
}

/** A fault for people. */
export const describe = (fault: Fault): string => {
  switch (fault._tag) {
    case "Crash":
      return `${fault.at} ms: ${fault.machine} crashes, and is back ${fault.lasts} ms later`
    case "Leave":
      return `${fault.at} ms: ${fault.machine} is asked to end`
    case "Stop":
      return `${fault.at} ms: ${fault.machine} stands still for ${fault.lasts} ms`
    case "Cut":
      return `${fault.at} ms: ${fault.machine} loses its connections`
    case "Isolate":
      return `${fault.at} ms: nothing gets through from and to ${fault.machine} for ${fault.lasts} ms`
    case "Storm":
      return `${fault.at} ms: for ${fault.lasts} ms messages take up to ${fault.delay} ms, ${percent(fault.loss)} of calls are lost and ${percent(fault.repetition)} come twice`
    case "Away":
      return `${fault.at} ms: ${fault.machine} does not reach the database for ${fault.lasts} ms`
    case "SlowDatabase":
      return `${fault.at} ms: for ${fault.lasts} ms the database takes up to ${fault.delay} ms twice a question`
    case "Mishap":
      return `transaction ${fault.transaction} of ${fault.machine}: ${fault.mishap}`
    case "Hints":
      return `${fault.at} ms: for ${fault.lasts} ms ${fault.machine} is told of changes up to ${fault.delay} ms late, ${percent(fault.loss)} of them not at all and ${percent(fault.repetition)} twice`
    case "Skew":
      return `the clock of ${fault.machine} is ${Math.abs(fault.millis)} ms ${fault.millis < 0 ? "late" : "early"}`
    case "Drift":
      return `the clock of ${fault.machine} is ${Math.abs(fault.rate * 1_000).toFixed(1)} s in 1000 s ${fault.rate < 0 ? "slow" : "fast"}`
  }
}

const percent = (share: number) => `${Math.round(share * 100)} %`
