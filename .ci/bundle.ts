/**
 * Bundles the `kagzi` command with everything it uses into dist/cli, or the folder that is given: a start then reads
 * and compiles a few files instead of hundreds. Beside it go the licences of the packages that are in it.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import http from "node:http"
import { dirname, isAbsolute, join, resolve } from "node:path"
import { build, type Plugin } from "rolldown"

const root = join(import.meta.dirname, "..")
const folder = resolve(process.argv[2] ?? join(root, "dist/cli"))

interface Package {
  readonly name: string
  readonly version: string
  readonly license: string
  readonly folder: string
}

const packageOf = (folder: string): Package => {
  const file = join(folder, "package.json")
  const manifest = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : {}
  // a package.json without a name only says how to load the modules of a folder
  return manifest.name === undefined ? packageOf(dirname(folder)) : { ...manifest, folder }
}

/** What a file says at its beginning about whose it is. Some packages have nothing else. */
const copyrightOf = (module: string): ReadonlyArray<string> => {
  const [comment = ""] = /^(\/\/.*\n)+|^\/\*[\s\S]*?\*\//.exec(readFileSync(module, "utf8")) ?? []
  return /copyright/i.test(comment) ? [comment.replaceAll(/^ ?(\/\/|\*\/|\/?\*+) ?/gm, "").trim()] : []
}

const licenceOf = ({ folder, license, name, version }: Package, modules: ReadonlyArray<string>): string => {
  const files = readdirSync(folder).filter((file) => /^(licen[cs]e|notice)/i.test(file))
  const texts = [
    ...files.map((file) => readFileSync(join(folder, file), "utf8").trim()),
    ...new Set(modules.flatMap(copyrightOf))
  ]
  if (texts.length === 0) throw new Error(`${name} has no licence`)
  return [`${name} ${version}, ${license}`, ...texts].join("\n\n")
}

/**
 * An import of node:http asks for the value of each export, and so loads all of `fetch` for the WebSocket among them.
 * Here it has the exports without a getter only.
 */
const httpWithoutFetch: Plugin = {
  name: "http-without-fetch",
  resolveId: (id) => (id === "node:http" ? "\0http" : undefined),
  load: (id) => {
    if (id !== "\0http") return undefined
    const names = Object.entries(Object.getOwnPropertyDescriptors(http)).flatMap(([name, { get }]) => (get ? [] : name))
    return `export const { ${names.join(", ")} } = process.getBuiltinModule("node:http")`
  }
}

/** Effect measures text for tables with a table of all scripts, and loads that with the module: here with the first text. */
const segmenterWhenUsed: Plugin = {
  name: "segmenter-when-used",
  transform: (code, id) =>
    id.endsWith("CliOutput.js")
      ? code.replace(/new Intl\.Segmenter\([^)]*\)/, "{ segment: (text) => $&.segment(text) }")
      : undefined
}

const { output } = await build({
  input: join(root, "src/cli/main.ts"),
  platform: "node",
  plugins: [httpWithoutFetch, segmenterWhenUsed],
  transform: { target: "es2024" },
  output: {
    dir: folder,
    cleanDir: true,
    comments: false,
    // a few more modules than a command needs load faster than a file for each set of commands that shares some
    codeSplitting: { groups: [{ name: "common", minShareCount: 2 }] },
    // names stay, for stack traces
    minify: { compress: true, mangle: false, codegen: true }
  }
})

const chunks = output.filter((file) => file.type === "chunk")
const own = new Set(chunks.map((chunk) => chunk.fileName))
const foreign = chunks
  .flatMap((chunk) => [...chunk.imports, ...chunk.dynamicImports])
  .filter((name) => !own.has(name) && !name.startsWith("node:"))
if (foreign.length > 0) throw new Error(`The bundle is not complete: it imports ${foreign.join(", ")}`)

// what Rolldown adds has no path
const modules = chunks.flatMap((chunk) => chunk.moduleIds.filter(isAbsolute))
const packages = Map.groupBy(modules, (module) => packageOf(dirname(module)).folder)
packages.delete(root)
const licences = [...packages].map(([folder, modules]) => licenceOf(packageOf(folder), modules)).sort()

const rule = `\n\n${"-".repeat(80)}\n\n`
const preamble =
  "The kagzi command contains code of these packages. The text of Apache-2.0 is in the file LICENSE of kagzi."
writeFileSync(join(folder, "LICENSES.txt"), `${[preamble, ...licences].join(rule)}\n`)
