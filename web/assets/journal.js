// Journal: every event, searched and exported.

import { fetchJson, h, levelKind, number, panel, stamp, table, tag, words } from './dom.js';

const KINDS = ['alert', 'locked', 'resumed', 'latched', 'moved', 'shared', 'judged', 'trained', 'tried', 'imported', 'started', 'stopped', 'reloaded', 'restarted', 'unreadable'];

export function show(root) {
  let [events, more, keptFrom, latest] = [[], 0, 0, 0];
  const rows = h('div');
  const count = h('p', { class: 'small soft', role: 'status' });
  const kind = h('select', { name: 'kind', onchange: () => load() }, h('option', { value: '' }, 'all'), KINDS.map((name) => h('option', { value: name }, name)));
  const text = h('input', { type: 'search', name: 'text', placeholder: 'ES/1, emergency, …', oninput: () => { clearTimeout(latest); latest = setTimeout(load, 250); } });
  const link = h('a', { href: '/api/events.jsonl', download: 'vigie-events.jsonl' }, 'Export what matches (JSON lines)');
  const older = h('button', { type: 'button', onclick: () => load(true) }, 'Older');
  root.append(panel('Journal', {}, h('div', { class: 'row' }, h('label', {}, 'Event', kind), h('label', {}, 'Text', text), older, link), count, rows));
  const query = () => new URLSearchParams(Object.entries({ kind: kind.value, text: text.value }).filter(([, value]) => value));
  function draw() {
    count.textContent = `${number(events.length)} shown${more ? `, ${number(more)} older ones match` : ''}${keptFrom > 0 ? `; events from number ${keptFrom} on are kept here, all are in the journal` : ''}`;
    older.disabled = more === 0;
    rows.replaceChildren(table([{ name: 'number', n: true }, { name: 'time', t: true }, { name: 'event' }, { name: 'what', words: true }],
      [...events].reverse().map((event) => [event.seq, stamp(event.at), event.event === 'alert' ? tag(levelKind(event.level), event.level) : event.event, words(event)]), 'Nothing matches.'));
  }
  function load(isOlder = false) {
    const wanted = query();
    link.href = `/api/events.jsonl?${wanted}`;
    wanted.set('limit', '100');
    if (isOlder && events.length) wanted.set('before', events[0].seq);
    fetchJson(`/api/events?${wanted}`).then((answer) => {
      events = isOlder ? [...answer.events, ...events] : answer.events;
      [more, keptFrom] = [answer.more, answer.kept_from];
      draw();
    }).catch((error) => rows.replaceChildren(h('p', { class: 'empty' }, error.message)));
  }
  load();
  return {
    update: (name, event) => {
      if (name !== 'event') { if (name === 'snapshot') load(); return; }
      const fits = (kind.value === '' || event.event === kind.value) && JSON.stringify(event).toLowerCase().includes(text.value.toLowerCase());
      if (fits && !events.some((known) => known.seq === event.seq)) { events.push(event); draw(); }
    },
    end: () => clearTimeout(latest),
  };
}
