// Signals: what was answered to each, on what, and what moved the score.

import { fetchJson, figure, fill, h, lean, list, number, panel, percent, signed, stamp, table, tag } from './dom.js';
import { store } from './live.js';

const REASONS = {
  production: 'the version in production spoke', ab_test: 'a version is under test', holdback: 'held back, to compare with', shadow: 'versions only watch this symbol',
  no_model: 'nothing is in service for this symbol', unknown_symbol: 'the symbol is not configured', missing_feature: 'no input was ever known',
  stale_inputs: 'too many inputs did not come', no_confidence: 'the signal had no confidence', deadline: 'the answer would have been late',
  locked: 'everything is locked', silenced: 'an emergency silences this symbol', journal_unavailable: 'it could not be recorded',
  invalid_score: 'the score was no probability', internal_error: 'a part of the daemon failed', trade_id_reused: 'the name of another trade', invalid_request: 'the request was at fault',
};
const FROM = { carried: ['warn', 'carried forward'], guessed: ['warn', 'guessed: the median'], measured: ['plain', 'came with it'] };
const KEPT = 300;
/** Rows of the list; on a narrow screen what was chosen stands below it. */
const ROWS = () => (innerWidth < 900 ? 30 : 120);

const armTag = (arm) => tag(arm === 'ml' ? 'good' : 'plain', arm ?? 'not scored');

/** What moved one score, the input that moved it most first. */
function moved({ version, explained, unknown }) {
  if (!explained) return [h('h3', {}, `What moved the score of ${version}`), h('p', { class: 'small soft' }, `That cannot be told: ${unknown}.`)];
  const inputs = [...explained.inputs].sort((a, b) => Math.abs(b.moved ?? 0) - Math.abs(a.moved ?? 0));
  const most = Math.max(...inputs.map((input) => Math.abs(input.moved ?? 0)), 1e-12);
  const filled = inputs.filter((input) => input.from !== 'measured').length;
  return [h('h3', {}, `What moved the score of ${version}: ${figure(explained.score)}`),
    filled ? h('p', { class: 'small warn' }, `▲ ${filled} of ${inputs.length} inputs were filled in.`) : null,
    table([{ name: 'input' }, { name: 'moved the score by' }, { name: 'value', n: true }, { name: 'usual', n: true }, { name: 'from' }],
      inputs.map((input) => ({ attributes: { 'data-from': input.from }, cells: [input.name, input.moved === null ? '–' : lean(input.moved / most, signed(input.moved)),
        figure(input.value), figure(input.usual), input.from === 'measured' ? '' : tag(...FROM[input.from])] }))),
    h('p', { class: 'small soft' }, 'By how much the score is higher than if that input alone had been at its usual value, the median of the training. Values are turned to the side of the trade.')];
}

function detail(entry) {
  const { decision } = entry;
  const inputs = Object.entries({ ...entry.features, ...entry.extra });
  const filled = inputs.filter(([, value]) => value === null).map(([name]) => name);
  const opinions = entry.opinions ?? [];
  return [
    list([
      ['trade', entry.trade_id], ['symbol and side', entry.symbol && `${entry.symbol}, ${entry.side}`], ['signal fired', entry.at && stamp(entry.at)],
      ['came', entry.received_at && stamp(entry.received_at)], ['answered in', entry.latency_us === undefined || entry.latency_us === null ? '–' : `${number(entry.latency_us, 0)} µs`],
      ['reason', decision ? `${decision.reason}: ${REASONS[decision.reason] ?? ''}` : 'it was not scored here'],
      ['own confidence', entry.confidence === undefined || entry.confidence === null ? '–' : figure(entry.confidence)],
    ]),
    h('h3', {}, 'What each version in service made of it'),
    table([{ name: 'version' }, { name: 'arm' }, { name: 'chance of it', n: true }, { name: 'score', n: true }, { name: 'size', n: true }],
      opinions.map((opinion) => [opinion.version, opinion.split ? opinion.split.arm : 'only watches', opinion.split ? percent(opinion.split.share, 0) : '–',
        opinion.score === null ? '–' : figure(opinion.score), `${figure(opinion.size)} ×`]), entry.features ? 'No version was in service.' : 'Not known here.'),
    ...(entry.moved ?? []).flatMap(moved),
    h('h3', {}, 'As it came'),
    filled.length ? h('p', { class: 'small warn' }, `▲ ${filled.length} of ${inputs.length} did not come with the signal.`) : null,
    table([{ name: 'input' }, { name: 'value', n: true }, { name: '' }],
      inputs.map(([name, value]) => [name, value === null ? '–' : figure(value), value === null ? tag('warn', 'did not come') : '']),
      'Not known here.'),
  ].filter(Boolean);
}

