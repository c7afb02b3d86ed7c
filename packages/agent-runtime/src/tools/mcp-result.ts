import { isDeepStrictEqual } from 'node:util';
import { Attachment } from '@codelab/protocol';

/** The limit of all media of one result together, as of one attachment. Characters of base64. */
const MAX_MEDIA = 6 * 1024 * 1024;
const MAX_MEDIA_PARTS = 20;
const TEXT_TYPE = /^text\/|[/+](json|xml|yaml|javascript)$/;

/** A result as an MCP server gives it. https://modelcontextprotocol.io/specification/2025-11-25/server/tools#tool-result */
export interface McpAnswer {
  content?: Array<{ type: string; [field: string]: unknown }>;
  structuredContent?: unknown;
}

/** The result of a tool for the model: the text says of each medium where it was, and what it is. */
export interface ToolAnswer {
  text: string;
  media?: Attachment[];
}

/** Converts a result to a text, and images and PDFs beside it. */
export function toToolAnswer({ content = [], structuredContent }: McpAnswer): ToolAnswer {
  const media: Attachment[] = [];
  let left = MAX_MEDIA;
  const medium = (what: string, mimeType: unknown, data: unknown, name = what): string => {
    const base64 = String(data ?? '');
    const said = `${what}: ${String(mimeType ?? 'of an unknown type')}, ${Math.floor((base64.length * 3) / 4)} bytes`;
    const parsed = Attachment.safeParse({ name: name.slice(0, 500), mimeType, data: base64 });
    if (!parsed.success) return `[${said}; it cannot be shown]`;
    if (base64.length > left || media.length === MAX_MEDIA_PARTS) return `[${said}; it is too large to be shown]`;
    left -= base64.length;
    media.push(parsed.data);
    return `[${said}]`;
  };
  const resource = ({ uri, mimeType, text, blob }: Resource): string => {
    if (text !== undefined) return text;
    if (blob !== undefined && TEXT_TYPE.test(mimeType ?? '')) return Buffer.from(blob, 'base64').toString();
    return medium(`resource ${uri}`, mimeType, blob, uri);
  };

  const parts = content.map((part) => {
    switch (part.type) {
      case 'text':
        return String(part.text);
      case 'resource':
        return resource(part.resource as Resource);
      case 'resource_link': {
        const { uri, title, name, description } = part;
        const about = [title ?? name, description].filter((each) => typeof each === 'string' && each !== '');
        return `[${[String(uri), ...about].join(', ')}]`;
      }
      default:
        return medium(part.type, part.mimeType, part.data);
    }
  });
  if (structuredContent !== undefined && !parts.some((part) => isJsonOf(part, structuredContent)))
    parts.push(JSON.stringify(structuredContent));
  return { text: parts.join('\n'), ...(media.length === 0 ? {} : { media }) };
}

interface Resource {
  uri: string;
  mimeType?: string;
  text?: string;
  blob?: string;
}

/** True where the text is the value: most servers say it twice, for older clients. */
function isJsonOf(text: string, value: unknown): boolean {
  if (!/^\s*[[{"\dtfn-]/.test(text)) return false;
  try {
    return isDeepStrictEqual(JSON.parse(text), value);
  } catch {
    return false;
  }
}
