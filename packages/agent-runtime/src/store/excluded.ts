/** Sets columns to the values of the row that was to be inserted: a value is bound once, however large it is. */
export function excluded<C extends string>(...columns: C[]) {
  return ({ ref }: { ref(name: `excluded.${C}`): unknown }) =>
    Object.fromEntries(columns.map((column) => [column, ref(`excluded.${column}`)])) as never;
}
