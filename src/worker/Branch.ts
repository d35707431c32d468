/**
 * Step identity: (branch, name, occurrence).
 *
 * The wire name of a step is `name[key]@path#occurrence`, of which only `name` is always there. The path names the
 * branch: for each combinator on the way, its place in the branch above and the index or key of the child. Characters
 * that have a meaning here, or can't be stored, are percent-encoded in names and keys, so that two identities never share
 * a wire name.
 */
import { Context, Data, Effect, Random, Result } from "effect"

/** One line of execution within a body, with what it has done so far in this pass. */
export interface Branch {
  /** Empty for the main line. */
  readonly path: string
  /** What the clock reads in this branch: when the latest of its steps ended, milliseconds since the epoch. */
  time: number
  /** The fiber that runs the branch; others that share it were forked by combinators that give no identity. */
  owner: number | undefined
  /** Combinators opened so far. */
  forks: number
  /** Durable operations that the owner has asked for so far. */
  operations: number
  /** What an earlier pass has done of it, by the record. */
  recorded: Recorded
  /** The branch that opened it. */
  readonly above: Branch | undefined
  readonly uses: Map<string, { count: number; readonly fiber: number; readonly site: Error | undefined }>
  readonly random: Random.Random
}

/** How far an earlier pass came in a branch: the operations its owner asked for, and the last combinator it opened. */
export interface Recorded {
  readonly operations: number
  readonly forks: number
}

const nothingRecorded: Recorded = { operations: 0, forks: 0 }

/** A durable operation used in a way that leaves its identity open. A bug in the workflow's code. */
export class AmbiguousStep extends Data.TaggedError("AmbiguousStep")<{ readonly message: string }> {}

/** The workflow's code asks for something else than what it did the first time. */
export class NonDeterministic extends Data.TaggedError("NonDeterministic")<{ readonly message: string }> {}

/** The branch that a fiber of a body belongs to; absent outside bodies. */
export const CurrentBranch = Context.Reference<Branch | undefined>("kagzi/worker/CurrentBranch", {
  defaultValue: () => undefined
})

/** A fresh branch, as it is at the start of a pass. `seed` makes its random numbers. */
export const make = (path: string, time: number, seed: string, above?: Branch): Branch => ({
  path,
  time,
  owner: undefined,
  forks: 0,
  operations: 0,
  recorded: nothingRecorded,
  above,
  uses: new Map(),
  random: seeded(`${seed}@${path}`)
})

/** The branch of a child of a combinator: `fork` is the combinator's place in the parent, from 1. */
export const child = (parent: Branch, fork: number, key: string | number, seed: string): Branch =>
  make(`${parent.path === "" ? "" : `${parent.path}/`}${fork}.${encode(String(key))}`, parent.time, seed, parent)

/** Whether an earlier pass has been where the branch is now: what it does is done again, for the body's state only. */
export const isBehind = (branch: Branch): boolean =>
  branch.operations < branch.recorded.operations ||
  branch.forks < branch.recorded.forks ||
  (branch.above !== undefined && isBehind(branch.above))

// Making a generator costs more than most bodies; few use one.
const seeded = (seed: string): Random.Random => {
  let generator: Random.Random | undefined
  const get = () => {
    generator ??= Effect.runSync(
      Effect.withFiber((fiber) => Effect.succeed(fiber.getRef(Random.Random))).pipe(Random.withSeed(seed))
    )
    return generator
  }
  return { nextIntUnsafe: () => get().nextIntUnsafe(), nextDoubleUnsafe: () => get().nextDoubleUnsafe() }
}

