// One process of a benchmark: says where it listens, and on demand how much CPU it has used.
const [module] = process.argv.slice(2);
process.on('message', (message) => {
  if (message === 'cpu') {
    const { user, system } = process.cpuUsage();
    process.send({ cpu: user + system, rss: process.memoryUsage().rss });
  }
});
process.on('disconnect', () => process.exit());
await import(module);
