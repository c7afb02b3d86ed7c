import type { CodelabError, ErrorCode } from '@codelab/protocol';

/** What the request itself is to blame for: the client learns all that the provider said. */
const CLIENTS: ErrorCode[] = ['VALIDATION', 'CONTEXT_WINDOW_EXCEEDED', 'CONTENT_FILTERED', 'MODEL_NOT_FOUND'];

/** The provider's own words for what is wrong with a request, where an error has them. */
export function faultOf({ code, details }: CodelabError): { type?: string; code?: string; param?: string } | undefined {
  if (!CLIENTS.includes(code) || Array.isArray(details) || typeof details !== 'object' || details === null)
    return undefined;
  return details;
}