// Beside those with a meaning: what no server can store. Not every text is whole that is cut out of another.
// biome-ignore lint/suspicious/noControlCharactersInRegex: U+0000 is one of those.
const meaningful = /[%@#[\]./\u0000]|\p{Surrogate}/gu

const encode = (text: string) =>
  text.replace(meaningful, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`)

/** What a durable operation says of itself. */
export interface Operation {
  /** Absent for operations known by their place only, such as a plain `Effect.sleep`. */
  readonly name: string | undefined
  /** What an unnamed one is called. */
  readonly fallback: string
  readonly key: string | undefined
  readonly site: Error | undefined
}

/** The identity of an operation, and whether a fiber asked for it that does not own the branch. */
export interface Identity {
  readonly wireName: string
  readonly foreign: boolean
}

/**
 * Gives an operation its identity in a branch.
 *
 * **Details**
 *
 * A fiber that Effect's own concurrent combinators forked shares its parent's branch. There a name counts only as long
 * as a single fiber uses it: which of two fibers comes first may differ between a first execution and a replay.
 */
export const identify = (
  branch: Branch,
  fiber: number,
  operation: Operation
): Result.Result<Identity, AmbiguousStep> => {
  const foreign = fiber !== branch.owner
  const name = encode(operation.name ?? operation.fallback)
  const base = operation.key === undefined ? name : `${name}[${encode(operation.key)}]`
  const use = branch.uses.get(base)
  if (use === undefined && foreign && operation.name === undefined) {
    return Result.fail(new AmbiguousStep({ message: unnamed(operation) }))
  }
  if (use !== undefined && use.fiber !== fiber) {
    return Result.fail(new AmbiguousStep({ message: repeated(base, operation.site, use.site) }))
  }
  const count = (use?.count ?? 0) + 1
  if (use === undefined) branch.uses.set(base, { count, fiber, site: operation.site })
  else use.count = count
  return Result.succeed({
    wireName: `${base}${branch.path === "" ? "" : `@${branch.path}`}${count === 1 ? "" : `#${count}`}`,
    foreign
  })
}

/** A version 4 UUID from that generator. */
export const uuid = (random: Random.Random): string => {
  const bytes = Uint8Array.from({ length: 16 }, () => Math.floor(random.nextDoubleUnsafe() * 256))
  bytes[6] = (bytes[6]! & 0x0f) | 0x40
  bytes[8] = (bytes[8]! & 0x3f) | 0x80
  return Buffer.from(bytes)
    .toString("hex")
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5")
}

/** The branch that a wire name belongs to. */
export const pathOf = (wireName: string): string => {
  const at = wireName.indexOf("@")
  if (at < 0) return ""
  const hash = wireName.indexOf("#", at)
  return hash < 0 ? wireName.slice(at + 1) : wireName.slice(at + 1, hash)
}

/** The last combinator that was opened in each branch, by the paths of what was recorded in its children. */
export const recordedForks = (paths: Iterable<string>): ReadonlyMap<string, number> => {
  const last = new Map<string, number>()
  for (const path of paths) {
    for (let end = path.length; end > 0; ) {
      const slash = path.lastIndexOf("/", end - 1)
      const above = path.slice(0, Math.max(0, slash))
      last.set(above, Math.max(last.get(above) ?? 0, Number.parseInt(path.slice(slash + 1, end), 10)))
      end = slash
    }
  }
  return last
}

const advice =
  "Effect's own concurrent combinators (Effect.all with concurrency, forEach, race, timeout, fork) give their " +
  "branches no identity. Use Workflow.all, Workflow.forEach, Workflow.race, Workflow.timeout or Step.forEach, or give " +
  "each operation a name or a key of its own."

/** What is said of an operation without a name in a fiber that has no branch of its own. */
export const unnamed = (operation: Operation): string =>
  `An unnamed ${operation.fallback} runs in a concurrent fiber${place(operation.site)}. ${advice}`

/** What is said of a durable operation in the code of a step. */
export const insideStep = (operation: Operation): string =>
  `"${operation.name ?? operation.fallback}" is asked for where no workflow body runs${place(operation.site)}: a step ` +
  "can't start steps, sleep durably or open branches."

const repeated = (name: string, second: Error | undefined, first: Error | undefined) =>
  `"${name}" is used by two concurrent fibers of one branch${place(first)} and again${place(second)}. ${advice}`

const place = (site: Error | undefined) => {
  const frame = site?.stack
    ?.split("\n")
    .slice(1)
    .find((line) => !/[\\/](kagzi|effect)[\\/](dist|src)[\\/]|[\\/]src[\\/](Step|Workflow)\.ts/.test(line))
  return frame === undefined ? "" : ` (${frame.trim().replace(/^at /, "")})`
}
