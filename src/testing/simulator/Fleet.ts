/** The machines of a course of events: what each carries out, and how it ends and is started again. */
import { Context, Effect, Exit } from "effect"
import type { Chance } from "./Chance.ts"
import type { Machines } from "./Faults.ts"
import type { Loop } from "./Loop.ts"
import { Machine, type Wrong } from "./Machine.ts"
import type { Tally } from "./Tally.ts"
import type { Trace } from "./Trace.ts"

export type Role = "server" | "worker" | "client"

/** How long a process that ended is down before it is started again, in milliseconds. */
const restartMillis = 700

/** How long calls may go on when a server is to end, and how long ending may take at most. Milliseconds. */
const graceMillis = 500
const longestLeaveMillis = 10_000

export interface Options {
  readonly names: Machines
  readonly loop: Loop
  readonly trace: Trace
  readonly tally: Tally
  readonly chance: Chance
  /** Services of what machines carry out, beside their own. */
  readonly services: Context.Context<never>
  /** By how much the clock of a machine is wrong. */
  readonly wrong: (name: string) => Wrong
  /** What the machine of that number among those of its role carries out. */
  readonly program: (role: Role, machine: Machine, index: number) => Effect.Effect<unknown, unknown>
  /** Told of a client that came to its end. */
  readonly onClient: (name: string, exit: Exit.Exit<unknown, unknown>) => void
  /** Told of a server that takes no new calls, and of a machine that crashed. */
  readonly onLeave: (server: Machine) => void
  readonly onGone: (machine: Machine) => void
}

export class Fleet {
  readonly #options: Options
  readonly #machines = new Map<string, Machine>()
  readonly #leaving = new Map<Machine, () => void>()
  readonly #lives = new Map<string, number>()

  constructor(options: Options) {
    this.#options = options
  }

  get all(): Iterable<Machine> {
    return this.#machines.values()
  }

  /** The machine of that name, in its latest life. */
  get(name: string): Machine | undefined {
    return this.#machines.get(name)
  }

  roleOf(name: string): Role {
    const { servers, workers } = this.#options.names
    return servers.includes(name) ? "server" : workers.includes(name) ? "worker" : "client"
  }

  start(name: string): void {
    const { chance, loop, names, onClient, program, services, tally, trace, wrong } = this.#options
    const role = this.roleOf(name)
    const life = (this.#lives.get(name) ?? 0) + 1
    this.#lives.set(name, life)
    const own = chance.fork(`${name}, life ${life}`)
    const machine = new Machine({ name, loop, wrong: wrong(name), chance: own, pid: life })
    this.#machines.set(name, machine)
    trace.add(name, "starts")
    if (machine.wrong.millis !== 0) tally.add(`wrong clock of a ${role}`)
    if (machine.wrong.rate !== 0) tally.add(`drifting clock of a ${role}`)
    const carriedOut = program(role, machine, names[`${role}s`].indexOf(name))
    machine.post(() => {
      const fiber = Effect.runForkWith(Context.merge(services, machine.context))(carriedOut)
      this.#leaving.set(machine, () => fiber.interruptUnsafe())
      fiber.addObserver((exit) => {
        trace.add(name, `ends (${Exit.isSuccess(exit) ? "well" : "badly"})`)
        if (role === "client") onClient(name, exit)
        else this.crash(machine)
      })
    })
  }

  /** Ends a machine as `kill -9` does. */
  crash(machine: Machine | undefined, lasts = restartMillis): void {
    if (machine === undefined || machine.isCrashed) return
    const { loop, onGone, trace } = this.#options
    trace.add(machine.name, "crashes")
    machine.crash()
    onGone(machine)
    loop.after(lasts, () => this.#startAgain(machine.name))
  }

  /** Asks a machine to end, as SIGTERM does. */
  leave(machine: Machine | undefined): void {
    if (machine === undefined || machine.isCrashed) return
    const { loop, onLeave, trace } = this.#options
    trace.add(machine.name, "is asked to end")
    const isServer = this.roleOf(machine.name) === "server"
    if (isServer) onLeave(machine)
    loop.after(isServer ? graceMillis : 0, () => machine.post(() => this.#leaving.get(machine)?.()))
    loop.after(longestLeaveMillis, () => this.crash(machine))
  }

  /** All machines are there and run. */
  heal(): void {
    for (const [name, machine] of [...this.#machines]) {
      machine.resume()
      this.#startAgain(name)
    }
  }

  #startAgain(name: string): void {
    if (this.#machines.get(name)?.isCrashed === true) this.start(name)
  }
}
