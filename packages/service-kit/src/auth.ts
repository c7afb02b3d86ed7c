import { timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { CodelabError, PROTOCOL_VERSION_HEADER, protocolRefusal } from '@codelab/protocol';
import { sha256 } from './sha256.ts';

/** A caller's credentials. */
export interface Credentials {
  headers: IncomingHttpHeaders;
  /** From tRPC's `connectionParams` or from `?token=`, where a browser can't send headers. */
  token?: string | undefined;
  /** From `?protocolVersion=`. The header counts first. */
  protocolVersion?: unknown;
}

/** Returns why a caller is turned away, or undefined if it may pass. */
export type Authorize = (credentials: Credentials) => CodelabError | undefined;

/** True where a page of `origin` may come without a token, or show it late. `host` is the host that it asked for. */
export type AllowOrigin = (origin: string, host: string | undefined) => boolean;

/** Stands for something that is no token: no key is empty. */
const NO_KEY = '';

/** Returns a token of a query or of JSON as one; undefined where none is shown. What is no text is a token all the same: a wrong one. */
export function toToken(shown: unknown): string | undefined {
  if (shown === undefined || shown === null) return undefined;
  return typeof shown === 'string' ? shown : NO_KEY;
}

/** Returns the token of tRPC's `connectionParams`; undefined where they show none. */
export function tokenOfParams(params: unknown): string | undefined {
  if (params === undefined || params === null) return undefined;
  if (typeof params !== 'object' || Array.isArray(params)) return NO_KEY;
  return toToken((params as { token?: unknown }).token);
}

/** Returns the token that a caller sent: `X-Internal-Auth`, then `Authorization: Bearer`, then `token`. */
export function tokenOf({ headers, token }: Credentials): string | undefined {
  const internal = headers['x-internal-auth'];
  if (typeof internal === 'string') return internal;
  const bearer = /^Bearer +(.+)$/i.exec(headers.authorization ?? '');
  if (bearer?.[1] !== undefined) return bearer[1];
  // An Authorization header of another kind is a token all the same: a wrong one.
  return headers.authorization ?? token;
}

/** Compares in constant time, whatever the lengths. */
export function isSameKey(given: string, expected: string): boolean {
  return timingSafeEqual(sha256(given), sha256(expected));
}

/** Lets callers pass that have the service's own key. `variable` is the setting that has it. */
export function requireKey(key: string, variable: string): Authorize {
  return (credentials) => {
    const token = tokenOf(credentials);
    if (token !== undefined && isSameKey(token, key)) return undefined;
    return new CodelabError(
      'UNAUTHORIZED',
      token === undefined
        ? `This needs a key: send the value of ${variable} in the header X-Internal-Auth.`
        : `The key is wrong: it must be the value of ${variable}.`,
    );
  };
}

/** Turns away, besides, callers that name a version of the protocol that is not served. */
export function requireServedVersion(authorize: Authorize): Authorize {
  return (credentials) =>
    authorize(credentials) ??
    protocolRefusal(credentials.headers[PROTOCOL_VERSION_HEADER] ?? credentials.protocolVersion);
}

/** True where a caller is refused for what it is, not for what it speaks. */
export function isAccessRefusal({ code }: CodelabError): boolean {
  return code === 'UNAUTHORIZED' || code === 'FORBIDDEN' || code === 'RATE_LIMITED';
}
