/** docs/reference/cli.md is what the commands say of themselves. */
import { allCommands, formatHelp } from "@tallystick/cli";
import { expect, test } from "vitest";

const COMMANDS = await allCommands();

const INTRODUCTION = `# The command

\`npm run -s tallystick -- COMMAND\` in a clone, \`tallystick COMMAND\` where it is installed. Every command takes \`--json\`
(one JSON value on stdout) and \`--help\`; trouble goes to stderr, with a way out. Where a command fails, the JSON value is
\`{"error": {"code", "message"}}\`: the code is one of [these](errors.md) or of the operating system, or \`usage\`, \`stopped\`, \`internal\`.

Text of others is shown with \`\\u{1b}\` in place of what would steer a terminal.

Exit codes: 0 verified or done, 1 refuted, 2 cannot tell or failed, 3 wrong usage.

Address, token and policy come from the options, else from \`TALLYSTICK_URL\`, \`TALLYSTICK_TOKEN\` and
\`TALLYSTICK_POLICY\`, else from \`.tallystick/dev.json\` in the current folder.
`;

test("the page of the command shows the help of every command as it is", async () => {
  const sections = COMMANDS.map((command) => `\n## ${command.name}\n\n\`\`\`text\n${formatHelp(command)}\`\`\`\n`);
  await expect(`${INTRODUCTION}${sections.join("")}`).toMatchFileSnapshot("../../docs/reference/cli.md");
});
