import { CodelabError } from './errors.ts';

/** The version of PROTOCOL.md that this code speaks. It grows when an old client would misunderstand what is sent. */
export const PROTOCOL_VERSION = 1;
/** The oldest version that is served. Callers that name none are served as this one. */
export const OLDEST_PROTOCOL_VERSION = 1;
/** The HTTP header in which a caller names its version, and each answer the newest one. */
export const PROTOCOL_VERSION_HEADER = 'codelab-protocol-version';
/** The same in a URL, for a browser's WebSocket or EventSource. */
export const PROTOCOL_VERSION_PARAMETER = 'protocolVersion';

/** Returns why a caller of this version is not served; undefined where it is, or where it names none. */
export function protocolRefusal(named: unknown): CodelabError | undefined {
  if (named === undefined || named === null) return undefined;
  const version = typeof named === 'string' && /^\d{1,9}$/.test(named) ? Number(named) : undefined;
  if (version !== undefined && version >= OLDEST_PROTOCOL_VERSION && version <= PROTOCOL_VERSION) return undefined;
  const served =
    OLDEST_PROTOCOL_VERSION === PROTOCOL_VERSION
      ? `version ${PROTOCOL_VERSION}`
      : `versions ${OLDEST_PROTOCOL_VERSION} to ${PROTOCOL_VERSION}`;
  const what =
    version === undefined
      ? 'The protocol version must be one whole number.'
      : version > PROTOCOL_VERSION
        ? `The client speaks protocol version ${version}: update the service.`
        : `The client speaks protocol version ${version}: update the client.`;
  return new CodelabError('PROTOCOL_VERSION_UNSUPPORTED', `${what} This service speaks ${served}.`, {
    details: { oldest: OLDEST_PROTOCOL_VERSION, newest: PROTOCOL_VERSION },
  });
}
