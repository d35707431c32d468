import { assert, describe, it } from "@effect/vitest"
import {
  blocksOf,
  brokenLinks,
  compile,
  guide,
  misnamed,
  type Page,
  readPage,
  variablesOf,
  variablesOfSources
} from "./pages.ts"

const pages = guide()

const page = (text: string): Page => ({ path: "docs/page.md", text })

describe("the guide", () => {
  it("has code blocks that compile, those of one page together", () => {
    assert.isAbove(pages.flatMap(blocksOf).length, 0)
    assert.deepStrictEqual(pages.flatMap(misnamed), [], "each block names a file of its own in its first line")
    assert.strictEqual(compile(pages), "")
  })

  it("is held to what the compiler says", () => {
    const importing = page('```ts\n// wrong.ts\nexport { thing } from "./thing.ts"\n```\n')
    assert.include(compile([importing]), "Cannot find module './thing.ts'")
    assert.lengthOf(misnamed(page("```ts\nexport const a = 1\n```\n")), 1)
    assert.lengthOf(misnamed(page("```ts\n// a.ts\n```\n```ts\n// a.ts\n```\n")), 1)
  })

  it("leads nowhere that is not there", () => {
    assert.deepStrictEqual(pages.flatMap(brokenLinks), [])
    const there = page("[README](../README.md) [promises](../README.md#what-is-guaranteed) [up](#up)\n\n# Up\n")
    assert.deepStrictEqual(brokenLinks(there), [])
    assert.lengthOf(brokenLinks(page("[nothing](nothing.md) [nor](../README.md#nothing) [here](#nothing)")), 3)
  })

  it("is listed, page by page, in its index", () => {
    const index = readPage("docs/README.md").text
    const links = new Set([...index.matchAll(/\]\(([^)#]+)\)/g)].map(([, link = ""]) => link))
    const listed = pages.map(({ path }) => path.slice("docs/".length)).filter((path) => path !== "README.md")
    assert.deepStrictEqual(
      listed.filter((path) => !links.has(path)),
      []
    )
  })

  it("names no variable that the sources do not read", () => {
    const known = variablesOfSources()
    // The list of what the Rust library has names variables of its own.
    const ours = pages.filter(({ path }) => path !== "docs/specification.md")
    assert.deepStrictEqual(
      ours.flatMap(({ text }) => [...variablesOf(text)]).filter((name) => !known.has(name)),
      []
    )
  })
})
