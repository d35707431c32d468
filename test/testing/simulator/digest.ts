/**
 * Prints the digest of a course of events: `node digest.ts <seed> <pid>`, as a process with that id would.
 *
 * Built-in modules are told of the id before anything reads it.
 */
import { syncBuiltinESMExports } from "node:module"

const [seed, pid] = process.argv.slice(2).map(Number)
Object.defineProperty(process, "pid", { value: pid })
syncBuiltinESMExports()

const { Effect } = await import("effect")
const Simulator = await import("../../../src/testing/simulator/Simulator.ts")
const workload = await import("../../../src/testing/simulator/workload.ts")

const outcome = await Effect.runPromise(Simulator.run({ seed: seed ?? 1, ...workload }))
process.stdout.write(`${process.pid} ${outcome.digest}\n`)
