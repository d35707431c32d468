/** Real processes that run a script of this repository, and what they say. */
import { type ChildProcess, spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import { Effect, type Scope } from "effect"

export interface Child {
  readonly pid: number
  /** Whole lines on stdout so far. */
  readonly lines: () => ReadonlyArray<string>
  /** Everything on stderr so far. */
  readonly complaints: () => string
  /** Waits until what is on stderr fits. Fails if the process ends without it. */
  readonly complaint: (pattern: RegExp) => Effect.Effect<void, Error>
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

const commandLine = "src/cli/main.ts"

/** `KAGZI_TEST_BUILT=true` has the command line be what `npm run build` has made of it, which starts much faster. */
const isBuilt = process.env.KAGZI_TEST_BUILT === "true"

const fileOf = (script: string): string =>
  fileURLToPath(new URL(isBuilt && script === commandLine ? "dist/cli/main.js" : script, repository))

export interface Options {
  readonly args?: ReadonlyArray<string>
  readonly environment?: Readonly<Record<string, string>>
  /** The working directory; this process's unless given. */
  readonly folder?: string
  /** What the script finds on stdin; nothing unless given. */
  readonly input?: string
}

const spawnScript = (script: string, { args = [], environment = {}, folder, input = "" }: Options): Child => {
  const child: ChildProcess = spawn(process.execPath, [fileOf(script), ...args], {
    stdio: ["pipe", "pipe", "pipe"],
    cwd: folder,
    env: { ...process.env, ...environment }
  })
  // A script that ends without reading has not failed.
  child.stdin!.on("error", () => undefined).end(input)
  let said = ""
  let complained = ""
  let closed = false
  const lookers = new Set<() => void>()
  const tell = () => {
    for (const look of lookers) look()
  }
  child.stdout!.setEncoding("utf8").on("data", (chunk: string) => {
    said += chunk
    tell()
  })
  child.stderr!.setEncoding("utf8").on("data", (chunk: string) => {
    complained += chunk
    tell()
  })
  // The last resort for when this process is ended in the middle of a test.
  const killNow = () => child.kill("SIGKILL")
  process.once("exit", killNow)
  child.on("close", () => {
    closed = true
    process.removeListener("exit", killNow)
    tell()
  })
  const lines = () => said.split("\n").slice(0, -1)

  /** Looks now, whenever the process says something, and when it has ended, until there is an answer. */
  const looking = <A, E>(look: () => Effect.Effect<A, E> | undefined) =>
    Effect.callback<A, E>((resume) => {
      const again = () => {
        const answer = look()
        if (answer === undefined) return
        lookers.delete(again)
        resume(answer)
      }
      lookers.add(again)
      again()
      return Effect.sync(() => lookers.delete(again))
    })
  const without = (pattern: RegExp, seen: string) =>
    closed ? Effect.fail(new Error(`${script} ended without ${pattern}: ${seen}`)) : undefined
  const ended = looking(() => (closed ? Effect.succeed(child.exitCode ?? child.signalCode ?? -1) : undefined))

  return {
    pid: child.pid ?? -1,
    lines,
    complaints: () => complained,
    complaint: (pattern) => looking(() => (pattern.test(complained) ? Effect.void : without(pattern, complained))),
    line: (pattern) =>
      looking(() => {
        for (const line of lines()) {
          const found = pattern.exec(line)
          if (found !== null) return Effect.succeed(found[1] ?? found[0])
        }
        return without(pattern, said + complained)
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
export const start = (script: string, options: Options = {}): Effect.Effect<Child, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => spawnScript(script, options)),
    (child) => child.kill
  )
