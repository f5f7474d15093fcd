// The stream: what the page knows, kept up to date by one connection.

const KEPT = 500;
/** Without a sign of life for so long the figures are called old, in milliseconds. */
const SILENCE = 6000;

export const store = {
  daemon: { reachable: false, why: '' }, status: null, events: [], decisions: [], shares: new Map(),
  connected: false, lastSign: 0, lastId: null, snapshots: 0,
};
const listeners = new Set();
export function listen(listener) { listeners.add(listener); return () => listeners.delete(listener); }
const tell = (kind, data) => { for (const listener of listeners) listener(kind, data); };

function keep(list, item) {
  list.push(item);
  if (list.length > KEPT) list.splice(0, list.length - KEPT);
}
function share(event) {
  if (event.event === 'shared') store.shares.set(event.version, event.share);
}
/** What took models out of service is shown at once; the status that follows says it in full. */
function silence(event) {
  const { guardian } = store.status ?? {};
  if (!guardian) return;
  // a lock that is longer stays: the status that follows says which is in force
  if (event.event === 'locked' && (guardian.lock === null || !event.until)) {
    guardian.lock = event.reason;
    guardian.lock_until = event.until ?? null;
  }
  const symbol = event.event === 'latched' && event.trip?.version?.split('/')[0];
  if (symbol && !guardian.silenced.includes(symbol)) guardian.silenced.push(symbol);
}
/** Shares of versions as the journal has them, from before this page was opened. */
export function learnShares(events) { events.forEach(share); store.events.forEach(share); }

export function begin() {
  let source = follow();
  setInterval(() => {
    const isOld = performance.now() - store.lastSign > SILENCE;
    if (isOld && store.connected) { store.connected = false; tell('connection'); }
    // a browser gives up after some answers, such as that too many pages are open; this page does not, and keeps what is being typed
    if (source.readyState === EventSource.CLOSED) source = follow();
  }, 1000);
}
function follow() {
  const source = new EventSource('/live');
  const on = (name, take) => source.addEventListener(name, (message) => {
    store.lastSign = performance.now();
    if (message.lastEventId) store.lastId = message.lastEventId;
    const data = JSON.parse(message.data);
    if (!store.connected) { store.connected = true; tell('connection'); }
    take(data);
    tell(name, data);
  });
  on('snapshot', (data) => {
    store.snapshots += 1;
    Object.assign(store, { daemon: data.daemon, status: data.status, events: data.events, decisions: data.decisions });
    data.events.forEach(share);
  });
  on('status', (data) => { store.status = data; });
  on('daemon', (data) => { store.daemon = data; });
  on('event', (data) => { keep(store.events, data); share(data); silence(data); });
  on('decision', (data) => keep(store.decisions, data));
  on('heartbeat', () => {});
  source.addEventListener('error', () => { if (store.connected) { store.connected = false; tell('connection'); } });
  return source;
}
