/** Returns why an answer ended; undefined where it goes on: some servers send an empty reason, or the word null, with each event. */
export function endReason(reason: unknown): string | undefined {
  return typeof reason === 'string' && reason !== '' && reason !== 'null' ? reason : undefined;
}
