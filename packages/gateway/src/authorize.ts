import { CodelabError } from '@codelab/protocol';
import { type Authorize, createFilter, isLoopback, isSameKey, tokenOf } from '@codelab/service-kit';

export interface AuthorizeOptions {
  key: string;
  /** Where gateway listens. */
  host: string;
  /** Origins that need no token on loopback; `*` stands for any run of characters. */
  allowedOrigins: string[];
}

/**
 * Who may talk to gateway: whoever has the key; without one, only what runs on this machine, and no web page that the person
 * happens to visit. PROTOCOL.md §2.
 */
export function createAuthorize({ key, host, allowedOrigins }: AuthorizeOptions): Authorize {
  const isListed = createOriginFilter(allowedOrigins);
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
    if (origin === undefined || isOwnOrigin(origin, asked) || isListed(origin)) return undefined;
    return new CodelabError(
      'FORBIDDEN',
      `The origin "${origin.slice(0, 100)}" needs a token, or a place in GATEWAY__ALLOWED_ORIGINS.`,
    );
  };
}

/** Whether an origin is one of `allowed`, where `*` stands for any run of characters within a name. */
export function createOriginFilter(allowed: string[]): (origin: string) => boolean {
  return createFilter(allowed, '[^/]*', 'i');
}

function hostnameOf(host: string): string {
  return host.replace(/:\d+$/, '').toLowerCase();
}

/** gateway's own pages. */
function isOwnOrigin(origin: string, host: string | undefined): boolean {
  return host !== undefined && origin.toLowerCase() === `http://${host.toLowerCase()}`;
}
