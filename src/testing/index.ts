/** For the tests of programs that use Kagzi. */
export * as Simulator from "./simulator/Simulator.ts"
export * as TestKagzi from "./TestKagzi.ts"
