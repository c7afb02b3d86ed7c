import { type CodelabError, type ErrorCode, errorCatalogue } from '@codelab/protocol';
import { detailsOf, type ProviderErrorDetails } from '../errors/provider-error.ts';

/** Errors that the request caused: the client gets the provider's own type, code and param. */
const CLIENTS: ErrorCode[] = ['VALIDATION', 'CONTEXT_WINDOW_EXCEEDED', 'CONTENT_FILTERED', 'MODEL_NOT_FOUND'];
/** Statuses for which official clients have an error class: unprocessable, unavailable, overloaded. */
const KEPT_STATUSES = [422, 503, 529];

/** Returns the provider's own type, code and param of an error that the request caused. */
export function toClientVisibleError(error: CodelabError): ProviderErrorDetails | undefined {
  return CLIENTS.includes(error.code) ? detailsOf(error) : undefined;
}

/** Returns the HTTP status for a client of a provider's wire. */
export function wireStatusOf(error: CodelabError): number {
  const { status } = error.code.startsWith('PROVIDER_') || error.code === 'VALIDATION' ? detailsOf(error) : {};
  return status !== undefined && KEPT_STATUSES.includes(status) ? status : errorCatalogue[error.code].status;
}
