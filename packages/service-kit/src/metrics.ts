import { collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { Lifecycle } from './lifecycle.ts';

/** Creates a service's metrics, with those of the process in it. */
export function createMetrics(service: string): Registry {
  const registry = new Registry();
  registry.setDefaultLabels({ service });
  collectDefaultMetrics({ register: registry });
  return registry;
}

/** Adds the metrics of serving: work and sockets. */
export function addServingMetrics(registry: Registry, lifecycle: Lifecycle, openSockets: () => number): void {
  new Gauge({
    name: 'codelab_active_work',
    help: 'Streams, runs and calls that a stop would wait for',
    registers: [registry],
    collect() {
      this.set(lifecycle.active);
    },
  });
  new Gauge({
    name: 'codelab_open_websockets',
    help: 'Open WebSocket connections',
    registers: [registry],
    collect() {
      this.set(openSockets());
    },
  });
}
