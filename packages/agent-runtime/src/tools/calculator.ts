import { z } from 'zod';
import { serverTool } from './server-tool.ts';

const MAX_DEPTH = 100;

const functions: Record<string, (...values: number[]) => number> = {
  abs: Math.abs,
  ceil: Math.ceil,
  cos: Math.cos,
  exp: Math.exp,
  floor: Math.floor,
  ln: Math.log,
  log: Math.log10,
  log2: Math.log2,
  max: Math.max,
  min: Math.min,
  round: Math.round,
  sin: Math.sin,
  sqrt: Math.sqrt,
  tan: Math.tan,
};
const constants: Record<string, number> = { pi: Math.PI, e: Math.E };

export const calculator = serverTool({
  name: 'calculator',
  description: `Computes an arithmetic expression: + - * / % ^, parentheses, pi, e, and ${Object.keys(functions).join(', ')}.`,
  input: z.object({ expression: z.string().min(1).max(2000).describe('For example: (2 + 3) * sqrt(16)') }),
  execute: ({ expression }) => ({ result: String(calculate(expression)) }),
});

/** Computes an arithmetic expression. Throws an `Error` that says what is wrong with it. */
export function calculate(expression: string): number {
  const tokens = tokenize(expression);
  let at = 0;
  let depth = 0;

  const take = (symbol: string): boolean => {
    if (tokens[at] !== symbol) return false;
    at++;
    return true;
  };
  const expect = (symbol: string) => {
    if (!take(symbol)) throw new Error(`"${symbol}" is missing before ${describe(tokens[at])}.`);
  };

  const sum = (): number => {
    let value = product();
    for (;;) {
      if (take('+')) value += product();
      else if (take('-')) value -= product();
      else return value;
    }
  };
  const product = (): number => {
    let value = signed();
    for (;;) {
      if (take('*')) value *= signed();
      else if (take('/')) value /= signed();
      else if (take('%')) value %= signed();
      else return value;
    }
  };
  const signed = (): number => {
    if (++depth > MAX_DEPTH) throw new Error('It is nested too deeply.');
    try {
      if (take('-')) return -signed();
      if (take('+')) return signed();
      const base = atom();
      return take('^') ? base ** signed() : base;
    } finally {
      depth--;
    }
  };
  const atom = (): number => {
    const token = tokens[at++];
    if (typeof token === 'number') return token;
    if (token === '(') {
      const value = sum();
      expect(')');
      return value;
    }
    const name = token?.toLowerCase() ?? '';
    if (Object.hasOwn(constants, name)) return constants[name] as number;
    const call = Object.hasOwn(functions, name) ? functions[name] : undefined;
    if (call === undefined) throw new Error(`A number was expected, not ${describe(token)}.`);
    expect('(');
    const values = [sum()];
    while (take(',')) values.push(sum());
    expect(')');
    return call(...values);
  };

  const value = sum();
  if (at < tokens.length) throw new Error(`An operator was expected, not ${describe(tokens[at])}.`);
  if (Number.isNaN(value)) throw new Error('It has no value: something is divided or rooted that cannot be.');
  return value;
}

function tokenize(expression: string): Array<number | string> {
  const tokens: Array<number | string> = [];
  const pattern = /\s*(?:(\d+(?:\.\d*)?(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?)|([a-z][a-z0-9]*)|(\*\*|[-+*/%^(),]))/giy;
  const end = expression.trimEnd().length;
  while (pattern.lastIndex < end) {
    const from = pattern.lastIndex;
    const [, number, name, symbol] = pattern.exec(expression) ?? [];
    if (number !== undefined) tokens.push(Number(number));
    else if (name !== undefined) tokens.push(name);
    else if (symbol !== undefined) tokens.push(symbol === '**' ? '^' : symbol);
    else throw new Error(`"${expression.slice(from).trim().slice(0, 20)}" is no part of an expression.`);
  }
  return tokens;
}

function describe(token: number | string | undefined): string {
  return token === undefined ? 'the end' : `"${token}"`;
}
