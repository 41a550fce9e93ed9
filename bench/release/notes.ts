/**
 * The section of a changelog in keep-a-changelog form that belongs to a version, without its heading.
 * @throws Error where there is none, or nothing in it
 */
export function releaseNotes(changelog: string, version: string): string {
  const section = changelog.split(/^## /m).find((part) => part.startsWith(`[${version}]`));
  const notes = section?.slice(section.indexOf("\n")).trim();
  if (!notes) throw new Error(`CHANGELOG.md has no section [${version}]`);
  return notes;
}
