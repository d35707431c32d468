/** Real processes that run a script of this repository, and what they say. */
import { type ChildProcess, spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import { Effect, type Scope } from "effect"

export interface Child {
  readonly pid: number
  /** Whole lines on stdout so far. */
  readonly lines: () => ReadonlyArray<string>
  /** Waits for a line on stdout that fits and gives what the pattern captured. Fails if the process ends without it. */
  readonly line: (pattern: RegExp) => Effect.Effect<string, Error>
  /** Sends a signal; the process may do with it what it wants. */
  readonly signal: (signal: NodeJS.Signals) => Effect.Effect<void>
  /** Whether the process is still there. */
  readonly isAlive: () => boolean
  /** Waits for the end of the process: its exit code, or the signal that ended it. */
  readonly ended: Effect.Effect<number | NodeJS.Signals>
  /** Sends SIGKILL and waits until the process is gone. */
  readonly kill: Effect.Effect<void>
}

const repository = new URL("../../", import.meta.url)

const spawnScript = (
  script: string,
  args: ReadonlyArray<string>,
  environment: Readonly<Record<string, string>>
): Child => {
  const child: ChildProcess = spawn(process.execPath, [fileURLToPath(new URL(script, repository)), ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...environment }
  })
  let said = ""
  let complained = ""
  let closed = false
  child.stdout!.setEncoding("utf8").on("data", (chunk: string) => {
    said += chunk
  })
  child.stderr!.setEncoding("utf8").on("data", (chunk: string) => {
    complained += chunk
  })
  // The last resort for when this process is ended in the middle of a test.
  const killNow = () => child.kill("SIGKILL")
  process.once("exit", killNow)
  child.on("close", () => {
    closed = true
    process.removeListener("exit", killNow)
  })
  const lines = () => said.split("\n").slice(0, -1)
  const ended = Effect.callback<number | NodeJS.Signals>((resume) => {
    const report = () => resume(Effect.succeed(child.exitCode ?? child.signalCode ?? -1))
    if (closed) return report()
    child.on("close", report)
    return Effect.sync(() => child.off("close", report))
  })
  return {
    pid: child.pid ?? -1,
    lines,
    line: (pattern) =>
      Effect.callback((resume) => {
        const look = () => {
          for (const line of lines()) {
            const found = pattern.exec(line)
            if (found !== null) return resume(Effect.succeed(found[1] ?? found[0]))
          }
          if (closed) resume(Effect.fail(new Error(`${script} ended without ${pattern}: ${said}${complained}`)))
        }
        child.stdout!.on("data", look)
        child.on("close", look)
        look()
        return Effect.sync(() => {
          child.stdout!.off("data", look)
          child.off("close", look)
        })
      }),
    signal: (signal) => Effect.sync(() => child.kill(signal)),
    isAlive: () => !closed && child.exitCode === null && child.signalCode === null,
    ended,
    kill: Effect.andThen(
      Effect.sync(() => child.kill("SIGKILL")),
      ended
    )
  }
}

/** Starts a script, given by its path in the repository. The process is gone when the scope closes. */
export const start = (
  script: string,
  options: {
    readonly args?: ReadonlyArray<string>
    readonly environment?: Readonly<Record<string, string>>
  } = {}
): Effect.Effect<Child, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => spawnScript(script, options.args ?? [], options.environment ?? {})),
    (child) => child.kill
  )
