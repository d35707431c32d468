/** What a server and a worker need: memory, and time to start. */
import { readFileSync } from "node:fs"
import { Effect, Fiber } from "effect"
import { temporaryFolder } from "../database.ts"
import { load, server, worker } from "../processes.ts"
import type { Report, Row } from "../report.ts"
import { workerSize } from "../sizes.ts"
import { median, round } from "../statistics.ts"
import { type Options, repeated } from "./speed.ts"

const millis = Effect.sync(() => performance.now())

const ofProcess = (pid: number, file: string) =>
  Effect.try({
    try: () => readFileSync(`/proc/${pid}/${file}`, "utf8"),
    catch: () => new Error("What a process needs is read from /proc, which only Linux has")
  })

/** Of a process, in MB: what it has now, or the most that it ever had. */
const memoryOf = (pid: number, field: "VmRSS" | "VmHWM") =>
  Effect.map(ofProcess(pid, "status"), (status) =>
    round((Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(status)?.[1]) * 1_024) / 1e6)
  )

/** The time that a process has been on a core, in microseconds. It does not depend on who else wants one. */
const cpuOf = (pid: number) =>
  Effect.map(ofProcess(pid, "stat"), (stat) => {
    const [user, system] = stat
      .slice(stat.lastIndexOf(")") + 2)
      .split(" ")
      .slice(11, 13)
    // In ticks of 10 ms.
    return (Number(user) + Number(system)) * 10_000
  })

const sampling = Effect.fnUntraced(function* (pid: number, samples: Array<number>) {
  for (;;) {
    samples.push(yield* memoryOf(pid, "VmRSS"))
    yield* Effect.sleep("50 millis")
  }
})

const measureMemory = Effect.fnUntraced(function* ({ sizes }: Options) {
  const { restMillis, runs } = sizes.memory
  const system = yield* server()
  const working = yield* worker(system, workerSize)
  yield* Effect.sleep(restMillis)
  const watched = yield* Effect.forEach(
    [
      { process: "server", pid: system.pid },
      { process: "worker", pid: working.pid }
    ],
    Effect.fnUntraced(function* (watch) {
      const samples: Array<number> = []
      const rest = yield* memoryOf(watch.pid, "VmRSS")
      const sampler = yield* Effect.forkScoped(sampling(watch.pid, samples))
      return { ...watch, rest, samples, sampler, cpu: yield* cpuOf(watch.pid) }
    })
  )
  yield* load(system, { worker: false, warmUp: sizes.warmUp, throughput: { ...sizes.throughput, runs } })
  yield* Fiber.interruptAll(watched.map(({ sampler }) => sampler))
  const used = yield* Effect.forEach(watched, ({ cpu, pid }) => Effect.map(cpuOf(pid), (now) => now - cpu))
  yield* Effect.sleep(restMillis)
  return yield* Effect.forEach(
    watched,
    Effect.fnUntraced(function* ({ pid, process, rest, samples }, index) {
      const row: Row = {
        process,
        rest_mb: rest,
        load_mb: median(samples),
        load_max_mb: Math.max(...samples),
        peak_mb: yield* memoryOf(pid, "VmHWM"),
        rest_after_mb: yield* memoryOf(pid, "VmRSS"),
        cpu_us_per_workflow: round((used[index] ?? Number.NaN) / (runs + sizes.warmUp), 0)
      }
      return row
    })
  )
}, Effect.scoped)

export const memory = Effect.fnUntraced(function* (options: Options) {
  const { inFlight } = options.sizes.throughput
  const report: Report = {
    name: "kagzi memory",
    about: `resident memory in MB (10^6 bytes), before, during and after ${options.sizes.memory.runs} workflows of 5 steps, ${inFlight} in flight, with a server, a worker and a client process`,
    rows: yield* repeated(options, measureMemory(options))
  }
  return report
})

const starting = Effect.fnUntraced(function* (restMillis: number, environment: Readonly<Record<string, string>>) {
  const began = yield* millis
  const system = yield* server({ environment })
  const ready = (yield* millis) - began
  yield* Effect.sleep(restMillis)
  const rest = yield* memoryOf(system.pid, "VmRSS")
  // What it compiled is kept when it ends in good order.
  yield* system.stop
  return { ready: round(ready, 0), rest }
}, Effect.scoped)

const measureStart = Effect.fnUntraced(function* (restMillis: number) {
  // Compiled code is kept below the folder for temporary files.
  const environment = { TMPDIR: yield* temporaryFolder }
  const first = yield* starting(0, environment)
  const { ready, rest } = yield* starting(restMillis, environment)
  return [{ first_ready_ms: first.ready, ready_ms: ready, rest_mb: rest }]
}, Effect.scoped)

export const start = Effect.fnUntraced(function* (options: Options) {
  const { restMillis, samples } = options.sizes.start
  const report: Report = {
    name: "kagzi start",
    about: `\`kagzi server\` on a new database, from the start of its process to the line that says it listens: the very first time on a machine, and later; and its memory ${restMillis / 1_000} s after that; medians of ${samples}`,
    rows: yield* repeated({ ...options, repeat: samples }, measureStart(restMillis))
  }
  return report
})
