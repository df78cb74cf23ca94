// Lints the specifications named on the command line by the rules in rules.js.
// Every finding is an error: what does not matter is no rule.
import {createConfig, formatProblems, getTotals, lint} from '@redocly/openapi-core';
import {rules} from './rules.js';

const config = await createConfig({extends: ['minimal'], rules});
let failed = false;
for (const ref of process.argv.slice(2)) {
  const problems = await lint({ref, config});
  const totals = getTotals(problems);
  formatProblems(problems, {format: 'codeframe', totals, version: '', cwd: process.cwd()});
  failed ||= problems.length > 0;
  console.log(`${ref}: ${problems.length} findings`);
}
process.exitCode = failed ? 1 : 0;
