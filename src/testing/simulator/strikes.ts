/** Lets faults come about. Of those that go on at the same time the worst counts, and each only for as long as it lasts. */
import { type Database, fairDelay, fairHints, type HintWeather } from "./Database.ts"
import type { Fault } from "./Faults.ts"
import type { Fleet } from "./Fleet.ts"
import type { Loop } from "./Loop.ts"
import type { Machine } from "./Machine.ts"
import { fairWeather, type Network } from "./Network.ts"
import { isHappening, type Tally } from "./Tally.ts"
import type { Trace } from "./Trace.ts"

/** What goes on for a while, maybe several times at once. */
class Spells<A> {
  readonly #active = new Set<A>()
  readonly #loop: Loop
  readonly #changed: (active: ReadonlyArray<A>) => void

  constructor(loop: Loop, changed: (active: ReadonlyArray<A>) => void) {
    this.#loop = loop
    this.#changed = changed
  }

  begin(spell: A, lasts: number): void {
    this.#active.add(spell)
    this.#changed([...this.#active])
    this.#loop.after(lasts, () => {
      if (this.#active.delete(spell)) this.#changed([...this.#active])
    })
  }

  /** None goes on any more. What there was of them is set right elsewhere. */
  clear(): void {
    this.#active.clear()
  }
}

/** Of each the worst. */
const worst = (weathers: ReadonlyArray<HintWeather>): HintWeather => ({
  delay: Math.max(...weathers.map(({ delay }) => delay)),
  loss: Math.max(...weathers.map(({ loss }) => loss)),
  repetition: Math.max(...weathers.map(({ repetition }) => repetition))
})

export interface Strikes {
  readonly strike: (fault: Fault) => void
  /** Nothing goes wrong any more. */
  readonly heal: () => void
}

export const makeStrikes = (site: {
  readonly fleet: Fleet
  readonly network: Network
  readonly database: Database
  readonly loop: Loop
  readonly trace: Trace
  readonly tally: Tally
}): Strikes => {
  const { database, fleet, loop, network, tally, trace } = site
  const storms = new Spells<HintWeather>(loop, (active) => {
    network.weather = worst([fairWeather, ...active])
  })
  const slowness = new Spells<{ readonly delay: number }>(loop, (active) => {
    database.delay = Math.max(fairDelay, ...active.map(({ delay }) => delay))
  })
  const lateHints = new Map<string, Spells<HintWeather>>()
  const standstills = new Map<Machine, Spells<object>>()

  const of = <Key, A>(all: Map<Key, Spells<A>>, key: Key, changed: (active: ReadonlyArray<A>) => void): Spells<A> => {
    const known = all.get(key) ?? new Spells(loop, changed)
    all.set(key, known)
    return known
  }

  const struck = (name: string, how: "crash" | "end" | "standstill") => {
    const what = `${how} of a ${fleet.roleOf(name)}`
    if (fleet.get(name)?.runs === true && isHappening(what)) tally.add(what)
  }

  const strike = (fault: Fault): void => {
    switch (fault._tag) {
      case "Crash":
        struck(fault.machine, "crash")
        fleet.crash(fleet.get(fault.machine), fault.lasts)
        return
      case "Leave":
        struck(fault.machine, "end")
        fleet.leave(fleet.get(fault.machine))
        return
      case "Stop": {
        const machine = fleet.get(fault.machine)
        if (machine === undefined) return
        struck(fault.machine, "standstill")
        trace.add(fault.machine, "stands still")
        const own = of(standstills, machine, ({ length }) => (length > 0 ? machine.stop() : machine.resume()))
        own.begin(fault, fault.lasts)
        return
      }
      case "Cut":
        tally.add("cut connection", network.cut(fault.machine))
        return
      case "Isolate":
        network.isolate(fault.machine, fault.lasts)
        return
      case "Storm":
        tally.add("storm")
        storms.begin(fault, fault.lasts)
        return
      case "Away":
        database.away(fault.machine, fault.lasts)
        return
      case "SlowDatabase":
        tally.add("slow database")
        slowness.begin(fault, fault.lasts)
        return
      case "Hints": {
        tally.add("late hints")
        const { machine } = fault
        const own = of(lateHints, machine, (active) => database.hints.set(machine, worst([fairHints, ...active])))
        own.begin(fault, fault.lasts)
        return
      }
    }
  }

  const heal = (): void => {
    for (const spells of [storms, slowness, ...lateHints.values(), ...standstills.values()]) spells.clear()
    network.heal()
    database.heal()
    fleet.heal()
  }

  return { strike, heal }
}
