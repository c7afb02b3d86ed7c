import type { Contract, Procedure } from '@codelab/protocol';
import { z } from 'zod';

/**
 * Returns a contract whose inputs have no fields but their own, at any depth: others are refused by name. `extra`: fields that each
 * input of tRPC's may have besides. Gateway alone is so strict: agent-runtime passes over what a gateway of another version sends.
 */
export function strictContract<C extends Contract>(contract: C, extra?: z.ZodRawShape): C {
  return mapValues(contract, (procedures) =>
    mapValues(procedures, (procedure) => ({ ...procedure, input: strictInput(procedure, extra) })),
  ) as C;
}

function strictInput({ input }: Procedure, extra: z.ZodRawShape | undefined): z.ZodObject {
  const own = input === undefined ? z.strictObject({}) : strict(input);
  if (extra === undefined) return own;
  const taken = own.safeExtend(extra) as z.ZodObject;
  // tRPC's clients send nothing where there is nothing to be said.
  return input === undefined ? (taken.prefault({}) as unknown as z.ZodObject) : taken;
}

/** Copies a schema with all its checks, so that the objects in it have the fields that they name, and no others. */
function strict<S extends z.ZodType>(schema: S): S {
  // biome-ignore lint/suspicious/noExplicitAny: zod types no definition by its kind
  const def = schema._zod.def as any;
  switch (def.type) {
    case 'object':
      return schema.clone({
        ...def,
        shape: mapValues(def.shape as Record<string, z.ZodType>, strict),
        catchall: z.never(),
      });
    case 'array':
      return schema.clone({ ...def, element: strict(def.element) });
    case 'optional':
    case 'nullable':
    case 'default':
      return schema.clone({ ...def, innerType: strict(def.innerType) });
    default:
      return schema;
  }
}

function mapValues<T, U>(values: Record<string, T>, map: (value: T) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, map(value)]));
}
