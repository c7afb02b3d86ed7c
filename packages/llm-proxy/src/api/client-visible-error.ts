import { type CodelabError, type ErrorCode, errorCatalogue } from '@codelab/protocol';

interface Fault {
  type?: string;
  code?: string;
  param?: string;
  status?: number;
}

/** What the request itself is to blame for: the client learns all that the provider said. */
const CLIENTS: ErrorCode[] = ['VALIDATION', 'CONTEXT_WINDOW_EXCEEDED', 'CONTENT_FILTERED', 'MODEL_NOT_FOUND'];
/** What the official clients have errors of their own for: unprocessable, unavailable, overloaded. */
const KEPT_STATUSES = [422, 503, 529];

function detailsOf({ details }: CodelabError): Fault | undefined {
  return Array.isArray(details) || typeof details !== 'object' || details === null ? undefined : details;
}

/** The provider's own words for what is wrong with a request, where an error has them. */
export function toClientVisibleError(error: CodelabError): Fault | undefined {
  return CLIENTS.includes(error.code) ? detailsOf(error) : undefined;
}

/** The status that a client of a provider's wire is told. */
export function wireStatusOf(error: CodelabError): number {
  const { status } = error.code.startsWith('PROVIDER_') || error.code === 'VALIDATION' ? (detailsOf(error) ?? {}) : {};
  return status !== undefined && KEPT_STATUSES.includes(status) ? status : errorCatalogue[error.code].status;
}
