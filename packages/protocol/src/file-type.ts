/** Of base64, a multiple of 4. A PDF may begin with something else, for 1,024 bytes. */
const LOOKED_AT = 1368;

/** The first bytes of each type's files, as Latin-1. */
const beginnings: Record<string, (bytes: string) => boolean> = {
  'image/png': (bytes) => bytes.startsWith('\x89PNG\r\n\x1a\n'),
  'image/jpeg': (bytes) => bytes.startsWith('\xff\xd8\xff'),
  'image/gif': (bytes) => bytes.startsWith('GIF87a') || bytes.startsWith('GIF89a'),
  'image/webp': (bytes) => bytes.startsWith('RIFF') && bytes.startsWith('WEBP', 8),
  'application/pdf': (bytes) => bytes.includes('%PDF-'),
};

/** True where `data` (base64) begins like a file of this type; false for a type that is not known. */
export function beginsAs(mimeType: string, data: string): boolean {
  const isOne = Object.hasOwn(beginnings, mimeType) ? beginnings[mimeType] : undefined;
  return isOne?.(atob(data.slice(0, LOOKED_AT))) ?? false;
}
