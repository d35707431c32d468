/** A step that fails once, a sleep, and a step that waits for a gate. */
import { Workflow } from "../../../src/index.ts"

export const Traced = Workflow.make("traced", { taskQueue: "traced" })
