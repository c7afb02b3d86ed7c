/**
 * The part of `AbortSignal` that a completion needs; an `AbortSignal` is one. Hot path (wire/README.md): two of Node's own for each
 * request were a tenth of a small request's CPU time.
 */
export interface CancelSignal {
  readonly aborted: boolean;
  addEventListener(type: 'abort', listener: () => void): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}

/** Signal and controller in one object. */
export class CancelToken implements CancelSignal {
  aborted = false;
  #listeners: Array<() => void> = [];

  abort(): void {
    if (this.aborted) return;
    this.aborted = true;
    const listeners = this.#listeners;
    this.#listeners = [];
    for (const listener of listeners) listener();
  }

  addEventListener(_type: 'abort', listener: () => void): void {
    this.#listeners.push(listener);
  }

  removeEventListener(_type: 'abort', listener: () => void): void {
    const at = this.#listeners.indexOf(listener);
    if (at !== -1) this.#listeners.splice(at, 1);
  }
}

/** Creates a token that is aborted when `signal` is, until `unlink` is called. */
export function linkedToken(signal: CancelSignal | undefined): { token: CancelToken; unlink(): void } {
  const token = new CancelToken();
  const abort = () => token.abort();
  signal?.addEventListener('abort', abort);
  if (signal?.aborted) abort();
  return { token, unlink: () => signal?.removeEventListener('abort', abort) };
}

/** Converts to an `AbortSignal`, for functions that accept nothing else. */
export function toAbortSignal(cancel: CancelSignal): AbortSignal {
  if (cancel instanceof AbortSignal) return cancel;
  const controller = new AbortController();
  if (cancel.aborted) controller.abort();
  else cancel.addEventListener('abort', () => controller.abort());
  return controller.signal;
}
