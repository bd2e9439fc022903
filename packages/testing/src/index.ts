/** A real log in memory, for the tests of applications that report to one. */
export { type TestEntry, TestLog } from "./test-log.ts";
export {
  type ExpectedEvent,
  type TestTallystick,
  type TestTallystickOptions,
  createTestTallystick,
} from "./test-tallystick.ts";
