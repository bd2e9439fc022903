import { describe, expect, test } from "vitest";
import { commandLine, quoteWord, startLine } from "../src/command-line.ts";

const CLONE = { npm_package_name: "tallystick-workspace", npm_config_local_prefix: "/home/u/my clone" };

describe("commandLine", () => {
  test.each([
    [CLONE, "/home/u/my clone", "npm run -s tallystick --"],
    [CLONE, "/home/u/my clone/docs/guides", "npm run -s tallystick --"],
    [CLONE, "/home/u/my clone 2", "npm --prefix '/home/u/my clone' run -s tallystick --"],
    [CLONE, "/home/u", "npm --prefix '/home/u/my clone' run -s tallystick --"],
    [{ npm_package_name: "other", npm_lifecycle_event: "npx" }, "/home/u/other", "npx tallystick"],
    [{ npm_package_name: "other" }, "/home/u/other", "tallystick"],
    [{}, "/", "tallystick"],
  ])("is what runs, by %j, in %s: %s", (env, folder, expected) => {
    expect(commandLine(env, folder)).toBe(expected);
  });
});

describe("startLine", () => {
  test("is what a clone's README says, in a clone", () => {
    expect(startLine(CLONE)).toBe("npm start");
    expect(startLine({ npm_lifecycle_event: "npx" })).toBe("npx tallystick dev");
    expect(startLine({})).toBe("tallystick dev");
  });
});

describe("quoteWord", () => {
  test("leaves alone what a shell takes as it is, and quotes the rest", () => {
    expect(["/a/b-c.d", "/a b", "it's", "$HOME", ""].map(quoteWord)).toEqual([
      "/a/b-c.d",
      "'/a b'",
      String.raw`'it'\''s'`,
      "'$HOME'",
      "''",
    ]);
  });
});
