/** What is compared between the record and what the code asks for, and how a difference is told. */
import type { Payload, Step, StepKind } from "../Run.ts"
import { NonDeterministic } from "./Branch.ts"

/** The difference in kind or input between a recorded step and the present request for it. */
export const compare = (
  asked: { readonly name: string; readonly kind: StepKind; readonly input: Payload },
  recorded: Step
): NonDeterministic | undefined => {
  if (asked.kind !== recorded.kind) {
    return different(`"${asked.name}" was recorded as ${recorded.kind} and is now asked for as ${asked.kind}`)
  }
  if (asked.kind === "FUNCTION" && !sameBytes(asked.input.data, recorded.input.data)) {
    return different(
      `Step "${asked.name}" was recorded with input ${text(recorded.input)} and is now asked for with ${text(asked.input)}`
    )
  }
  return undefined
}

/** Another step stands at this place of the record. */
export const names = (recorded: string, asked: string): string =>
  explain(`The record has "${recorded}" where the code now asks for "${asked}"`)

/** The code waits for something whose branch lost a race. */
export const lostRace = (name: string): NonDeterministic =>
  different(`"${name}" was dropped when its branch lost a race, and the code now waits for it`)

const different = (difference: string) => new NonDeterministic({ message: explain(difference) })

const explain = (difference: string) =>
  `${difference}. The workflow's code has changed under a running workflow, or depends on something that is not recorded.`

const sameBytes = (a: Uint8Array, b: Uint8Array) => a.length === b.length && a.every((byte, index) => byte === b[index])

const longest = 200

const text = ({ data }: Payload) => {
  const whole = new TextDecoder().decode(data)
  return whole.length > longest ? `${whole.slice(0, longest)}…` : whole
}
