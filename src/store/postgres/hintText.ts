/** Hints as the text of notifications, which are short: no more than 8000 bytes each. */
import { Result } from "effect"
import type { Hint } from "../Store.ts"

const maximumBytes = 7_900

const tags: ReadonlyArray<Hint["_tag"]> = [
  "RunsDue",
  "SlotFreed",
  "RunEnded",
  "WorkerChanged",
  "WorkerServed",
  "SchedulesChanged",
  "Missed"
]

const missed: Hint = { _tag: "Missed" }

/** The texts that tell these hints. Where there are none, there is one text that only tells who sends it. */
export const encode = (sender: string, hints: ReadonlyArray<Hint>): ReadonlyArray<string> => {
  const texts: Array<string> = []
  let text = ""
  let bytes = 0
  for (const hint of hints) {
    const line = JSON.stringify(hint)
    const size = Buffer.byteLength(line) + 1
    // a name of eight thousand bytes
    if (size > maximumBytes - sender.length) return encode(sender, [missed])
    if (text === "" || bytes + size > maximumBytes) {
      if (text !== "") texts.push(text)
      text = sender
      bytes = sender.length
    }
    text += `\n${line}`
    bytes += size
  }
  return [...texts, text === "" ? sender : text]
}

/** A line of another version may tell what this one does not know. */
const toHint = (line: string): Hint => {
  const read = Result.try(() => JSON.parse(line) as Hint)
  return Result.isSuccess(read) && tags.includes(read.success?._tag) ? read.success : missed
}

/** Who tells what in a text. */
export const decode = (text: string): { readonly sender: string; readonly hints: ReadonlyArray<Hint> } => {
  const [sender = "", ...lines] = text.split("\n")
  return { sender, hints: lines.map(toHint) }
}
