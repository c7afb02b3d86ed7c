const MAX_LENGTH = 4 * 1024 * 1024;
const MAX_HUNKS = 5_000;

/** Says why a patch is too large to be read in one go; undefined where it is not. */
export function patchExcess(patch: string): string | undefined {
  if (patch.length > MAX_LENGTH)
    return `The patch has ${patch.length} characters, and may have ${MAX_LENGTH}: do it in parts.`;
  let hunks = 0;
  for (let at = patch.indexOf('@@ '); at >= 0; at = patch.indexOf('@@ ', at + 3))
    if (at === 0 || patch[at - 1] === '\n') hunks++;
  // Files without hunks cost as much.
  let files = 0;
  for (let at = patch.indexOf('\n+++'); at >= 0; at = patch.indexOf('\n+++', at + 4)) files++;
  const most = Math.max(hunks, files);
  return most > MAX_HUNKS ? `The patch has ${most} hunks, and may have ${MAX_HUNKS}: do it in parts.` : undefined;
}
