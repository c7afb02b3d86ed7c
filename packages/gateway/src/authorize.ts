import { CodelabError } from '@codelab/protocol';
import { type AllowOrigin, type Authorize, createFilter, isLoopback, isSameKey, tokenOf } from '@codelab/service-kit';

export interface AuthorizeOptions {
  key: string;
  /** The host on which gateway listens. */
  host: string;
  /** Origins that need no token on loopback; `*` stands for any run of characters. */
  allowedOrigins: string[];
}

/**
 * Who may talk to gateway: whoever has the key; without one, only what runs on this machine, and no web page that the person
 * happens to visit. PROTOCOL.md §2.
 */
export function createAuthorize({ key, host, allowedOrigins }: AuthorizeOptions): Authorize {
  const allows = createOriginCheck({ host, allowedOrigins });
  return (credentials) => {
    const token = tokenOf(credentials);
    if (token !== undefined) {
      if (isSameKey(token, key)) return undefined;
      return new CodelabError('UNAUTHORIZED', 'The token is wrong: it must be the value of GATEWAY__INTERNAL_API_KEY.');
    }
    if (!isLoopback(host)) {
      return new CodelabError(
        'UNAUTHORIZED',
        'This needs a token: send the value of GATEWAY__INTERNAL_API_KEY as "Authorization: Bearer <token>".',
      );
    }
    const { origin, host: asked } = credentials.headers;
    // A page whose name was pointed at this machine (DNS rebinding) asks for its own name.
    if (asked !== undefined && !isLoopback(hostnameOf(asked)))
      return new CodelabError(
        'FORBIDDEN',
        `Without a token gateway answers only on loopback names, not on "${asked.slice(0, 100)}".`,
      );
    if (origin !== undefined) {
      if (allows(origin, asked)) return undefined;
      return new CodelabError(
        'FORBIDDEN',
        `The origin "${origin.slice(0, 100)}" needs a token, or a place in GATEWAY__ALLOWED_ORIGINS.`,
      );
    }
    // An image, a link, a form of another page: browsers send no Origin with those.
    const site = credentials.headers['sec-fetch-site'];
    if (site !== 'cross-site' && site !== 'same-site') return undefined;
    return new CodelabError('FORBIDDEN', 'A page of another origin may not ask for this without a token.');
  };
}

/** True for a page that may come without a token, or show it late: gateway's own, or a listed one. */
export function createOriginCheck({ host, allowedOrigins }: Omit<AuthorizeOptions, 'key'>): AllowOrigin {
  const isListed = createOriginFilter(allowedOrigins);
  const isLocal = isLoopback(host);
  return (origin, asked) => isListed(origin) || isOwnOrigin(origin, asked, isLocal);
}

/** Returns a function that is true for an origin of `allowed`; `*` stands for any run of characters within a name. */
export function createOriginFilter(allowed: string[]): (origin: string) => boolean {
  return createFilter(allowed, '[^/]*', 'i');
}

function hostnameOf(host: string): string {
  return host.replace(/:\d+$/, '').toLowerCase();
}

/** gateway's own pages. On loopback its name must be one of loopback's; elsewhere there may be a proxy that speaks TLS. */
function isOwnOrigin(origin: string, asked: string | undefined, isLocal: boolean): boolean {
  if (asked === undefined || (isLocal && !isLoopback(hostnameOf(asked)))) return false;
  const own = asked.toLowerCase();
  return origin.toLowerCase() === `http://${own}` || (!isLocal && origin.toLowerCase() === `https://${own}`);
}
