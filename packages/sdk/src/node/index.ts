export { fileChange } from './file-change.ts';
export { type WorkspaceEnvironmentOptions, workspaceEnvironment } from './workspace-environment.ts';
export { type WorkspaceToolsOptions, workspaceTools } from './workspace-tools.ts';
