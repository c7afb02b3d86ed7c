# One file for the three services: docker build --build-arg SERVICE=gateway .
ARG NODE_IMAGE=docker.io/library/node:22-slim

FROM ${NODE_IMAGE} AS manifests
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
COPY packages/protocol/package.json packages/protocol/
COPY packages/service-kit/package.json packages/service-kit/
COPY packages/llm-proxy/package.json packages/llm-proxy/
COPY packages/agent-runtime/package.json packages/agent-runtime/
COPY packages/gateway/package.json packages/gateway/
COPY packages/sdk/package.json packages/sdk/

FROM manifests AS build
ARG SERVICE
RUN npm install --no-save --ignore-scripts
COPY tsconfig.json tsup.service.ts ./
COPY scripts scripts
COPY packages packages
RUN npm run build -w "packages/${SERVICE}" && mkdir -p "packages/${SERVICE}/agents"
ENTRYPOINT ["sh", "/app/scripts/docker-entrypoint.sh"]

FROM manifests AS dependencies
ARG SERVICE
RUN npm install --no-save --omit=dev --ignore-scripts -w "packages/${SERVICE}"

# What runs before the services, and ends (docker-compose.yml, init).
FROM ${NODE_IMAGE} AS init
WORKDIR /app
COPY scripts/env-keys.mjs scripts/docker-init.mjs ./
ENTRYPOINT ["node", "docker-init.mjs"]

FROM ${NODE_IMAGE}
ARG SERVICE
ENV NODE_ENV=production
WORKDIR /app/packages/${SERVICE}
COPY --from=dependencies /app/node_modules /app/node_modules
COPY --from=build /app/packages/${SERVICE}/dist dist
COPY --from=build /app/packages/${SERVICE}/agents agents
COPY --from=build /app/packages/${SERVICE}/package.json ./
COPY scripts/docker-entrypoint.sh /app/
# Not root. A volume that is mounted here belongs to the same user.
RUN mkdir /data && chown 10001:10001 /data
USER 10001:10001
ENTRYPOINT ["sh", "/app/docker-entrypoint.sh"]
CMD ["node", "--enable-source-maps", "dist/main.js"]
