/**
 * The section of a changelog (keep-a-changelog form) for a version, without its heading.
 * @throws Error if there is none, or it is empty
 */
export function releaseNotes(changelog: string, version: string): string {
  const section = changelog.split(/^## /m).find((part) => part.startsWith(`[${version}]`));
  const notes = section?.slice(section.indexOf("\n")).trim();
  if (!notes) throw new Error(`CHANGELOG.md has no section [${version}]`);
  return notes;
}
