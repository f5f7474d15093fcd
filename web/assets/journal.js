// Journal: every event, searched, filtered and exported.

import { fetchJson, h, isUtc, levelKind, number, panel, stamp, table, tag, words, zone } from './dom.js';

const KINDS = ['alert', 'locked', 'lock_ended', 'resumed', 'latched', 'moved', 'shared', 'judged', 'trained', 'tried', 'imported', 'started', 'stopped', 'reloaded', 'restarted', 'unreadable'];

/** What stands in a field for a time, in the zone of the page, as a time in UTC to the second. */
function utc(value) {
  if (!value) return '';
  const at = new Date(isUtc() ? `${value}Z` : value);
  return Number.isNaN(at.getTime()) ? '' : `${at.toISOString().slice(0, 19)}Z`;
}

export function show(root) {
  let [events, more, keptFrom, latest] = [[], 0, 0, 0];
  const rows = h('div');
  const count = h('span', { class: 'small soft', role: 'status' });
  const soon = () => { clearTimeout(latest); latest = setTimeout(load, 250); };
  const kind = h('select', { name: 'kind', onchange: () => load() }, h('option', { value: '' }, 'all'), KINDS.map((name) => h('option', { value: name }, name.replace('_', ' '))));
  const level = h('select', { name: 'level', onchange: () => load() }, h('option', { value: '' }, 'all'), ['critical', 'warning', 'info'].map((name) => h('option', { value: name }, name)));
  const text = h('input', { type: 'search', name: 'text', placeholder: 'ES/1, emergency, …', oninput: soon });
  const since = h('input', { type: 'datetime-local', name: 'since', step: 1, oninput: soon });
  const until = h('input', { type: 'datetime-local', name: 'until', step: 1, oninput: soon });
  const links = ['jsonl', 'csv'].map((form) => h('a', { href: `/api/events.${form}`, download: `vigie-events.${form}` }, { jsonl: 'JSON lines', csv: 'CSV' }[form]));
  const older = h('button', { type: 'button', hidden: true, onclick: () => load(true) }, 'Older');
  const clear = h('button', { type: 'button', onclick: () => { for (const field of [kind, level, text, since, until]) field.value = ''; load(); } }, 'Clear');
  root.append(panel('Journal', {},
    h('div', { class: 'row' }, h('label', {}, 'Event', kind), h('label', {}, 'Level of an alert', level), h('label', {}, 'Text', text),
      h('label', {}, `From (${zone()})`, since), h('label', {}, `Before (${zone()})`, until), clear),
    h('div', { class: 'row below' }, count, h('span', { class: 'small' }, 'Export what matches: ', links[0], ', ', links[1])), rows,
    h('div', { class: 'row below' }, older)));
  const query = () => new URLSearchParams(Object.entries({ kind: kind.value, level: level.value, text: text.value, since: utc(since.value), until: utc(until.value) }).filter(([, value]) => value));
  function draw() {
    count.textContent = `${number(events.length)} shown${more ? `, ${number(more)} older ones match` : ''}${keptFrom > 0 ? `; events from number ${keptFrom} on are kept here, all are in the journal` : ''}`;
    older.hidden = more === 0;
    rows.replaceChildren(table([{ name: 'number', n: true }, { name: 'time', t: true }, { name: 'event' }, { name: 'what', words: true }],
      [...events].reverse().map((event) => [event.seq, stamp(event.at), event.event === 'alert' ? tag(levelKind(event.level), event.level) : event.event.replace('_', ' '), words(event)]), 'Nothing matches.'));
  }
  function load(isOlder = false) {
    const wanted = query();
    links[0].href = `/api/events.jsonl?${wanted}`;
    links[1].href = `/api/events.csv?${wanted}`;
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
      const at = event.at.slice(0, 19);
      const fits = (kind.value === '' || event.event === kind.value) && (level.value === '' || event.level === level.value)
        && JSON.stringify(event).toLowerCase().includes(text.value.toLowerCase())
        && at >= utc(since.value).slice(0, 19) && (!until.value || at < utc(until.value).slice(0, 19));
      if (fits && !events.some((known) => known.seq === event.seq)) { events.push(event); draw(); }
    },
    end: () => clearTimeout(latest),
  };
}