export function show(root) {
  let entries = [];
  let selected = null;
  let [arm, reason] = ['', ''];
  const rows = h('div');
  const more = panel('', { class: 'half', id: 'signal' });
  const filter = h('select', { onchange: () => { arm = filter.value; draw(); } },
    [['', 'all'], ['ml', 'a model had influence'], ['baseline', 'baseline']].map(([value, text]) => h('option', { value }, text)));
  const why = h('select', { onchange: () => { reason = why.value; draw(); } }, h('option', { value: '' }, 'all'));
  root.append(h('div', { class: 'grid' },
    h('section', { class: 'panel half' }, h('h2', {}, 'Signals'), h('div', { class: 'row' }, h('label', {}, 'Arm', filter), h('label', {}, 'Reason', why)), rows), more));

  const key = (entry) => entry.seq;
  function merge(found) {
    const known = new Map(entries.map((entry) => [key(entry), entry]));
    for (const entry of found) known.set(key(entry), { ...known.get(key(entry)), ...entry });
    entries = [...known.values()].sort((a, b) => b.seq - a.seq).slice(0, KEPT);
  }
  const of = ({ seq, at, event, ...decision }) => ({ seq, received_at: at, trade_id: decision.trade_id, decision });
  function draw() {
    const reasons = [...new Set(entries.map((entry) => entry.decision?.reason).filter(Boolean))].sort();
    if (why.options.length !== reasons.length + 1) {
      fill(why, h('option', { value: '' }, 'all'), reasons.map((name) => h('option', { value: name }, name)));
      why.value = reason;
    }
    const wanted = entries.filter((entry) => (arm === '' || entry.decision?.arm === arm) && (reason === '' || entry.decision?.reason === reason));
    if (selected === null && wanted.length) choose(wanted[0].seq, false);
    // a drawn table would take the focus away from the row that has it
    const focused = rows.contains(document.activeElement) ? document.activeElement.dataset.seq : null;
    rows.replaceChildren(table(
      [{ name: 'time', t: true }, { name: 'trade' }, { name: 'arm' }, { name: 'score', n: true }, { name: 'size', n: true }, { name: 'model' }, { name: 'reason' }],
      wanted.slice(0, ROWS()).map((entry) => ({
        attributes: { tabindex: 0, 'data-seq': entry.seq, 'aria-selected': entry.seq === selected, onclick: () => choose(entry.seq), onkeydown: (event) => event.key === 'Enter' && choose(entry.seq) },
        cells: [stamp(entry.received_at), entry.trade_id, armTag(entry.decision?.arm), figure(entry.decision?.score), entry.decision ? `${figure(entry.decision.size)} ×` : '–',
          entry.decision?.model ?? '–', entry.decision?.reason ?? '–'],
      })), 'No signal came yet.', true));
    if (focused) rows.querySelector(`[data-seq="${focused}"]`)?.focus({ preventScroll: true });
    const entry = entries.find((found) => found.seq === selected);
    fill(more, h('h2', {}, entry ? entry.trade_id : 'No signal is chosen'), ...(entry ? detail(entry) : []));
  }
  function choose(seq, draws = true) {
    selected = seq;
    if (draws) {
      draw();
      if (innerWidth < 900) more.scrollIntoView();
    }
    if (!entries.find((entry) => entry.seq === seq)?.moved) {
      fetchJson(`/api/signals?seq=${seq}`).then(({ signals }) => { merge(signals); draw(); }).catch(() => {});
    }
  }
  let asked = 0;
  function load() {
    asked = performance.now();
    return fetchJson('/api/signals').then(({ signals }) => { merge(signals); draw(); }).catch(() => {});
  }
  merge(store.decisions.map(of));
  load();
  return {
    update: (kind, data) => {
      if (kind === 'decision') {
        merge([of(data)]);
        draw();
        if (performance.now() - asked > 5000) load();
      } else if (kind === 'snapshot' || kind === 'open') { merge(store.decisions.map(of)); draw(); }
    },
  };
}
