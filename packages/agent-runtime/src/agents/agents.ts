import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type AgentList, AgentName, CodelabError, Effort, Rule } from '@codelab/protocol';
import { type Logger, SettingsError, watchConfig } from '@codelab/service-kit';
import { parse } from 'yaml';
import { z } from 'zod';

const FRONT_MATTER = /^---\r?\n([\s\S]*?)\r?\n---\r?\n?([\s\S]*)$/;

/** The front matter of an agent's file. */
const Head = z.strictObject({
  name: AgentName,
  description: z.string().default(''),
  model: z.string().min(1).max(200).optional(),
  /** How much the model thinks, where the session does not say. */
  effort: Effort.optional(),
  /**
   * The names of its tools; `*` stands for any run of characters.
   * @default all
   */
  tools: z.array(z.string()).optional(),
  /** Checked before the remembered rules: PROTOCOL.md §10. */
  rules: z.array(Rule.strict()).default([]),
});

/** An agent: its prompt, tools and rules. */
export type Agent = z.infer<typeof Head> & { prompt: string };

/** The agents of the files, as last loaded. */
export interface Agents {
  list(): AgentList;
  /** Throws `VALIDATION`, with the known names. */
  get(name: string): Agent;
  /** Returns the agent of that name, or the default agent where its file is gone. */
  find(name: string): Agent;
  close(): void;
}

export interface AgentsOptions {
  /** The folder of the built-in agents. */
  builtinFolder: string;
  /** The person's folder: an agent of the same name as a built-in one replaces it. */
  folder: string | undefined;
  defaultAgent: string;
  log: Logger;
}

/** Loads the agents' files, and reloads the person's own on each change. Throws `SettingsError` where the first version is invalid. */
export function loadAgents({ builtinFolder, folder: named, defaultAgent, log }: AgentsOptions): Agents {
  const folder = named === undefined ? undefined : resolve(named);
  if (folder !== undefined && !existsSync(folder))
    throw new SettingsError([`AGENT_RUNTIME__AGENTS_DIR=${named}: there is no such folder`]);
  const builtin = readFolder(builtinFolder);

  const read = (): Map<string, Agent> => {
    const own = folder === undefined ? { agents: [], mistakes: [] } : readFolder(folder);
    const agents = new Map([...builtin.agents, ...own.agents].map((agent) => [agent.name, agent]));
    const mistakes = [...builtin.mistakes, ...own.mistakes];
    if (!agents.has(defaultAgent))
      mistakes.push(
        `AGENT_RUNTIME__AGENT=${defaultAgent}: there is no such agent, only ${[...agents.keys()].join(', ')}`,
      );
    if (mistakes.length > 0) throw new SettingsError(mistakes);
    return agents;
  };
  let agents = new Map<string, Agent>();
  const watcher = watchConfig(folder === undefined ? [] : [folder], {
    name: 'the agents',
    read,
    apply(now) {
      agents = now;
      return { agents: [...now.keys()] };
    },
    log,
  });

  return {
    list: () => ({
      agents: [...agents.values()].map(({ name, description, model, effort, tools }) => ({
        name,
        description,
        ...(model === undefined ? {} : { model }),
        ...(effort === undefined ? {} : { effort }),
        ...(tools === undefined ? {} : { tools }),
      })),
      defaultAgent,
    }),
    get(name) {
      const agent = agents.get(name);
      if (agent !== undefined) return agent;
      throw new CodelabError('VALIDATION', `There is no agent "${name}", only ${[...agents.keys()].join(', ')}.`);
    },
    find: (name) => agents.get(name) ?? (agents.get(defaultAgent) as Agent),
    close: () => watcher.close(),
  };
}

function readFolder(folder: string): { agents: Agent[]; mistakes: string[] } {
  const agents: Agent[] = [];
  const mistakes: string[] = [];
  for (const name of readdirSync(folder).sort()) {
    if (!name.endsWith('.md') || name.startsWith('.')) continue;
    const file = join(folder, name);
    try {
      agents.push(parseAgent(readFileSync(file, 'utf8')));
    } catch (error) {
      if (error instanceof z.ZodError)
        mistakes.push(
          ...error.issues.map((issue) => `${file}: ${issue.path.join('.') || 'the head'}: ${issue.message}`),
        );
      else mistakes.push(`${file}: ${(error as Error).message}`);
    }
  }
  return { agents, mistakes };
}

/** Parses an agent's file. Throws `ZodError`, or an error that says what is wrong. */
export function parseAgent(text: string): Agent {
  const [, head, prompt] = FRONT_MATTER.exec(text) ?? [];
  if (head === undefined || prompt === undefined)
    throw new Error('it must begin with a head of YAML between two lines of "---"');
  return { ...Head.parse(parse(head) ?? {}), prompt: prompt.trim() };
}
