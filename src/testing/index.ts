/** For the tests of programs that use Kagzi. */
export * as TestKagzi from "./TestKagzi.ts"
