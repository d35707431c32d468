import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"

const root = join(import.meta.dirname, "../..")
const readme = readFileSync(join(root, "README.md"), "utf8")

interface Block {
  readonly file: string
  readonly code: string
}

/** The TypeScript blocks. The first line of each names its file, under which the others import it. */
const blocksOf = (markdown: string): ReadonlyArray<Block> =>
  [...markdown.matchAll(/^```tsx?\n([\s\S]*?)^```$/gm)].map(([, code = ""]) => ({
    file: /^\/\/ (\S+\.ts)\n/.exec(code)?.[1] ?? "",
    code
  }))

/** What the compiler says of the blocks, as strangers' programs with the settings of this project. */
const compile = (blocks: ReadonlyArray<Block>): string => {
  // In the checkout, where the package can be imported by its own name.
  mkdirSync(join(root, ".kagzi"), { recursive: true })
  const folder = mkdtempSync(join(root, ".kagzi", "docs-"))
  try {
    for (const { code, file } of blocks) writeFileSync(join(folder, file), code)
    const config = { extends: "../../tsconfig.json", include: ["*.ts"], exclude: [] }
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(config))
    const { status, stdout } = spawnSync(join(root, "node_modules/.bin/tsc"), ["--noEmit", "-p", folder], {
      cwd: folder,
      encoding: "utf8"
    })
    if (status !== 0 && stdout === "") return `tsc ended with ${status}`
    // What is wrong in the sources is for `npm run check` to say.
    return stdout
      .split(/\n(?=\S)/)
      .filter((message) => !message.startsWith("../"))
      .join("\n")
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

describe("README.md", () => {
  it("has code blocks that compile", () => {
    const blocks = blocksOf(readme)
    assert.isAbove(blocks.length, 0)
    assert.deepStrictEqual(
      blocks.filter(({ file }) => file === "").map(({ code }) => code),
      [],
      "each block names its file in its first line"
    )
    assert.strictEqual(new Set(blocks.map(({ file }) => file)).size, blocks.length)
    assert.strictEqual(compile(blocks), "")
  })

  it("is held to what the compiler says", () => {
    const wrong = '```ts\n// wrong.ts\nimport { Nothing } from "kagzi"\nexport const nothing = Nothing\n```\n'
    assert.include(compile(blocksOf(wrong)), `has no exported member 'Nothing'`)
  })

  it("names every variable that the sources read, and no other", () => {
    const variables = (text: string) => new Set(text.match(/\bKAGZI_[A-Z_]+\b/g))
    const sources = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".ts"))
      .map((file) => readFileSync(join(root, "src", file), "utf8"))
    assert.deepStrictEqual([...variables(readme)].sort(), [...variables(sources.join("\n"))].sort())
  })

  it("names scripts and files that exist", () => {
    const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))
    const named = [...readme.matchAll(/npm (?:run ([a-z:]+)|(start|test)\b)/g)].map(
      ([, run, name]) => run ?? name ?? ""
    )
    assert.isAbove(named.length, 0)
    assert.deepStrictEqual(
      named.filter((name) => scripts[name] === undefined),
      []
    )
    for (const [, path = ""] of readme.matchAll(/\]\((?!https?:)([^)#]+)\)/g)) {
      assert.isAbove(readdirSync(join(root, path, "..")).length, 0)
      assert.include(readdirSync(join(root, path, "..")), path.split("/").at(-1))
    }
  })
})
