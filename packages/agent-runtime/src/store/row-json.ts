/** Parses a column of JSON. Throws where it is not an object. */
export function parseObject<T>(json: string): T {
  const value: unknown = JSON.parse(json);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new TypeError('it is not an object');
  return value as T;
}

/** Parses a column of JSON. Throws where it is not a list. */
export function parseList<T>(json: string): T[] {
  const value: unknown = JSON.parse(json);
  if (!Array.isArray(value)) throw new TypeError('it is not a list');
  return value;
}

/** Parses a column of JSON. Throws where it is not a text. */
export function parseText(json: string): string {
  const value: unknown = JSON.parse(json);
  if (typeof value !== 'string') throw new TypeError('it is not a text');
  return value;
}

/** Makes dates of the named fields, in place. Throws where one is no date, or the first one is missing. */
export function reviveDates<T extends object>(value: T, [first, ...rest]: [keyof T, ...Array<keyof T>]): T {
  for (const name of [first, ...rest]) {
    if (value[name] === undefined && name !== first) continue;
    const date = new Date(value[name] as string);
    if (Number.isNaN(date.getTime())) throw new TypeError(`its ${String(name)} is no date`);
    value[name] = date as never;
  }
  return value;
}
